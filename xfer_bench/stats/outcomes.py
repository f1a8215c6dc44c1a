"""Predictions as arrays: who was right on which item."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.metrics import check_named, check_printable, targets_only, with_correct
from xfer_bench.stats.bootstrap import Numbers
from xfer_bench.stats.estimates import AVG, AVG_PUBLISHED, AVG_UNSEEN, ENGLISH
from xfer_bench.tasks import TASKS

MISSING = -1

TARGET = ["task", "variant", "split", "setting", "target"]
_SEEDS = ["intermediate_seed", "target_seed"]
_RUN = ["arm", "run", *_SEEDS]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcomes:
    """Cells against items.

    cells: a frame of one row per cell, sorted. items: a frame of `item` and `cluster`, sorted by cluster.
    right: (cells, items) int8, 1 right, 0 wrong, -1 no prediction.
    """

    cells: pl.DataFrame
    items: pl.DataFrame
    right: npt.NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A run and the baseline's run that it is measured against; `after` and `before` are their places in `right`."""

    arm: str
    run: str
    intermediate_seed: int | None
    target_seed: int | None
    after: int
    before: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairing:
    """All runs of one target that have a baseline run, over the same items in the same languages.

    right: (items, runs, languages) int8, 1 right and 0 wrong. clusters: (items,) labels.
    seen: the (arm, language) of which the arm's intermediate data contain the language. Unknown counts as seen, and
        stands in `unknown` too.
    dropped: by arm, the target seeds that only one of the two sides has, and that therefore count on neither.
    """

    task: str
    variant: str
    split: str
    setting: str
    target: str
    baseline: str
    pairs: tuple[Pair, ...]
    languages: tuple[str, ...]
    seen: frozenset[tuple[str, str]]
    dropped: Mapping[str, tuple[int | None, ...]]
    clusters: Numbers
    right: npt.NDArray[np.int8]
    unknown: frozenset[tuple[str, str]] = frozenset()

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms compared with the baseline, sorted."""
        return tuple(sorted({pair.arm for pair in self.pairs}))

    @property
    def averages(self) -> dict[str, tuple[str, ...]]:
        """What is averaged: `avg_unseen`, `avg` and `avg_published`, then each language alone.

        Unseen are the languages that no arm here, nor the baseline, has in its intermediate data. The published average
        is the benchmark's own convention, and is there where it is another than `avg`. None is over no language.
        """
        others = tuple(language for language in self.languages if language != ENGLISH)
        everyone = (*self.arms, self.baseline)
        unseen = tuple(code for code in others if not any((arm, code) in self.seen for arm in everyone))
        task = TASKS.get(self.task)
        published = self.languages if task is not None and task.averages_english else others
        named = {AVG_UNSEEN: unseen, AVG: others, **({AVG_PUBLISHED: published} if published != others else {})}
        named |= {language: (language,) for language in self.languages}
        return {name: languages for name, languages in named.items() if languages}

    def pairs_of(self, arm: str) -> list[Pair]:
        """The runs of one arm with what they are measured against."""
        return [pair for pair in self.pairs if pair.arm == arm]

    def places(self, languages: Sequence[str]) -> list[int]:
        """Where these languages lie in `right`."""
        return [self.languages.index(language) for language in languages]


def tabulate(predictions: pl.DataFrame, *, cells: Sequence[str]) -> Outcomes:
    """PREDICTIONS of one task, variant and split as cells (distinct values of these columns) against items.

    Raises ResultsError for a null answer and for an item that a cell holds twice.
    """
    marked = with_correct(predictions)
    rows = marked.select(cells).unique().sort(cells, nulls_last=False)
    items = marked.select("item", "cluster").unique().sort("cluster", "item")
    places = marked.join(rows.with_row_index("row"), on=list(cells), how="left", nulls_equal=True).join(
        items.with_row_index("column"), on=["item", "cluster"], how="left", nulls_equal=True
    )
    right = np.full((len(rows), len(items)), MISSING, dtype=np.int8)
    right[places["row"].to_numpy(), places["column"].to_numpy()] = places["correct"].to_numpy()
    if np.count_nonzero(right != MISSING) < len(marked):
        twice = marked.filter(pl.struct([*cells, "item", "cluster"]).is_duplicated()).row(0, named=True)
        raise ResultsError(
            f"run {twice['run']!r} has several predictions for item {twice['item']!r} of {twice['task']} "
            f"{twice['split']} in {twice['language']!r}; keep those of one step (`stats.standing`), and each item once"
        )
    return Outcomes(cells=rows, items=items, right=right)


def pairings(predictions: pl.DataFrame, *, baseline: str, arms: Collection[str] | None = None) -> Iterator[Pairing]:
    """Each target of PREDICTIONS with its paired runs; a run without a baseline of its target seed drops out.

    arms: those that are measured against the baseline; by default all others.

    Raises ResultsError when a run lacks a language or an item that the others have, and for rows without a name or
    with one that no table can show.
    """
    targets = targets_only(predictions)
    check_named(targets, "arm", "run", "task", "split", "language")
    for key, rows in sorted(targets.partition_by(TARGET, as_dict=True).items(), key=lambda part: [*map(str, part[0])]):
        for name, value in zip(TARGET, map(str, key), strict=True):
            check_printable(value, what=name)
        chosen = rows if arms is None else rows.filter(pl.col("arm").is_in([*arms, baseline]))
        matched = _matched_runs(chosen, baseline)
        if not matched.is_empty():
            yield _pairing(dict(zip(TARGET, map(str, key), strict=True)), chosen, matched, baseline)


def _matched_runs(rows: pl.DataFrame, baseline: str) -> pl.DataFrame:
    """One row per paired run: arm, run, intermediate_seed, target_seed, and the baseline's run as `before`.

    A baseline with one run for each target seed is shared by all runs with that seed. One with several, from several
    intermediate seeds, gives each run the one with both of its seeds: its intermediate seeds are its own, so any
    pairing of them with the other arm's is as good, and this one is the same for everybody.
    """
    runs = rows.select(_RUN).unique()
    before = runs.filter(pl.col("arm") == baseline).select(pl.col("run").alias("before"), *_SEEDS)
    by = ["target_seed"] if not before["target_seed"].is_duplicated().any() else _SEEDS
    twice = before.filter(pl.struct(by).is_duplicated()).sort("before")
    if not twice.is_empty():
        seed = twice["target_seed"][0]
        which = "without a target seed" if seed is None else f"with target seed {seed}"
        raise ResultsError(
            f"the baseline {baseline!r} has several runs {which}: {', '.join(twice['before'].head(2))}; it "
            "may have one per target seed, or per pair of seeds"
        )
    # Checkpoints from elsewhere have no seeds; they pair as they are.
    others = runs.filter(pl.col("arm") != baseline)
    return others.join(before.select("before", *by), on=by, how="inner", nulls_equal=True).sort("arm", "run")


def _dropped(rows: pl.DataFrame, matched: pl.DataFrame, baseline: str) -> dict[str, tuple[int | None, ...]]:
    """By arm, the target seeds of its own or the baseline's runs that no pair of it has."""
    runs = rows.select(_RUN).unique()
    seeds = {arm: set(some["target_seed"]) for (arm,), some in runs.partition_by("arm", as_dict=True).items()}
    paired = {arm: set(some["target_seed"]) for (arm,), some in matched.partition_by("arm", as_dict=True).items()}
    return {
        arm: tuple(sorted((seeds[arm] | seeds[baseline]) - kept, key=lambda seed: (seed is None, seed)))
        for arm, kept in paired.items()
    }


def _pairing(names: dict[str, str], rows: pl.DataFrame, matched: pl.DataFrame, baseline: str) -> Pairing:
    runs = sorted({*matched["run"], *matched["before"]})
    kept = rows.filter(pl.col("run").is_in(runs))
    outcomes = tabulate(kept, cells=["run", "language"])
    _check_complete(outcomes, kept, where=f"{names['task']} {names['split']}")
    languages: tuple[str, ...] = tuple(sorted(kept["language"].unique()))
    seen = kept.filter(
        pl.col("seen_in_intermediate").fill_null(value=True)
        # A checkpoint from elsewhere tells nothing; as the baseline it hides no language from the others.
        & ((pl.col("arm") != baseline) | pl.col("seen_in_intermediate").is_not_null())
    )
    pairs = tuple(
        Pair(
            arm=row["arm"],
            run=row["run"],
            intermediate_seed=row["intermediate_seed"],
            target_seed=row["target_seed"],
            after=runs.index(row["run"]),
            before=runs.index(row["before"]),
        )
        for row in matched.iter_rows(named=True)
    )
    return Pairing(
        **names,
        baseline=baseline,
        pairs=pairs,
        languages=languages,
        seen=frozenset(seen.select("arm", "language").unique().rows()),
        unknown=frozenset(
            kept.filter(pl.col("seen_in_intermediate").is_null()).select("arm", "language").unique().rows()
        ),
        dropped=_dropped(rows, matched, baseline),
        clusters=outcomes.items["cluster"].to_numpy(),
        right=np.moveaxis(outcomes.right.reshape(len(runs), len(languages), -1), 2, 0),
    )


def _check_complete(outcomes: Outcomes, rows: pl.DataFrame, *, where: str) -> None:
    """Every run has every language and every item in it, and an item is in one cluster."""
    items = outcomes.items
    torn = items.filter(pl.col("item").is_duplicated())
    if not torn.is_empty():
        clusters = torn.filter(pl.col("item") == torn["item"][0])["cluster"].to_list()
        raise ResultsError(
            f"item {torn['item'][0]!r} of {where} is in the clusters {clusters[0]!r} and {clusters[1]!r}; "
            "it may be in one, the same in every run and language"
        )
    arm_of: dict[str, str] = dict(rows.select("run", "arm").unique().iter_rows())
    present = set(outcomes.cells.iter_rows())
    for run in sorted(arm_of):
        for language in sorted(rows["language"].unique()):
            if (run, language) not in present:
                raise ResultsError(
                    f"arm {arm_of[run]!r} (run {run}) lacks the language {language!r} of {where}, which others have "
                    f"(item {items['item'][0]!r}, for example)"
                )
    for place, (run, language) in enumerate(outcomes.cells.iter_rows()):
        absent = np.flatnonzero(outcomes.right[place] == MISSING)
        if len(absent):
            many = "1 item" if len(absent) == 1 else f"{len(absent)} items"
            raise ResultsError(
                f"arm {arm_of[run]!r} (run {run}) lacks {many} of {where} in {language!r} that others "
                f"have, for example {items['item'][int(absent[0])]!r}"
            )
