"""Which checkpoint of a training stands for it: a rule as data, applied to stored checkpoints x languages."""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.frames import PREDICTIONS, SCORES, conform
from xfer_bench.metrics import accuracy, targets_only
from xfer_bench.stats.estimates import ENGLISH

RuleName: TypeAlias = Literal["own", "last", "oracle", "average"]

# What a checkpoint's name has that its siblings' have not: the digest at its end, and a step that says so.
_DIGEST = re.compile(r"-[0-9a-f]{8}$")
_STEP = re.compile(r"[/@._-]?(?:checkpoint|ckpt|step)[-_=]?([0-9]+)|@([0-9]+)")
_TRAINING = ["setting", "target", "intermediate_seed", "target_seed"]
_SET = ["family", "task", "variant", "split"]
_CELL = [*_SET, "language"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a checkpoint is chosen among those of one training; of equal ones the earliest.

    own: by the accuracy on the training language's development split, which zero-shot transfer may see. last: the
    last step. oracle: for each target language the best on the very items that are scored, which no one may see: an
    upper bound. average: none is chosen; the accuracies of the last k are averaged.
    """

    name: RuleName
    k: int | None = None
    split: str = "validation"
    language: str = ENGLISH

    def __post_init__(self) -> None:
        if self.name not in get_args(RuleName):
            raise ResultsError(f"no selection rule named {self.name!r}; choose one of own, last, oracle, average:K")
        if (self.name == "average") != (self.k is not None) or (self.k is not None and self.k < 1):
            raise ResultsError(
                f"the rule {self.name!r} cannot have k = {self.k}; average:K has a K from 1, others none"
            )

    @classmethod
    def from_text(cls, text: str) -> "Rule":
        """`own`, `last`, `oracle` or `average:3`. Raises ResultsError for another."""
        name, colon, count = text.partition(":")
        if name not in get_args(RuleName) or bool(colon) != (name == "average") or (colon and not count.isdecimal()):
            raise ResultsError(f"no selection rule {text!r}; choose one of own, last, oracle, average:K, as average:3")
        return cls(name=name, k=int(count) if colon else None)  # type: ignore[arg-type]

    @property
    def label(self) -> str:
        """For a table: what was done, and whether transfer is still zero-shot."""
        return {
            "own": f"own development ({self.language} {self.split})",
            "last": "last",
            "oracle": "oracle (not zero-shot)",
            "average": f"average of the last {self.k}",
        }[self.name]


def select(predictions: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """PREDICTIONS of the chosen checkpoints alone, under one run's name for each training.

    The name and the arm are those of the training's last checkpoint, so that they are found in STAGES, and one run
    has all its languages even where the rule chooses others for some; `step` and `weights` say which were chosen.
    Runs of a single checkpoint stay as they are. Raises ResultsError as `chosen` does, and for an average, which
    has no predictions.
    """
    if rule.name == "average":
        raise ResultsError("an average of checkpoints has no predictions of its own; take its scores (selected_scores)")
    rows = _families(predictions)
    steps = _chosen(_grid(rows), rule).select(*_CELL, "at")
    kept = rows.join(steps, on=[*_CELL, "at"], how="semi", nulls_equal=True)
    return conform(_under_one_name(kept, rows), PREDICTIONS)


def selected_scores(predictions: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """SCORES of what the rule chooses, under one run's name for each training; of an average, `step` is null."""
    rows = _families(predictions)
    return conform(_under_one_name(_chosen(_grid(rows), rule), rows), SCORES).sort([*SCORES][:5])


def chosen(predictions: pl.DataFrame, *rules: Rule) -> pl.DataFrame:
    """What each rule chooses for each training, task, split and language: rules side by side.

    Columns: rule (its label), those of SCORES, and `steps`, the list of the steps that the accuracy is of (empty
    where a single checkpoint has none).

    The checkpoints of one training are rows with the same labels and seeds whose `run` is the same, or differs by a
    digest at its end or by a step (`checkpoint-500`, `@500`), which counts where the column `step` is null. Raises
    ResultsError for two checkpoints with one step or with none, for a checkpoint that lacks languages or items that
    its siblings have, without development rows for `own`, and for fewer than k checkpoints.
    """
    rows = _families(predictions)
    grid = _grid(rows)
    found = [
        _under_one_name(_chosen(grid, rule), rows).with_columns(pl.lit(rule.label).alias("rule")) for rule in rules
    ]
    return pl.concat(found).select("rule", *SCORES, "steps")


def _families(predictions: pl.DataFrame) -> pl.DataFrame:
    """Target rows with `family`, a number for each training, and `at`, the step also where only the name says it."""
    rows = targets_only(predictions)
    if rows.is_empty():
        raise ResultsError("no predictions of target runs to choose checkpoints from")
    keys = ["run", "arm", *_TRAINING, "step"]
    names = rows.select(keys).unique(maintain_order=True)
    numbers: dict[tuple[object, ...], int] = {}
    families = [
        numbers.setdefault((_plain(run), _plain(arm), *training), len(numbers))
        for run, arm, *training, _ in names.iter_rows()
    ]
    steps = [step if step is not None else _said(run) for run, step in names.select("run", "step").iter_rows()]
    named = names.with_columns(pl.Series("family", families, dtype=pl.Int64), pl.Series("at", steps, dtype=pl.Int64))
    _check_steps(named)
    return rows.join(named, on=keys, how="left", nulls_equal=True)


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
    keys = ["run", "arm", *_TRAINING, "step"]
    scores = accuracy(rows).join(rows.select(*keys, "family", "at").unique(), on=keys, how="left", nulls_equal=True)
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
