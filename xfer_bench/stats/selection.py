"""Which checkpoint of a training stands for it: a rule as data, applied to stored checkpoints x languages."""

import re

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.frames import PREDICTIONS, SCORES, conform
from xfer_bench.metrics import accuracy, targets_only
from xfer_bench.stats.rules import Rule

__all__ = ["Rule", "chosen", "select", "selected_scores", "steps_of_trainings"]

# What a checkpoint's name has that its siblings' have not: the digest at its end, and a step that says so.
_DIGEST = re.compile(r"-[0-9a-f]{8}$")
_STEP = re.compile(r"[/@._-]?(?:checkpoint|ckpt|step)[-_=]?([0-9]+)|@([0-9]+)")
_TRAINING = ["setting", "target", "intermediate_seed", "target_seed"]
_CHECKPOINT = ["run", "arm", *_TRAINING, "step"]
_SET = ["family", "task", "variant", "split"]
_CELL = [*_SET, "language"]


def select(predictions: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """PREDICTIONS of the chosen checkpoints alone, under one run's name for each training.

    The name and the arm are those of the training's last checkpoint, so that they are found in STAGES, and one run
    has all its languages even where the rule chooses others for some; `step` and `weights` say which were chosen.
    Where a rule is not zero-shot, `setting` says so too, for all runs of a target of which it chose in some: it is
    another setting then, which nothing compares with zero-shot runs. Targets whose runs are all of a single checkpoint
    stay as they are. Raises ResultsError as `chosen` does, and for an average, which has no predictions.
    """
    if rule.name == "average":
        raise ResultsError("an average of checkpoints has no predictions of its own; take its scores (selected_scores)")
    rows = _families(predictions)
    steps = _chosen(_grid(rows), rule).select(*_CELL, "at")
    kept = rows.join(steps, on=[*_CELL, "at"], how="semi", nulls_equal=True)
    return conform(_told(_under_one_name(kept, rows), rows, rule), PREDICTIONS)


def selected_scores(predictions: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """SCORES of what the rule chooses, under one run's name for each training; of an average, `step` is null."""
    rows = _families(predictions)
    found = _told(_under_one_name(_chosen(_grid(rows), rule), rows), rows, rule)
    return conform(found, SCORES).sort([*SCORES][:5])


def chosen(predictions: pl.DataFrame, *rules: Rule) -> pl.DataFrame:
    """What each rule chooses for each training, task, split and language: rules side by side.

    Columns: rule (its label), those of SCORES, and `steps`, the list of the steps that the accuracy is of (empty
    where a single checkpoint has none).

    The checkpoints of one training are rows with the same labels and seeds whose `run` is the same, or differs by a
    digest at its end or by a step (`checkpoint-500`, `@500`), which counts where the column `step` is null. Raises
    ResultsError for two checkpoints with one step or with none, for a checkpoint that lacks languages or items that
    its siblings have, without the validation rows that `own` and `target` go by, and for fewer than k checkpoints.
    """
    rows = _families(predictions)
    grid = _grid(rows)
    found = [
        _under_one_name(_chosen(grid, rule), rows).with_columns(pl.lit(rule.label).alias("rule")) for rule in rules
    ]
    return pl.concat(found).select("rule", *SCORES, "steps")


def steps_of_trainings(predictions: pl.DataFrame) -> list[int]:
    """Of how many steps each training has predictions. Raises ResultsError as `chosen` does."""
    return _named(targets_only(predictions))["family"].value_counts()["count"].to_list()


def _families(predictions: pl.DataFrame) -> pl.DataFrame:
    """Target rows with `family`, a number for each training, and `at`, the step also where only the name says it."""
    rows = targets_only(predictions)
    if rows.is_empty():
        raise ResultsError("no predictions of target runs to choose checkpoints from")
    return rows.join(_named(rows), on=_CHECKPOINT, how="left", nulls_equal=True)


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    """A row for each checkpoint, with `family` and `at`."""
    names = rows.select(_CHECKPOINT).unique(maintain_order=True)
    numbers: dict[tuple[object, ...], int] = {}
    families = [
        numbers.setdefault((_plain(run), _plain(arm), *training), len(numbers))
        for run, arm, *training, _ in names.iter_rows()
    ]
    steps = [step if step is not None else _said(run) for run, step in names.select("run", "step").iter_rows()]
    named = names.with_columns(pl.Series("family", families, dtype=pl.Int64), pl.Series("at", steps, dtype=pl.Int64))
    _check_steps(named)
    return named


def _plain(name: str) -> str:
    """A checkpoint's name without what its siblings do not share."""
    return _STEP.sub("", _DIGEST.sub("", name))


def _said(name: str) -> int | None:
    found = _STEP.search(_DIGEST.sub("", name))
    return int(found[1] or found[2]) if found else None


def _check_steps(named: pl.DataFrame) -> None:
    several = named.filter(pl.len().over("family") > 1)
    wrong = several.filter(pl.col("at").is_null() | pl.struct("family", "at").is_duplicated())
    if wrong.is_empty():
        return
    row = wrong.sort("family", "at", "run").row(0, named=True)
    siblings = ", ".join(several.filter(family=row["family"])["run"].unique().sort())
    said = "has no step" if row["at"] is None else f"is one of several of step {row['at']}"
    raise ResultsError(
        f"run {row['run']!r} {said} among the checkpoints of one training ({siblings}); each needs a step of its own"
    )


def _grid(rows: pl.DataFrame) -> pl.DataFrame:
    """SCORES of every checkpoint in every language, with `family` and `at`; whole, or refused."""
    steps = rows.select(*_CHECKPOINT, "family", "at").unique()
    scores = accuracy(rows).join(steps, on=_CHECKPOINT, how="left", nulls_equal=True)
    counts = scores.with_columns(
        pl.col("at").n_unique().over(_SET).alias("all_steps"),
        pl.len().over(_CELL).alias("its_steps"),
        pl.col("n_items").n_unique().over(_CELL).alias("sizes"),
    ).sort(*_CELL, "at")
    torn = counts.filter((pl.col("its_steps") < pl.col("all_steps")) | (pl.col("sizes") > 1))
    if not torn.is_empty():
        row = torn.row(0, named=True)
        what = (
            f"{row['its_steps']} of the {row['all_steps']} steps"
            if row["its_steps"] < row["all_steps"]
            else "different items at different steps"
        )
        raise ResultsError(
            f"run {row['run']!r} has {what} on {row['task']} {row['split']} in {row['language']!r}; every checkpoint "
            "of a training needs the same languages and items"
        )
    return scores


def _chosen(grid: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """The rows of the grid that a rule chooses, with `steps`; for an average one row for each cell."""
    ordered = grid.sort(*_CELL, "at")
    if rule.name == "average":
        return _averaged(ordered, rule.k or 1)
    if rule.name == "own":
        picked = ordered.join(_own(ordered, rule), on=["family", "at"], how="semi", nulls_equal=True)
    elif rule.name == "target":
        picked = ordered.join(_by_language(ordered, rule), on=[*_CELL, "at"], how="semi", nulls_equal=True)
    elif rule.name == "last":
        picked = ordered.filter(pl.col("at").eq_missing(pl.col("at").max().over("family")))
    else:
        # Sorted by step before, so that of equal ones the earliest stays first.
        best = ordered.sort("accuracy", descending=True, maintain_order=True)
        picked = best.unique(_CELL, keep="first", maintain_order=True).sort(_CELL)
    _check_nothing_lost(ordered, picked)
    return picked.with_columns(pl.concat_list("at").list.drop_nulls().alias("steps"))


def _own(ordered: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Each family's best step on its development data; a family of one checkpoint needs none."""
    many = ordered.filter(pl.col("at").n_unique().over("family") > 1)
    single = ordered.join(many, on="family", how="anti").select("family", "at").unique()
    development = many.filter((pl.col("split") == rule.split) & (pl.col("language") == rule.language))
    # The target's own task where it was scored there; its published form where there are several.
    for prefer in (pl.col("task") == pl.col("target"), pl.col("variant") == "published"):
        development = development.filter(prefer | ~prefer.any().over("family"))
    where = f"{rule.split} in {rule.language!r}"
    for family in many["family"].unique().sort():
        some, steps = development.filter(family=family), many.filter(family=family)
        run = steps.sort("at")["run"][-1]
        if some.select("task", "variant").n_unique() > 1:
            tasks = ", ".join(some["task"].unique().sort())
            raise ResultsError(f"run {run!r} has development rows of several tasks ({tasks}); keep those of its own")
        lacking = sorted({*steps["at"]} - {*some["at"]})
        if lacking:
            raise ResultsError(
                f"run {run!r} has no predictions of {where} at step {lacking[0]}, so its own development data cannot "
                "choose; evaluate every checkpoint there, or choose by another rule (last)"
            )
    best = development.sort("accuracy", "at", descending=[True, False]).unique("family", keep="first")
    return pl.concat([single, best.select("family", "at")])


def _by_language(ordered: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Each cell's step: the best on the same task's validation items in the same language, the earliest of equal ones.

    Where the task's variant has no validation items, those of the published one.
    """
    many = ordered.filter(pl.col("at").n_unique().over("family") > 1)
    single = ordered.join(many, on="family", how="anti").select(*_CELL, "at")
    held_out = many.filter(split=rule.split).drop("split")
    own, keys = [*_CELL, "at"], ["family", "task", "language", "at"]
    judged = (
        many.select(own)
        .join(held_out.select(*keys, "variant", same="accuracy"), on=[*keys, "variant"], how="left", nulls_equal=True)
        .join(held_out.filter(variant="published").select(*keys, published="accuracy"), on=keys, how="left")
        .with_columns(
            pl.when(pl.col("same").is_not_null().any().over(_CELL))
            .then("same")
            .otherwise("published")
            .alias("accuracy")
        )
    )
    missing = judged.filter(pl.col("accuracy").is_null()).sort(own)
    if not missing.is_empty():
        row = missing.join(many.select(*own, "run"), on=own).row(0, named=True)
        raise ResultsError(
            f"run {row['run']!r} has no predictions of {row['task']} {rule.split} in {row['language']!r} at step "
            f"{row['at']}, so target-language {rule.split} cannot choose; score every kept step there: "
            f"`xfer-bench eval CKPT --split {rule.split}`"
        )
    best = judged.sort("accuracy", "at", descending=[True, False]).unique(_CELL, keep="first", maintain_order=True)
    return pl.concat([single, best.select(own)])


def _averaged(ordered: pl.DataFrame, k: int) -> pl.DataFrame:
    few = ordered.filter(pl.len().over(_CELL) < k)
    if not few.is_empty():
        row = few.row(0, named=True)
        count = few.filter(pl.struct(_CELL) == pl.struct(_CELL).first()).height
        raise ResultsError(
            f"run {row['run']!r} has {count} checkpoints on {row['task']} {row['split']}; {k} are asked for"
        )
    return (
        ordered.group_by(_CELL, maintain_order=True)
        .tail(k)
        .group_by(_CELL, maintain_order=True)
        .agg(
            pl.exclude("accuracy", "step", "at").last(),
            pl.lit(None, dtype=pl.Int64).alias("step"),
            pl.col("accuracy").mean(),
            pl.col("at").drop_nulls().alias("steps"),
            pl.col("at").last(),
        )
        .select(*ordered.columns, "steps")
    )


def _check_nothing_lost(ordered: pl.DataFrame, picked: pl.DataFrame) -> None:
    lost = ordered.join(picked, on=_CELL, how="anti", nulls_equal=True)
    if not lost.is_empty():
        row = lost.row(0, named=True)
        raise ResultsError(
            f"run {row['run']!r} has no predictions of {row['task']} {row['split']} at the step that was chosen; "
            "evaluate every checkpoint there"
        )


def _under_one_name(picked: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The names of each family's last checkpoint instead of the chosen ones'."""
    last = (
        rows.select("family", "at", "run", "arm")
        .unique()
        .sort("at", nulls_last=False)
        .unique("family", keep="last", maintain_order=True)
    )
    return picked.drop("run", "arm").join(last.select("family", "run", "arm"), on="family", how="left")


def _told(picked: pl.DataFrame, rows: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """With a rule that is not zero-shot in the setting of every target in which it chose among steps."""
    if rule.zero_shot:
        return picked
    several = rows.filter(pl.col("at").n_unique().over("family") > 1).select("setting", "target").unique()
    told = picked.join(
        several.with_columns(told=pl.lit(rule.label)), on=["setting", "target"], how="left", nulls_equal=True
    )
    return told.with_columns(setting=pl.coalesce(pl.col("setting") + ", " + pl.col("told"), "setting")).drop("told")
