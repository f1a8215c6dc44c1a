"""Which predictions stand for a run: those of its own result among several steps, on the target's split.

A study that keeps checkpoints along a stage has predictions of several steps under one run's name, and one that selects
on development data has them on two splits. Comparisons need one answer to each item.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.labels import TLV
from xfer_bench.metrics import targets_only
from xfer_bench.stats.rules import Rule
from xfer_bench.stats.selection import select, steps_of_trainings
from xfer_bench.stats.variants import Narrowed, narrow

TEST = "test"

_RUN = ["run", "setting", "target"]
_PLACE = ["task", "variant", "split", "language"]
_SPLITS = ["task", "variant", "setting", "target"]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """PREDICTIONS of target runs with one answer to each item, and in `notes` what was left out for it."""

    predictions: pl.DataFrame
    notes: tuple[str, ...]


def standing(
    predictions: pl.DataFrame, stages: pl.DataFrame, *, rule: Rule | None = None, split: str | None = None
) -> Standing:
    """The predictions that stand for each run of PREDICTIONS.

    rule: chooses among the steps of every run. Without one each run stands for its own result: the step that STAGES
        have for it. Where the setting is a published one that selects by language (CO-TLV), that is what the rule
        `target` chooses, and the setting says so.
    split: only this one; by default `test` for a task and target that have it beside others.

    Raises ResultsError as `select` does, for a split that is not there, and when nothing is left.
    """
    rows = targets_only(predictions)
    if rows.is_empty():
        return Standing(predictions=rows, notes=())
    if rule is None:
        rows, notes = _published_selection(rows)
    else:
        notes = [f"steps of each run chosen by: {rule.label}", *_single_steps(rows)]
        rows = select(rows, rule)
    rows, left_out = _one_split(rows, split)
    rows, others = _own_steps(rows, stages)
    return Standing(predictions=rows, notes=(*notes, *left_out, *others))


def in_one_variant(
    predictions: pl.DataFrame,
    stages: pl.DataFrame,
    *,
    rule: Rule | None = None,
    split: str | None = None,
    choose: Callable[[pl.DataFrame], Narrowed] = narrow,
) -> Standing:
    """What stands for each run, as `standing` has it, of one variant of each task's rows.

    choose: takes the variant, as `stats.variants.narrow` does. Its notes follow those on steps.
    """
    if rule is None and not predictions["setting"].str.ends_with(TLV).any():
        known = standing(predictions, stages, split=split)
        one_form = choose(known.predictions)
        return Standing(predictions=one_form.predictions, notes=(*known.notes, *one_form.notes))
    # By language a rule may choose other steps in each variant, so the variant comes first. What the rule judges by
    # stays as it is.
    stands = _stands() if split is None else pl.col("split") == split
    one_form = choose(predictions.filter(stands))
    judges = predictions.clear() if split == Rule.split else predictions.filter(~stands)
    known = standing(pl.concat([one_form.predictions, judges]), stages, rule=rule, split=split)
    # The other variant's validation items have no test items beside them any more.
    return Standing(predictions=known.predictions.filter(stands), notes=(*known.notes, *one_form.notes))


def _stands() -> pl.Expr:
    """The rows of the test split, and of whatever there is of targets that have none."""
    tested = pl.col("split") == TEST
    return tested | ~tested.any().over("task", "setting", "target")


def own_results(predictions: pl.DataFrame, stages: pl.DataFrame) -> pl.DataFrame:
    """PREDICTIONS with one step a run: where it has several, those of the run's own result.

    That is the step of the result of its last stage in STAGES, and the highest step where STAGES do not tell it or
    there are no predictions of it.
    """
    return _own_steps(predictions, stages)[0]


def _own_steps(rows: pl.DataFrame, stages: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    steps = rows.select(*_RUN, "step").unique()
    if not steps.select(pl.struct(_RUN).is_duplicated()).to_series().any():
        return rows, []
    cells = rows.select(*_RUN, *_PLACE, "step").unique()
    # What a rule chose by language has several steps, but one in each language.
    several = cells.filter(pl.len().over(*_RUN, *_PLACE) > 1).select(_RUN).unique()
    known = steps.join(several, on=_RUN, how="semi", nulls_equal=True).join(
        _result_steps(stages), on=["run", "target"], how="left", nulls_equal=True
    )
    own = (
        # The own step last, and otherwise the highest.
        known.with_columns((pl.col("step") == pl.col("result")).fill_null(value=False).alias("is_own"))
        .sort("is_own", "step", nulls_last=False)
        .unique(_RUN, keep="last", maintain_order=True)
    )
    kept = rows.join(several, on=_RUN, how="anti", nulls_equal=True)
    chosen = rows.join(own, on=[*_RUN, "step"], how="semi", nulls_equal=True)
    others = known.height - own.height
    if not others:
        return rows, []
    notes = [
        f"each run stands for its own result; {others} other kept step{'s are' if others > 1 else ' is'} left to "
        "`figures` and `--select`"
    ]
    guessed = own.filter(~pl.col("is_own")).sort("run")
    if not guessed.is_empty():
        first, count = guessed.row(0, named=True), guessed.height
        notes.append(
            f"the highest step stands for {first['run']} (step {first['step']})"
            f"{f' and {count - 1} more' if count > 1 else ''}: no predictions or no stages tell of its own result"
        )
    return pl.concat([kept, chosen]), notes


def _result_steps(stages: pl.DataFrame) -> pl.DataFrame:
    """By run and target the step of its last stage's result: the selected one where the stage selected."""
    step = pl.coalesce("selected_step", "steps") if "selected_step" in stages.columns else pl.col("steps")
    return (
        stages.sort("position")
        .unique(["run", "target"], keep="last", maintain_order=True)
        .select("run", "target", step.alias("result"))
    )


def _one_split(rows: pl.DataFrame, split: str | None) -> tuple[pl.DataFrame, list[str]]:
    if split is not None:
        kept = rows.filter(pl.col("split") == split)
        if kept.is_empty():
            there = ", ".join(sorted(rows["split"].unique()))
            raise ResultsError(f"no predictions on {split}; there are those on {there}")
        return kept, []
    splits = rows.select(*_SPLITS, "split").unique()
    tested = splits.filter(split=TEST).select(_SPLITS)
    other = splits.filter(pl.col("split") != TEST).join(tested, on=_SPLITS, how="semi", nulls_equal=True)
    if other.is_empty():
        return rows, []
    kept = rows.join(other, on=[*_SPLITS, "split"], how="anti", nulls_equal=True)
    names = ", ".join(sorted(other["split"].unique()))
    arms = [*_SPLITS, "arm"]
    lost = rows.select(arms).unique().join(kept.select(arms).unique(), on=arms, how="anti", nulls_equal=True)
    only = f"; {', '.join(sorted(lost['arm'].unique()))}: there alone" if not lost.is_empty() else ""
    return kept, [f"predictions on {names} are left out beside those on {TEST} (`--split {names}` takes them){only}"]


def _published_selection(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Runs of a setting whose name says that it selects by language, at the steps that this chooses."""
    selects = pl.col("setting").str.ends_with(TLV).fill_null(value=False)
    by_language = rows.filter(selects)
    if by_language.is_empty():
        return rows, []
    notes = [f"{TLV[1:]}: {line}" for line in _single_steps(by_language)]
    errors = []
    found, rule = [rows.filter(~selects)], Rule(name="target")
    parts = by_language.partition_by("target", "setting", as_dict=True)
    for (target, setting), part in sorted(parts.items(), key=lambda part: [*map(str, part[0])]):
        try:
            chosen = select(part, rule)
        except ResultsError as error:
            # The study's other targets are there all the same.
            errors.append(error)
            notes.append(f"left out: {target}, {setting}: {error}")
        else:
            found.append(chosen)
            done = setting not in {*chosen["setting"]}
            notes.append(
                f"{target}, {setting}: {rule.label if done else 'nothing was chosen, it is the result itself'}"
            )
    kept = pl.concat(found)
    if kept.is_empty():
        raise errors[0]
    return kept, notes


def _single_steps(rows: pl.DataFrame) -> list[str]:
    """Where a rule chooses in some runs and others have but one step, which then have no such choice."""
    counts = steps_of_trainings(rows)
    single = counts.count(1)
    if not single:
        return []
    if single == len(counts):
        return ["every run has predictions of one step, so nothing was chosen"]
    return [f"{single} of {len(counts)} runs have predictions of one step, in which nothing was chosen"]


def twins(predictions: pl.DataFrame) -> list[str]:
    """A line for each arm whose weights are those of another arm: one model under two names.

    Social IQa before COPA is such a one, and no intermediate stage before Social IQa, then COPA.
    """
    names = predictions.select("target", "weights", "arm", "setting").unique().drop_nulls()
    shared = names.filter(pl.col("arm").n_unique().over("target", "weights") > 1)
    groups = shared.group_by("target", "weights").agg(
        pl.format("{} ({})", "arm", "setting").unique().sort().alias("names")
    )
    lines = groups.select("target", pl.col("names").list.join(" and ")).unique().sort("target", "names")
    return [f"one model under two names on {target}: {both} have the same weights" for target, both in lines.rows()]
