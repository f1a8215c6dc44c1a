import json
from dataclasses import replace
from io import StringIO

import polars as pl
import pytest

from tests.predictions import make_predictions
from xfer_bench import __version__
from xfer_bench.report.tables import bootstrap_settings, render, render_scores, signature
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.estimates import Comparison
from xfer_bench.stats.scores import score_intervals

SETTINGS = bootstrap_settings(baseline="none", resamples=199, seed=0)


@pytest.fixture(scope="module")
def comparisons() -> list[Comparison]:
    return compare(make_predictions(), resamples=199)


def test_json_gives_every_number_in_full(comparisons: list[Comparison]) -> None:
    page = json.loads(render(comparisons, format="json", settings=SETTINGS))
    assert set(page) == {"comparisons", "settings"}
    assert page["settings"] == dict(SETTINGS)
    for row, one in zip(page["comparisons"], comparisons, strict=True):
        assert {**row, "languages": tuple(row["languages"])} == vars(one)
    needed = "arm baseline task setting variant split language n_items n_clusters n_seeds gain ci_low ci_high p_value"
    assert set(needed.split()) <= set(page["comparisons"][0])


def test_csv_reads_back_to_the_same_numbers(comparisons: list[Comparison]) -> None:
    table = pl.read_csv(StringIO(render(comparisons, format="csv", settings=SETTINGS)))
    for row, one in zip(table.iter_rows(named=True), comparisons, strict=True):
        assert [row[name] for name in ("gain", "ci_low", "ci_high", "p_value")] == [
            one.gain,
            one.ci_low,
            one.ci_high,
            one.p_value,
        ]


def test_the_table_rounds_and_begins_with_the_baseline(comparisons: list[Comparison]) -> None:
    lines = render(comparisons, format="table", settings=SETTINGS).splitlines()
    assert lines[0] == "xcopa test, setting CO: 60 items in 60 clusters, baseline none"
    cells = [[cell.strip() for cell in line.split("|")] for line in lines if line.count("|") == 7]
    first = comparisons[0]
    assert cells[0] == ["arm", "seeds", "language", "baseline", "accuracy", "gain", "95 % interval", "p"]
    assert cells[1][:4] == ["none", "", "avg_unseen *", f"{first.baseline_accuracy:.1f}"]
    assert cells[3] == [
        "english",
        "2",
        "avg_unseen *",
        f"{first.baseline_accuracy:.1f}",
        f"{first.accuracy:.1f}",
        f"{first.gain:+.1f}",
        f"[{first.ci_low:+.1f}, {first.ci_high:+.1f}]",
        cells[3][-1],
    ]
    assert len(cells) == 1 + 2 + len(comparisons)


def test_seen_languages_are_marked(comparisons: list[Comparison]) -> None:
    page = render(comparisons, format="table", settings=SETTINGS)
    assert sum("(seen)" in line and "|" in line for line in page.splitlines()) == 4


@pytest.mark.parametrize(
    "arm", ["mixed", "an arm with a name that is much longer than a name should be " * 2, "x" * 90]
)
def test_the_table_fits_100_columns_of_a_log(comparisons: list[Comparison], arm: str) -> None:
    page = render([replace(one, arm=arm) for one in comparisons], format="table", settings=SETTINGS)
    assert max(map(len, page.splitlines())) <= 100
    assert page.isascii()


@pytest.mark.parametrize("name", ["[red]arm", "[/]", ":smile:", "{x}", "%s"])
def test_names_are_shown_as_they_are(comparisons: list[Comparison], name: str) -> None:
    assert name in render([replace(one, arm=name) for one in comparisons], format="table", settings=SETTINGS)


def test_markdown_cells_hold_no_markup(comparisons: list[Comparison]) -> None:
    odd = [replace(one, arm="a|b*<script>") for one in comparisons]
    page = render(odd, format="markdown", settings=SETTINGS)
    assert r"| a\|b\*&lt;script> | 2 | avg\_unseen \* |" in page
    assert f"`{signature(SETTINGS)}`" in page


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
def test_p_values_are_never_nought(comparisons: list[Comparison], p: float, resamples: int, shown: str) -> None:
    one = replace(comparisons[0], p_value=p, resamples=resamples)
    lines = render([one], format="table", settings=SETTINGS).splitlines()
    assert [line.split("|")[-1].strip() for line in lines if line.startswith("english")] == [shown]


def test_baselines_of_different_seeds_are_all_shown(comparisons: list[Comparison]) -> None:
    other = [replace(one, baseline_accuracy=1.25) if one.arm == "mixed" else one for one in comparisons]
    lines = render(other, format="table", settings=SETTINGS).splitlines()
    assert sum(line.startswith("none") for line in lines) == 4


def test_one_line_makes_it_reproducible(comparisons: list[Comparison]) -> None:
    expected = f"boot:pct|B:199|over:items|clusters:joint|seed:0|v{__version__}"
    assert signature(SETTINGS) == expected
    assert render(comparisons, format="table", settings=SETTINGS).splitlines()[-1] == expected


def test_each_target_has_a_table_of_its_own() -> None:
    two = pl.concat([make_predictions(), make_predictions(task="xnli", items_per_cluster=3)])
    page = render(compare(two, resamples=9), format="table", settings=SETTINGS)
    assert "xnli test, setting CO: 60 items in 20 clusters" in page
    assert page.count("arm ") >= 2


def test_scores_show_n_and_interval() -> None:
    scores = score_intervals(make_predictions(items_per_cluster=3), resamples=99)
    page = render_scores(scores, settings=SETTINGS)
    first = scores[0]
    line = next(line for line in page.splitlines() if line.startswith("english"))
    assert [cell.strip() for cell in line.split("|")] == [
        "english",
        "english-0",
        "avg",
        "60 in 20",
        f"{first.estimate.value:.1f}",
        f"[{first.estimate.low:.1f}, {first.estimate.high:.1f}]",
    ]
    assert max(map(len, page.splitlines())) <= 100


def test_scores_as_json_and_csv_hold_the_numbers() -> None:
    scores = score_intervals(make_predictions(), resamples=99)
    page = json.loads(render_scores(scores, format="json", settings=SETTINGS))
    table = pl.read_csv(StringIO(render_scores(scores, format="csv", settings=SETTINGS)))
    for row, line, one in zip(page["scores"], table.iter_rows(named=True), scores, strict=True):
        assert row["value"] == line["value"] == one.estimate.value
        assert (row["run"], row["language"], row["n_clusters"]) == (one.run, one.language, 60)
    assert "| english |" in render_scores(scores, format="markdown", settings=SETTINGS)
