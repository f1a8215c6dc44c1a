import json
from dataclasses import replace
from io import StringIO

import polars as pl
import pytest

from tests.predictions import make_predictions
from xfer_bench import __version__
from xfer_bench.report.comparisons import method_settings, render
from xfer_bench.report.sentences import sentence
from xfer_bench.report.tables import Settings, signature
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.estimates import Comparison, significant
from xfer_bench.stats.method import Method

METHOD = Method(resamples=199)


@pytest.fixture(scope="module")
def comparisons() -> list[Comparison]:
    return compare(make_predictions(), method=METHOD)


@pytest.fixture(scope="module")
def settings(comparisons: list[Comparison]) -> Settings:
    return method_settings(comparisons, METHOD)


def cells(page: str, *, head: str) -> list[list[str]]:
    """The rows of the first table with this head, without rules."""
    lines = page.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(head))
    table = []
    for line in lines[start:]:
        if not line:
            break
        if "+-" not in line:
            table.append([cell.strip() for cell in line.split("|")])
    return table


def test_json_gives_every_number_in_full(comparisons: list[Comparison], settings: Settings) -> None:
    page = json.loads(render(comparisons, format="json", settings=settings))
    assert set(page) == {"comparisons", "settings"}
    assert page["settings"] == dict(settings)
    for row, one in zip(page["comparisons"], comparisons, strict=True):
        lists = {name: tuple(row[name]) for name in ("languages", "dropped_seeds")}
        assert {**row, **lists} == vars(one)


def test_csv_reads_back_to_the_same_numbers(comparisons: list[Comparison], settings: Settings) -> None:
    table = pl.read_csv(StringIO(render(comparisons, format="csv", settings=settings)))
    names = ("gain", "ci_low", "ci_high", "p_value", "p_adjusted", "smallest_detectable", "standard_error")
    for row, one in zip(table.iter_rows(named=True), comparisons, strict=True):
        assert [row[name] for name in names] == [getattr(one, name) for name in names]


def test_the_baseline_comes_first_and_every_gain_has_its_row(comparisons: list[Comparison], settings: Settings) -> None:
    page = render(comparisons, format="table", settings=settings)
    assert page.splitlines()[0] == "xcopa test, CO: 60 items in 60 clusters"
    arms = cells(page, head="arm     | seeds")
    first = comparisons[0]
    assert [row[0] for row in arms] == ["arm", "none", "english", "mixed"]
    assert arms[1][2] == f"{first.baseline_accuracy:.1f} sd {first.baseline_sd:.1f}"
    assert arms[2][2] == f"{first.accuracy:.1f} sd {first.accuracy_sd:.1f}"
    gains = cells(page, head="arm     | language")
    assert gains[0] == ["arm", "language", "other", "arm's", "gain", "95 % interval", "p", "p adj", "least"]
    assert len(gains) == 1 + len(comparisons)
    assert gains[1][:6] == [
        "english",
        "avg_unseen *",
        f"{first.baseline_accuracy:.1f}",
        f"{first.accuracy:.1f}",
        f"{first.gain:+.1f}",
        f"[{first.ci_low:+.1f}, {first.ci_high:+.1f}]",
    ]
    assert gains[1][-1] == f"{first.smallest_detectable:.1f}"


def test_a_primary_contrast_comes_first_with_its_sentence() -> None:
    found = compare(make_predictions(), primary=[("mixed", "english")], method=METHOD)
    page = render(found, format="table", settings=method_settings(found, METHOD))
    assert page.startswith("primary contrast, avg_unseen\n")
    assert cells(page, head="target")[1][:3] == ["xcopa test, CO", "mixed - english", f"{found[0].gain:+.1f}"]
    assert "mixed against english on xcopa (CO, test, avg_unseen: et sw)" in page
    assert "english against none" not in page
    assert "holm(1,2,5)" in page


def test_simultaneous_intervals_are_shown_on_request(comparisons: list[Comparison], settings: Settings) -> None:
    page = render(comparisons, format="table", settings=settings, simultaneous=True)
    gains = cells(page, head="arm     | language")
    assert gains[0][5] == "joint 95 % interval"
    one = comparisons[0]
    assert gains[1][5] == f"[{one.simultaneous_low:+.1f}, {one.simultaneous_high:+.1f}]"


def test_seen_languages_are_marked(comparisons: list[Comparison], settings: Settings) -> None:
    page = render(comparisons, format="table", settings=settings)
    assert sum("(seen)" in line and "|" in line for line in page.splitlines()) == 4


@pytest.mark.parametrize(
    "arm", ["mixed", "an arm with a name that is much longer than a name should be " * 2, "x" * 90]
)
def test_the_table_fits_100_columns_of_a_log(comparisons: list[Comparison], settings: Settings, arm: str) -> None:
    page = render([replace(one, arm=arm) for one in comparisons], format="table", settings=settings)
    assert max(map(len, page.splitlines())) <= 100
    assert page.isascii()


@pytest.mark.parametrize("name", ["[red]arm", "[/]", ":smile:", "{x}", "%s", "[1]"])
def test_names_are_shown_as_they_are(comparisons: list[Comparison], settings: Settings, name: str) -> None:
    assert name in render([replace(one, arm=name) for one in comparisons], format="table", settings=settings)


def test_markdown_cells_hold_no_markup(comparisons: list[Comparison], settings: Settings) -> None:
    odd = [replace(one, arm="a|b*<script>") for one in comparisons]
    page = render(odd, format="markdown", settings=settings)
    assert r"| a\|b\*&lt;script> | avg\_unseen \* |" in page
    assert "<script>" not in page
    assert f"`{signature(settings)}`" in page


@pytest.mark.parametrize(
    ("p", "resamples", "shown"),
    [
        (1.0, 999, "1.000"),
        (0.0344, 9_999, ".034"),
        (1 / 10_000, 9_999, "<.001"),
        (1 / 100, 99, "<=.010"),
        (0.5, 99, ".500"),
    ],
)
def test_p_values_are_never_nought(
    comparisons: list[Comparison], settings: Settings, p: float, resamples: int, shown: str
) -> None:
    one = replace(comparisons[0], p_value=p, resamples=resamples)
    assert cells(render([one], format="table", settings=settings), head="arm     | language")[1][6] == shown


def test_baselines_of_different_seeds_are_all_shown(comparisons: list[Comparison], settings: Settings) -> None:
    other = [replace(one, baseline_accuracy=1.25) if one.arm == "mixed" else one for one in comparisons]
    page = render(other, format="table", settings=settings)
    assert [row[0] for row in cells(page, head="arm     | seeds")].count("none") == 2


def test_one_line_makes_it_reproducible(comparisons: list[Comparison], settings: Settings) -> None:
    expected = f"boot:pct|B:199|over:items|clusters:item|seed:0|holm(2,5)|v{__version__}"
    assert signature(settings) == expected
    assert render(comparisons, format="table", settings=settings).splitlines()[-1] == expected


def test_each_target_has_tables_of_its_own() -> None:
    two = pl.concat([make_predictions(), make_predictions(task="xnli", items_per_cluster=3)])
    found = compare(two, method=METHOD)
    page = render(found, format="table", settings=method_settings(found, METHOD))
    assert "xnli test, CO: 60 items in 20 clusters" in page
    assert page.count("gain over none") == 2
    assert "clusters:item+premise" in page
    # English counts in XNLI's published average, so it is another than ours there and the same for XCOPA.
    assert [one.task for one in found if one.language == "avg_published"] == ["xnli", "xnli"]


def test_a_sentence_claims_what_the_test_allows(comparisons: list[Comparison]) -> None:
    one = replace(comparisons[0], gain=2.0, p_value=0.03, p_adjusted=0.06, family_size=2, smallest_detectable=3.4)
    assert not significant(one)
    assert "supports neither a gain nor a loss, and a true one of 3.4 points" in sentence(one)
    assert "p = 0.030 (0.060 among 2 tests)" in sentence(one)
    sure = replace(one, p_adjusted=0.04)
    assert significant(sure)
    assert "supports a gain" in sentence(sure)
    assert "supports a loss" in sentence(replace(sure, gain=-2.0))
    assert "not for other seeds" in sentence(one)
    assert "generalises over items and seeds" in sentence(replace(one, over="both"))
    assert sentence(one, collapsed=[("none", one.target)]).endswith("Beware: runs of none collapsed, as told below.")
    assert sentence(one, collapsed=[("other", one.target), ("none", "another")]) == sentence(one)


def test_a_p_value_in_a_sentence_is_never_nought(comparisons: list[Comparison]) -> None:
    one = replace(comparisons[0], p_value=1 / 10_001, p_adjusted=2 / 10_001, family_size=2)
    assert "p < 0.001 (< 0.001 among 2 tests)" in sentence(one)
    assert "p < 0.001;" in sentence(replace(one, p_value=0.0, p_adjusted=0.0, family_size=1))


def test_what_would_be_found_is_told_of_one_test_alone_where_there_are_more(comparisons: list[Comparison]) -> None:
    one = replace(comparisons[0], p_value=0.3, p_adjusted=0.6, family_size=2)
    assert "80 times in 100 by one test alone." in sentence(one)
    assert "80 times in 100. It" in sentence(replace(one, p_adjusted=0.3, family_size=1))
    assert "80 times in 100. It" in sentence(replace(one, p_adjusted=None))


def test_where_nothing_varies_nothing_is_told_of_what_would_be_found(settings: Settings) -> None:
    (one, *_) = compare(make_predictions(effects={"none": 0, "twin": 0}, n_items=60, seed=3), method=METHOD)
    same = replace(one, gain=0.0, ci_low=0.0, ci_high=-0.0, standard_error=0.0, p_value=1.0, p_adjusted=1.0)
    assert "neither a gain nor a loss. It" in sentence(same)
    assert "+0.0 points [+0.0, +0.0]" in sentence(same)
    row = cells(render([same], format="table", settings=settings), head="arm  | language")[1]
    assert (row[5], row[-1]) == ("[+0.0, +0.0]", "")


def test_a_handful_of_clusters_is_no_evidence(comparisons: list[Comparison]) -> None:
    # All of n clusters have one sign by chance with 2^(1 - n): from 6 clusters on that is below 5 %.
    one = replace(comparisons[0], p_value=0.0001, p_adjusted=0.0001)
    assert [significant(replace(one, n_clusters=clusters)) for clusters in (1, 5, 6)] == [False, False, True]
    assert "neither a gain nor a loss: 1 cluster is too few to tell." in sentence(replace(one, n_clusters=1))


def test_flips_of_seeds_signs_are_told_as_what_they_are(comparisons: list[Comparison]) -> None:
    one = replace(comparisons[0], over="both", test="sign flips", n_seeds=6, p_value=0.03, p_adjusted=0.06)
    assert "generalises" not in sentence(one)
    assert "times in 100" not in sentence(one)
    assert "p is over seeds alone, for these items" in sentence(one)


def test_another_level_and_a_special_target_are_told(comparisons: list[Comparison]) -> None:
    one = replace(comparisons[0], p_value=0.3, p_adjusted=0.3, level=0.5, variant="translated", target="copa")
    assert "supports a gain at the 50 % level." in sentence(one)
    assert "on xcopa (translated) after copa (CO, test" in sentence(one)


def test_pairs_of_runs_are_not_called_seeds(comparisons: list[Comparison]) -> None:
    # Three intermediate seeds, each before three target seeds, are nine pairs of runs and not nine seeds.
    assert "(9 pairs of runs)" in sentence(replace(comparisons[0], n_seeds=9))
    assert "(1 pair of runs)" in sentence(replace(comparisons[0], n_seeds=1, over="both"))


def test_primary_contrasts_of_other_averages_say_which(settings: Settings) -> None:
    first = replace(compare(make_predictions(), primary=[("mixed", "english")], method=METHOD)[0], n_seeds=2)
    page = render(
        [first, replace(first, task="xnli", target="xnli", language="avg")], format="table", settings=settings
    )
    assert page.startswith("primary contrasts\n")
    assert [row[2] for row in cells(page, head="target")] == ["language", "avg_unseen", "avg"]


def test_seeds_left_out_are_told_of_each_contrast(settings: Settings) -> None:
    predictions = make_predictions(seeds=(0, 1, 2)).filter(pl.col("run") != "none-2")
    found = compare(predictions, primary=[("mixed", "english")], method=METHOD)
    page = render(found, format="table", settings=settings)
    assert "mixed against none on xcopa test, CO: target seed 2 on one side only, left out" in page
    assert "mixed against english on xcopa test, CO: target seed" not in page


def test_the_least_p_of_an_inversion_is_a_bound_too(comparisons: list[Comparison], settings: Settings) -> None:
    one = replace(comparisons[0], test="inversion", p_value=2 / 200)
    assert cells(render([one], format="table", settings=settings), head="arm     | language")[1][6] == "<=.010"


def test_random_flips_are_signed_with_their_seed() -> None:
    method = Method(over="both", test="permutation", resamples=500, seed=7)
    found = compare(make_predictions(seeds=range(6), languages=["en"]), method=method)
    assert "p:sign-flips|B:500|over:both|clusters:item|seed:7" in signature(method_settings(found, method))
