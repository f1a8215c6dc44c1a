"""Which variant of a task's rows stands in a comparison: those as published, or those put right.

A task that was published with errors has its rows twice in PREDICTIONS. They are the same items, so that whoever took
both would count every item twice; and runs that were scored on different ones were asked different questions.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.metrics import targets_only
from xfer_bench.sources.repairs import repair_of
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import PUBLISHED, REPAIRED

BOTH = "both"
MIXED = "mixed"

_SET = ["task", "split"]
_CELL = ["arm", "run", "setting", "target", "step", "language"]


@dataclass(frozen=True, kw_only=True)
class Narrowed:
    """PREDICTIONS with one variant of each task and split, and in `notes` which, for people."""

    predictions: pl.DataFrame
    notes: tuple[str, ...]


def narrow(
    predictions: pl.DataFrame,
    *,
    variant: str | None = None,
    across: bool = False,
    arms: Collection[str] | None = None,
) -> Narrowed:
    """PREDICTIONS of one variant of each task and split: of the headline's, unless another is asked for.

    variant: `published`, `repaired`, or `both` to keep all there are; a task that has but one form keeps it. Whatever
        stands beside published numbers takes the published one. across: where no variant is shared by all runs, each
        run stands with the one that it has, and the variant is called `mixed`: a difference is then one of questions
        too. arms: whose runs have to share a variant; by default all.

    Raises ResultsError where no variant is shared, and for a variant that a task has and these predictions have not.
    """
    if across and variant is not None:
        raise ResultsError(f"--variant {variant} takes one variant, and --across-variants several; leave one out")
    if variant == BOTH:
        return Narrowed(predictions=predictions, notes=())
    notes: list[str] = []
    chosen: dict[tuple[str, str], str] = {}
    holdings = _holdings(predictions)
    for (task, split), held in sorted(holdings.items()):
        if variant is not None and held.has(variant):
            one = variant
            notes += [*held.left_out(variant), *held.told(one, asked=True)]
        else:
            one = held.headline(across=across, arms=arms)
            notes += held.told(one, arms=arms)
        chosen[task, split] = one
    several = any(len(held.variants) > 1 for held in holdings.values())
    return Narrowed(predictions=_kept(predictions, chosen) if several else predictions, notes=tuple(notes))


def headline_variant(predictions: pl.DataFrame, *, task: str, split: str = "test") -> str:
    """The variant that stands for a task in PREDICTIONS: `repaired` where all runs have it in all their languages.

    Otherwise `published`, where all have that. Raises ResultsError where none is shared, and when nothing is there.
    """
    held = _holdings(predictions).get((task, split))
    if held is None:
        raise ResultsError(f"no predictions on {task} {split}")
    return held.headline()


def wrong_languages(task: str, split: str) -> tuple[str, ...]:
    """The languages in which a task of ours was published with errors that its repaired variant has not."""
    known = TASKS.get(task)
    repair = None if known is None else repair_of(known)
    return () if repair is None else repair.languages(split)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Held:
    """Who has which variants of one task and split. cells: one row for each of `_CELL`, with its list of variants."""

    task: str
    split: str
    cells: pl.DataFrame

    @property
    def variants(self) -> list[str]:
        """Those that anyone has, the preferred one first."""
        there = set(self.cells["variants"].explode())
        return [name for name in (REPAIRED, PUBLISHED, *sorted(there - {REPAIRED, PUBLISHED})) if name in there]

    @property
    def where(self) -> str:
        """In which of these languages rows are wrong as published."""
        there = set(self.cells["language"])
        wrong = [language for language in wrong_languages(self.task, self.split) if language in there]
        return f" in {', '.join(wrong)}" if wrong else ""

    def has(self, variant: str) -> bool:
        """Whether somebody has the variant that was asked for; no where the task has no such form.

        Raises ResultsError where the task has it and nobody does.
        """
        if variant in self.variants:
            return True
        known = TASKS.get(self.task)
        if known is None or variant not in known.variants or not set(self.variants) <= set(known.variants):
            return False
        raise ResultsError(
            f"no {variant} rows of {self.task} {self.split} in these predictions, only {', '.join(self.variants)}; "
            f"`xfer-bench eval CKPT -t {self.task} --variant {variant}` adds them"
        )

    def headline(self, *, across: bool = False, arms: Collection[str] | None = None) -> str:
        """The preferred variant that all share."""
        if len(self.variants) == 1:
            return self.variants[0]
        shared = [name for name in self.variants if not self.lacking(name, arms=arms)]
        if shared:
            return shared[0]
        if across:
            return MIXED
        raise ResultsError(
            f"{self.task} {self.split}: no variant of the rows is shared by all arms ({self.holders(arms=arms)}), and "
            "they ask different questions; score all on one "
            f"(`xfer-bench eval CKPT -t {self.task} --variant {self.variants[0]}`), or compare across them with "
            "--across-variants"
        )

    def lacking(self, variant: str, *, arms: Collection[str] | None = None) -> list[str]:
        """The arms of which some run has no rows of this variant in a language in which it has others."""
        without = _of(self.cells, arms).filter(~pl.col("variants").list.contains(variant))
        return [str(arm) for arm in without["arm"].unique().sort()]

    def holders(self, *, arms: Collection[str] | None) -> str:
        """Who has what, in words."""
        everyone = {str(arm) for arm in _of(self.cells, arms)["arm"].unique()}
        held = {name: sorted(everyone - {*self.lacking(name, arms=arms)}) for name in reversed(self.variants)}
        parts = sorted(everyone.difference(*held.values()))
        named = [f"{name}: {', '.join(names)}" for name, names in held.items() if names]
        return "; ".join([*named, *([f"parts of both: {', '.join(parts)}"] if parts else [])])

    def left_out(self, variant: str) -> list[str]:
        """A line about arms that have no such rows."""
        without = ", ".join(self.lacking(variant))
        return [f"left out on {self.task} {self.split}, for want of {variant} rows: {without}"] if without else []

    def told(self, chosen: str, *, arms: Collection[str] | None = None, asked: bool = False) -> list[str]:
        """A line about which variant it is, and why, where there are several or there should be.

        asked: somebody asked for it, and needs no telling how to ask for another.
        """
        place, where = f"{self.task} {self.split}", self.where
        if chosen == MIXED:
            held = self.holders(arms=arms)
            return [f"{place}: variants mixed ({held}); a difference between arms is also one of rows{where}"]
        if chosen == REPAIRED and len(self.variants) > 1:
            return [f"{place}: rows repaired{where}{'' if asked else '; --variant published takes them as published'}"]
        if chosen != PUBLISHED or not where:
            return []
        line = f"{place}: rows as published, some of them wrong{where}"
        if asked:
            return [line]
        if len(self.variants) == 1:
            return [f"{line}; `xfer-bench eval` adds repaired ones"]
        return [f"{line}; repaired ones are lacking of {', '.join(self.lacking(REPAIRED, arms=arms))}"]


def _holdings(predictions: pl.DataFrame) -> dict[tuple[str, str], _Held]:
    cells = (
        predictions.select(*_SET, *_CELL, "variant")
        .unique()
        .group_by(*_SET, *_CELL)
        .agg(pl.col("variant").alias("variants"))
    )
    # What was scored between stages is compared with nothing.
    of_targets = targets_only(cells)
    parts = (cells if of_targets.is_empty() else of_targets).partition_by(_SET, as_dict=True)
    return {
        (str(task), str(split)): _Held(task=str(task), split=str(split), cells=some)
        for (task, split), some in parts.items()
    }


def _of(cells: pl.DataFrame, arms: Collection[str] | None) -> pl.DataFrame:
    return cells if arms is None else cells.filter(pl.col("arm").is_in(list(arms)))


def _kept(predictions: pl.DataFrame, chosen: Mapping[tuple[str, str], str]) -> pl.DataFrame:
    """The rows of the variants chosen, in their order."""
    table = pl.DataFrame(
        [(*place, variant) for place, variant in chosen.items()],
        schema=dict.fromkeys((*_SET, "chosen"), pl.String),
        orient="row",
    )
    rows = predictions.join(table, on=_SET, how="left", maintain_order="left", nulls_equal=True)
    repaired, mixed = pl.col("variant") == REPAIRED, pl.col("chosen") == MIXED
    best = repaired | ~repaired.any().over(*_SET, *_CELL) if (table["chosen"] == MIXED).any() else pl.lit(value=True)
    # Of a set without a run of a target nothing was chosen, and nothing is taken away.
    kept = rows.filter(pl.col("chosen").is_null() | (pl.col("variant") == pl.col("chosen")) | (mixed & best))
    return kept.with_columns(variant=pl.when(mixed).then(pl.lit(MIXED)).otherwise("variant")).drop("chosen")
