import polars as pl
import pytest

from tests.predictions import make_predictions, make_stages
from xfer_bench.frames import STAGES, conform
from xfer_bench.report.training import Span, render_training, trained, training_notes, training_rows

PREDICTIONS = make_predictions(effects={"none": 0.0, "english": 0.2})


def stages() -> pl.DataFrame:
    """Two intermediate stages before the target's; tokens differ from seed to seed."""
    rows = make_stages(PREDICTIONS)
    second = rows.filter(role="intermediate").with_columns(
        task=pl.lit("c3+kobest"),
        position=pl.lit(1, dtype=pl.Int64),
        languages=pl.lit(["ko", "zh"]),
        examples=pl.lit(600, dtype=pl.Int64),
    )
    target = (pl.col("role") == "target") & (pl.col("arm") == "english")
    moved = rows.with_columns(
        position=pl.when(target).then(2).otherwise("position").cast(pl.Int64),
        tokens=pl.col("tokens") + 2_000 * pl.col("target_seed"),
    )
    return conform(pl.concat([moved, second]), STAGES)


def test_stages_of_one_role_are_summed_and_runs_averaged() -> None:
    none, english = trained(PREDICTIONS, stages())
    assert (none.arm, none.runs, none.intermediate) == ("none", 2, None)
    assert english.intermediate is not None
    assert english.final is not None
    assert english.intermediate.tasks == "english_task, then c3+kobest"
    assert english.intermediate.languages == ("en", "ko", "zh")
    assert english.intermediate.examples == Span(mean=1000.0, least=1000, most=1000)
    assert english.intermediate.steps == Span(mean=100.0, least=100, most=100)
    assert english.intermediate.tokens == Span(mean=21_000.0, least=20_000, most=22_000)
    assert (english.final.tasks, english.final.examples) == ("xcopa", Span(mean=400.0, least=400, most=400))


def test_a_line_says_mean_least_and_most_where_they_differ() -> None:
    (page,) = render_training(trained(PREDICTIONS, stages()), "table")
    cells = [[cell.strip() for cell in line.split("|")] for line in page.splitlines() if "|" in line]
    assert page.splitlines()[0] == "xcopa, CO: what each arm was trained on"
    assert cells[0] == ["arm", "runs", "stages", "trained on", "languages", "examples", "steps", "tokens"]
    assert cells[1] == ["none", "2", "target", "xcopa", "en", "400", "50", "11.0k (10.0k-12.0k)"]
    assert cells[2][4:] == ["en ko zh", "1,000", "100", "21.0k (20.0k-22.0k)"]
    assert [cells[2][3], cells[3][3]] == ["english_task,", "then c3+kobest"]
    assert max(map(len, page.splitlines())) <= 100
    assert page.isascii()


def test_many_languages_and_large_numbers_fit() -> None:
    many = stages().with_columns(
        pl.lit([f"l{place:02d}" for place in range(15)]).alias("languages"),
        pl.col("tokens") * 12_345,
        pl.col("examples") * 1_000 + pl.col("target_seed"),
    )
    (page,) = render_training(trained(PREDICTIONS, many), "table")
    assert "... (15)" in page
    assert "135.79M" in page
    assert max(map(len, page.splitlines())) <= 100


def test_nothing_known_is_not_nought() -> None:
    unknown = stages().with_columns(tokens=pl.lit(None, dtype=pl.Int64))
    rows = training_rows(trained(PREDICTIONS, unknown))
    assert [row["target_tokens"] for row in rows] == [None, None]
    assert [row["intermediate_examples"] for row in rows] == [None, 1000.0]
    assert trained(PREDICTIONS, stages().clear()) == ()
    assert render_training((), "table") == []


def test_a_run_that_is_not_compared_is_not_counted() -> None:
    some = PREDICTIONS.filter(pl.col("run") != "english-1")
    assert [one.runs for one in trained(some, stages())] == [2, 1]


def test_targets_have_tables_of_their_own_under_the_setting_of_the_predictions() -> None:
    two = pl.concat([PREDICTIONS, PREDICTIONS.with_columns(target=pl.lit("xnli"), task=pl.lit("xnli"))])
    told = two.with_columns(setting=pl.lit("CO, chosen by hand"))
    tables = render_training(trained(told, make_stages(two)), "markdown")
    assert [table.splitlines()[0] for table in tables] == [
        "**xcopa, CO, chosen by hand: what each arm was trained on**",
        "**xnli, CO, chosen by hand: what each arm was trained on**",
    ]


@pytest.mark.parametrize("format_", ["table", "markdown"])
def test_a_control_is_marked(format_: str) -> None:
    marked = stages().with_columns(control=pl.when(pl.col("arm") == "english").then(pl.lit("more_target_data")))
    (page,) = render_training(trained(PREDICTIONS, marked), "table" if format_ == "table" else "markdown")
    assert "(control)" in page
    assert training_notes(trained(PREDICTIONS, marked))[1] == "control: more of the target's own data"
    assert training_notes(()) == []
    assert [row["control"] for row in training_rows(trained(PREDICTIONS, marked))] == ["", "more_target_data"]
