from collections.abc import Sequence
from dataclasses import replace

import polars as pl
import pytest

from tests.predictions import make_predictions
from xfer_bench.errors import ResultsError
from xfer_bench.report.comparisons import method_settings
from xfer_bench.report.findings import Findings, Uncertainty
from xfer_bench.report.leaders import Leader, leaders
from xfer_bench.report.paper_tables import language_tables, main_table
from xfer_bench.report.sheets import Cell, Number, Sheet, as_markdown
from xfer_bench.report.tables import signature
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.estimates import Comparison
from xfer_bench.stats.method import Method

METHOD = Method(resamples=199)
CLEAR = {"none": -1.0, "english": -0.8, "mixed": 5.0}


def found(
    predictions: pl.DataFrame,
    *,
    primary: Sequence[tuple[str, str]] = (),
    uncertainty: Uncertainty = "interval",
    variant: str | None = None,
) -> Findings:
    comparisons = compare(predictions, baseline="none", primary=primary, method=METHOD, variant=variant)
    return Findings(
        comparisons=tuple(comparisons),
        settings=method_settings(comparisons, METHOD),
        leaders=leaders(predictions, comparisons, baseline="none", resamples=METHOD.resamples),
        uncertainty=uncertainty,
    )


@pytest.fixture(scope="module")
def two_tasks() -> pl.DataFrame:
    other = make_predictions(task="xnli", items_per_cluster=3, effects={"none": 0.0, "mixed": 0.5}, seed=8)
    return pl.concat([make_predictions(), other.with_columns(run=pl.format("{}-xnli", "run"))])


@pytest.fixture(scope="module")
def both_variants() -> pl.DataFrame:
    published, repaired = make_predictions(), make_predictions(seed=9)
    return pl.concat([published, repaired.with_columns(variant=pl.lit("repaired"))])


def cell(sheet: Sheet, row: str, column: str) -> Cell:
    place = [one.name for one in sheet.columns].index(column)
    (found,) = [cells[place] for cells in sheet.rows if cells[0] == row]
    return found


def number(sheet: Sheet, row: str, column: str) -> Number:
    value = cell(sheet, row, column)
    assert isinstance(value, Number)
    return value


def one_of(comparisons: Sequence[Comparison], **names: str) -> Comparison:
    (one,) = [one for one in comparisons if all(getattr(one, name) == value for name, value in names.items())]
    return one


def test_the_main_table_is_arms_by_targets(two_tasks: pl.DataFrame) -> None:
    findings = found(two_tasks)
    sheet = main_table(findings)
    assert [one.name for one in sheet.columns] == [
        "arm",
        *("xcopa unseen", "xcopa avg", "xcopa en"),
        *("xnli unseen", "xnli avg", "xnli en"),
    ]
    assert [row[0] for row in sheet.rows] == ["none (accuracy)", "english", "mixed"]
    one = one_of(findings.comparisons, arm="mixed", task="xnli", language="avg_unseen")
    gain = number(sheet, "mixed", "xnli unseen")
    assert (gain.value, gain.low, gain.high, gain.error) == (one.gain, one.ci_low, one.ci_high, None)
    assert dict(gain.more)["accuracy"] == one.accuracy
    assert number(sheet, "none (accuracy)", "xnli unseen").value == one.baseline_accuracy


def test_an_arm_that_was_not_run_on_a_target_is_absent_there(two_tasks: pl.DataFrame) -> None:
    sheet = main_table(found(two_tasks))
    assert cell(sheet, "english", "xnli unseen") is None
    line = next(line for line in as_markdown([sheet]).splitlines() if line.startswith("| english"))
    assert line.endswith("| – | – | – |")


@pytest.mark.parametrize(("uncertainty", "shown"), [("interval", "["), ("se", "±"), ("none", "")])
def test_the_uncertainty_is_the_one_that_was_asked(uncertainty: Uncertainty, shown: str) -> None:
    findings = found(make_predictions(), uncertainty=uncertainty)
    gain = number(main_table(findings), "mixed", "xcopa unseen")
    one = one_of(findings.comparisons, arm="mixed", language="avg_unseen")
    assert (gain.low is not None, gain.error is not None) == (shown == "[", shown == "±")
    assert gain.error in {None, one.standard_error}
    caption = " ".join(main_table(findings).caption)
    assert ("[ ]: 95 % interval over items" in caption) == (shown == "[")
    assert ("±: standard error over items" in caption) == (shown == "±")


def test_the_caption_says_what_is_measured_and_the_settings_that_gave_it(two_tasks: pl.DataFrame) -> None:
    sheet = main_table(found(two_tasks))
    caption = " ".join(sheet.caption)
    assert "a gain is over the runs of none with the same target seeds, mean of seeds" in caption
    assert "All targets: test split, setting CO, 2 pairs of runs an arm, unseen: et sw." in caption
    assert "xcopa: as published (rows known to be wrong in sw th), 60 items." in caption
    assert "xnli: as published, 60 items in 20 clusters." in caption
    assert "bold: the best of its column, where" in caption
    assert sheet.settings is not None
    assert f"`{signature(sheet.settings)}`" in as_markdown([sheet])


def test_the_caption_tells_of_rows_that_were_published_wrong(both_variants: pl.DataFrame) -> None:
    wrong = "as published (rows known to be wrong in sw th)"
    published = " ".join(main_table(found(both_variants, variant="published")).caption)
    assert wrong in published
    assert wrong not in " ".join(main_table(found(both_variants)).caption)


def test_an_arm_in_bold_is_certainly_the_best() -> None:
    predictions = make_predictions(effects=CLEAR, n_items=120)
    sheet = main_table(found(predictions))
    bold = [(row[0], cell.best) for row in sheet.rows for cell in row if isinstance(cell, Number)]
    assert {name for name, best in bold if best} == {"mixed"}
    assert "here no arm." not in " ".join(sheet.caption)


def test_two_arms_that_are_equally_good_are_not_bold() -> None:
    predictions = make_predictions(effects=CLEAR, n_items=120)
    again = predictions.filter(arm="mixed").with_columns(arm=pl.lit("again"), run=pl.format("again-{}", "run"))
    findings = found(pl.concat([predictions, again]))
    assert one_of(findings.comparisons, arm="again", language="avg").p_adjusted < 0.05  # type: ignore[operator]
    assert findings.leaders == frozenset()
    assert "**" not in "".join(line for line in as_markdown([main_table(findings)]).splitlines() if line[0:1] == "|")
    assert "here no arm." in " ".join(main_table(findings).caption)


def test_the_largest_gain_is_not_bold_where_it_may_be_chance() -> None:
    predictions = make_predictions()
    before = predictions.filter(arm="none")
    lucky = before.with_columns(
        arm=pl.lit("lucky"),
        run=pl.format("lucky-{}", "run"),
        prediction=pl.when(pl.col("item") < "0004").then("label").otherwise("prediction"),
    )
    findings = found(pl.concat([before, lucky]).with_columns(intermediate_seed=pl.lit(None, dtype=pl.Int64)))
    assert one_of(findings.comparisons, arm="lucky", language="avg").gain > 0
    assert findings.leaders == frozenset()


def test_the_baseline_is_bold_where_every_arm_certainly_loses() -> None:
    predictions = make_predictions(effects={"none": 5.0, "english": -1.0, "mixed": -0.8}, n_items=120)
    sheet = main_table(found(predictions))
    assert number(sheet, "none (accuracy)", "xcopa avg").best
    assert not number(sheet, "mixed", "xcopa avg").best


def test_an_arm_that_the_adjusted_test_does_not_tell_apart_is_not_bold() -> None:
    predictions = make_predictions(effects=CLEAR, n_items=120)
    comparisons = compare(predictions, method=METHOD)
    unsure = [replace(one, p_adjusted=0.2) for one in comparisons]
    assert leaders(predictions, comparisons, baseline="none", resamples=199)
    assert leaders(predictions, unsure, baseline="none", resamples=199) == frozenset()


def test_the_studys_own_question_has_its_row() -> None:
    findings = found(make_predictions(), primary=[("mixed", "english")])
    sheet = main_table(findings)
    question = one_of(findings.comparisons, baseline="english")
    assert sheet.blocks[-1].title == "the study's own question"
    assert number(sheet, "mixed − english", "xcopa unseen").value == question.gain
    assert cell(sheet, "mixed − english", "xcopa avg") == ""
    assert not number(sheet, "mixed − english", "xcopa unseen").best


def test_the_headline_is_the_repaired_variant(both_variants: pl.DataFrame) -> None:
    findings = found(both_variants)
    sheet = main_table(findings)
    assert {one.group for one in sheet.columns[1:]} == {"xcopa (repaired)"}
    assert "xcopa (repaired): test split, the repaired variant, setting CO" in " ".join(sheet.caption)
    one = one_of(findings.comparisons, arm="mixed", language="avg")
    assert one.variant == "repaired"
    assert number(sheet, "mixed", "xcopa (repaired) avg").value == one.gain


def test_the_other_variant_is_another_target(both_variants: pl.DataFrame) -> None:
    published = main_table(found(both_variants, variant="published"))
    assert "as published" in " ".join(published.caption)
    both = main_table(found(both_variants, variant="both"))
    assert list(dict.fromkeys(one.group for one in both.columns[1:])) == ["xcopa (published)", "xcopa (repaired)"]
    values = [number(both, "mixed", f"xcopa ({name}) avg").value for name in ("published", "repaired")]
    assert values[0] == number(published, "mixed", "xcopa avg").value
    assert values[0] != values[1]


def test_languages_stand_below_their_averages_and_seen_ones_apart() -> None:
    findings = found(make_predictions())
    (sheet,) = language_tables(findings)
    assert [block.title for block in sheet.blocks] == [
        "",
        "in no arm's intermediate data",
        "in some arm's intermediate data",
    ]
    assert [row[0] for row in sheet.rows] == [
        *("unseen", "avg"),
        *("Estonian (et)", "Swahili (sw)"),
        *("English (en)", "Thai (th)", "Chinese (zh)"),
    ]
    one = one_of(findings.comparisons, arm="mixed", language="th")
    assert number(sheet, "Thai (th)", "mixed accuracy").value == one.accuracy
    gain = number(sheet, "Thai (th)", "mixed gain")
    assert (gain.value, gain.marks[-1]) == (one.gain, "s")
    assert number(sheet, "Thai (th)", "none accuracy").value == one.baseline_accuracy
    assert "s" not in number(sheet, "Thai (th)", "english gain").marks


def test_each_target_has_its_table_of_languages_and_its_label(two_tasks: pl.DataFrame) -> None:
    sheets = language_tables(found(two_tasks))
    assert [sheet.name for sheet in sheets] == ["languages-xcopa-test-co", "languages-xnli-test-co"]
    assert "mixed gain" in [one.name for one in sheets[1].columns]
    assert "english gain" not in [one.name for one in sheets[1].columns]


def test_marks_say_what_is_significant_collapsed_and_a_control() -> None:
    findings = found(make_predictions(effects=CLEAR, n_items=120))
    control = tuple(replace(one, control="more_target_data") for one in findings.comparisons if one.arm == "english")
    others = tuple(one for one in findings.comparisons if one.arm != "english")
    sheet = main_table(replace(findings, comparisons=(*others, *control), collapsed=frozenset({("mixed", "xcopa")})))
    assert number(sheet, "mixed", "xcopa avg").marks == "*†"
    assert number(sheet, "english", "xcopa avg").marks.endswith("‡")
    caption = " ".join(sheet.caption)
    assert "*: p < .05, adjusted in its family (Holm)." in caption
    assert "†: with collapsed runs, of mixed." in caption
    assert "‡: control: more of the target's own data" in caption


def test_a_baseline_paired_in_other_seeds_has_a_row_for_each() -> None:
    predictions = make_predictions(seeds=(0, 1, 2))
    partial = predictions.filter(~((pl.col("arm") == "mixed") & (pl.col("target_seed") == 2)))
    sheet = main_table(found(partial))
    assert [row[0] for row in sheet.blocks[0].rows] == ["none (accuracy)", "none (paired with mixed)"]
    caption = " ".join(sheet.caption)
    assert "mixed: target seed 2 on one side only, left out on xcopa" in caption
    assert "2 to 3 pairs of runs an arm" in caption


def test_without_a_comparison_there_is_no_table() -> None:
    with pytest.raises(ResultsError, match="no comparison"):
        main_table(Findings(comparisons=(), settings={}))


def test_a_leader_is_of_one_target() -> None:
    predictions = make_predictions(effects=CLEAR, n_items=120)
    target = ("xcopa", "published", "test", "CO", "xcopa")
    assert Leader(target=target, language="avg_unseen", arm="mixed") in found(predictions).leaders
