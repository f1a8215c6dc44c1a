"""The tables of a paper's appendix: what each arm was trained on, every run, and the arms' ranks."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import TypeAlias

import polars as pl

from xfer_bench.metrics import INTERMEDIATE
from xfer_bench.report.findings import COLLAPSED, target_heads
from xfer_bench.report.leaders import target_of
from xfer_bench.report.ranks import cautions
from xfer_bench.report.sheets import Block, Cell, Column, Number, Sheet, slug
from xfer_bench.report.tables import Settings
from xfer_bench.report.training import Amount, Span, Trained
from xfer_bench.stats.controls import controls_in_words
from xfer_bench.stats.estimates import AVG, AVG_UNSEEN, ENGLISH
from xfer_bench.stats.outcomes import Pair, Pairing
from xfer_bench.stats.ranking import Rank, Ranking

_HEADS: Mapping[str, str] = {AVG_UNSEEN: "unseen", AVG: "avg", ENGLISH: "en"}
# From how many tokens on they are told in which unit.
_UNITS = ((1e6, 1e6, " (M)", 2), (1e4, 1e3, " (k)", 1), (0.0, 1.0, "", 0))
# By target, setting and arm: the seeds of its runs, intermediate ones first.
Seeds: TypeAlias = Mapping[tuple[str, str, str], str]


def seeds_of(predictions: pl.DataFrame) -> Seeds:
    """By target, setting and arm the seeds of its runs: `0 1`, or `0 1 2 / 0` where intermediate ones are others."""
    runs = predictions.select("target", "setting", "arm", "intermediate_seed", "target_seed").unique()
    found = {}
    for (target, setting, arm), rows in runs.partition_by("target", "setting", "arm", as_dict=True).items():
        before, after = (
            " ".join(map(str, rows[name].drop_nulls().unique().sort())) for name in ("intermediate_seed", "target_seed")
        )
        found[str(target), str(setting), str(arm)] = after if before in {"", after} else f"{before} / {after}"
    return found


def arm_table(arms: Sequence[Trained], seeds: Seeds) -> Sheet:
    """What each arm's intermediate stages and each target's stage were trained on.

    Arms whose stages are the same before all targets have one row. arms: from `report.training.trained`. seeds: from
    `seeds_of`.
    """
    largest = max(
        (one.tokens.mean for arm in arms for one in (arm.intermediate, arm.final) if one and one.tokens), default=0.0
    )
    _, unit, name, decimals = next(found for found in _UNITS if largest >= found[0])

    def row(label: str, some: Sequence[Trained], amount: Amount | None) -> tuple[Cell, ...]:
        shown = [_runs(some), *_amounts(amount, unit, decimals)]
        own = dict.fromkeys(seeds.get((one.target, one.setting, one.arm), "") for one in some)
        texts: tuple[Cell, ...] = (amount.tasks, " ".join(amount.languages)) if amount else (None, "")
        return (label, *texts, *shown, " or ".join(text for text in own if text))

    before = [row(label, some, some[0].intermediate) for label, some in _alike(arms)]
    after = [row(label, some, some[0].final) for label, some in _alike_targets(arms)]
    heads = [("arm or target", True), ("trained on", True), ("languages", True), ("runs", False), ("examples", False)]
    heads += [("steps", False), (f"tokens{name}", False), ("seeds", True)]
    controls = sorted({one.control for one in arms if one.control})
    return Sheet(
        name="arms",
        title="What each arm was trained on",
        columns=tuple(Column(head, text=text) for head, text in heads),
        blocks=(
            Block(title="intermediate stages", rows=tuple(before)),
            Block(title="target stages", rows=tuple(after)),
        ),
        caption=(
            "Examples are counted each time that they are seen; steps: of the optimiser; means over runs, with the "
            "least and the most in brackets where runs differ; of whole stages, also where an earlier step was chosen.",
            "seeds: of intermediate / of target stages, once where they are the same.",
            *(f"{controls_in_words(one)}: {_names(arms, one)}." for one in controls),
        ),
    )


def seed_tables(
    several: Sequence[Pairing], stages: pl.DataFrame, *, collapsed: Collection[str], settings: Settings | None = None
) -> tuple[Sheet, ...]:
    """Every run of each target: what it had learnt in between, its accuracies, and its gains over its baseline run.

    several: from `stats.outcomes.pairings`. stages: STAGES. collapsed: runs that learnt nothing.
    """
    heads = target_heads([target_of(one) for one in several])
    learnt = _learnt(stages)
    return tuple(
        Sheet(
            name=slug("seeds", *heads[target_of(one)].split(), one.split, one.setting),
            title=f"Every run on {heads[target_of(one)]}",
            columns=_run_columns(one),
            blocks=_run_blocks(one, learnt, collapsed),
            caption=(
                f"Accuracy points on {one.split}, setting {one.setting}; a gain is over the run of {one.baseline} with "
                "the same target seed.",
                "learnt: accuracy of the last intermediate stage on its own development data.",
                *([f"{COLLAPSED}: collapsed on its own development data."] if _any(one, collapsed) else []),
            ),
            settings=settings,
        )
        for one in several
    )


def rank_table(rankings: Sequence[Ranking], *, settings: Settings) -> Sheet:
    """The arms of each target by their headline gain, with the ranks that they may have and groups of ties."""
    heads = target_heads([target_of(one) for one in rankings])
    blocks = []
    for one, head in zip(rankings, heads.values(), strict=True):
        rows = tuple(
            (
                rank.arm,
                _may_be(rank),
                Number(value=rank.group, decimals=0),
                Number(value=rank.gain, signed=True, low=rank.low, high=rank.high),
                Number(value=rank.p_best, decimals=2),
            )
            for rank in one.ranks
        )
        blocks.append(Block(title=f"{head}: {_HEADS.get(one.language, one.language)}", rows=rows))
    columns = [Column("arm", text=True), Column("rank", text=True)]
    return Sheet(
        name="ranks",
        title=f"Arms by gain over {rankings[0].baseline}",
        columns=(*columns, Column("group"), Column("gain"), Column("P(best)")),
        blocks=tuple(blocks),
        caption=(
            "rank: by the gain seen (those that the arm may have, for all arms at once).",
            "group: not certainly below the group's best.",
            f"[ ]: {100 * rankings[0].level:g} % interval over items, for these seeds.",
            "P(best): share of resamples in which the arm is the best.",
            *(f"{one}." for one in cautions(rankings)),
        ),
        settings=settings,
    )


def _may_be(one: Rank) -> str:
    return str(one.rank) if one.rank_low == one.rank_high else f"{one.rank} ({one.rank_low}–{one.rank_high})"


def _alike(arms: Sequence[Trained]) -> list[tuple[str, list[Trained]]]:
    """Arms by what they are called: with the target where their intermediate stages differ between targets."""
    found = []
    for arm in dict.fromkeys(one.arm for one in arms):
        own = [one for one in arms if one.arm == arm]
        groups: dict[Amount | None, list[Trained]] = {}
        for one in own:
            groups.setdefault(one.intermediate, []).append(one)
        for some in groups.values():
            where = ", ".join(dict.fromkeys(_where(one, arms) for one in some))
            found.append((arm if len(groups) == 1 else f"{arm} ({where})", some))
    return found


def _alike_targets(arms: Sequence[Trained]) -> list[tuple[str, list[Trained]]]:
    found = []
    for _, members in groupby(arms, key=lambda one: (one.target, one.setting)):
        groups: dict[Amount | None, list[Trained]] = {}
        for one in members:
            groups.setdefault(one.final, []).append(one)
        for amount, some in groups.items():
            name = _where(some[0], arms)
            if amount is not None:
                found.append((name if len(groups) == 1 else f"{name} ({', '.join(one.arm for one in some)})", some))
    return found


def _where(one: Trained, arms: Sequence[Trained]) -> str:
    settings = {other.setting for other in arms if other.target == one.target}
    return one.target if len(settings) == 1 else f"{one.target} {one.setting}"


def _runs(some: Sequence[Trained]) -> Number:
    """Of each target."""
    runs = [one.runs for one in some]
    return _number(Span(mean=sum(runs) / len(runs), least=min(runs), most=max(runs)), 1.0, 0)


def _amounts(amount: Amount | None, unit: float, decimals: int) -> list[Cell]:
    if amount is None:
        return ["", "", ""]
    spans = [(amount.examples, 1.0, 0), (amount.steps, 1.0, 0), (amount.tokens, unit, decimals)]
    return [None if span is None else _number(span, each, digits) for span, each, digits in spans]


def _number(span: Span, unit: float, decimals: int) -> Number:
    if span.least == span.most:
        return Number(value=span.mean / unit, decimals=decimals)
    return Number(value=span.mean / unit, decimals=decimals, low=span.least / unit, high=span.most / unit)


def _names(arms: Sequence[Trained], control: str) -> str:
    return ", ".join(dict.fromkeys(f"{one.arm} on {one.target}" for one in arms if one.control == control))


def _learnt(stages: pl.DataFrame) -> dict[tuple[str, str], float]:
    """By run and target the development accuracy of its last intermediate stage."""
    known = stages.filter((pl.col("role") == INTERMEDIATE) & pl.col("development_accuracy").is_not_null())
    last = known.sort("position").unique(["run", "target"], keep="last", maintain_order=True)
    return {(run, target): value for run, target, value in last.select("run", "target", "development_accuracy").rows()}


def _averages(one: Pairing) -> dict[str, tuple[str, ...]]:
    known = one.averages
    names = [name for name in _HEADS if name in known and not (name == AVG and known[AVG] == known.get(AVG_UNSEEN))]
    return {name: known[name] for name in names or list(known)[:1]}


def _run_columns(one: Pairing) -> tuple[Column, ...]:
    names = [_HEADS.get(name, name) for name in _averages(one)]
    pairs = [Column(part, group=name) for name in names for part in ("accuracy", "gain")]
    return (Column("arm", text=True), Column("seeds", text=True), Column("learnt"), *pairs)


def _run_blocks(one: Pairing, learnt: Mapping[tuple[str, str], float], collapsed: Collection[str]) -> tuple[Block, ...]:
    blocks = []
    for arm in one.arms:
        pairs = one.pairs_of(arm)
        rows = (_run_row(one, pair, learnt.get((pair.run, one.target)), pair.run in collapsed) for pair in pairs)
        blocks.append(Block(rows=tuple(rows)))
    return tuple(blocks)


def _run_row(one: Pairing, pair: Pair, learnt: float | None, collapsed: bool) -> tuple[Cell, ...]:
    seeds = [str(seed) for seed in (pair.intermediate_seed, pair.target_seed) if seed is not None]
    cells: list[Cell] = []
    for languages in _averages(one).values():
        places = one.places(languages)
        after, before = (100 * float(one.right[:, run, places].mean()) for run in (pair.after, pair.before))
        cells += [
            Number(value=after, marks=COLLAPSED if collapsed else ""),
            Number(value=after - before, signed=True),
        ]
    return (pair.arm, " / ".join(dict.fromkeys(seeds)), None if learnt is None else Number(value=learnt), *cells)


def _any(one: Pairing, collapsed: Collection[str]) -> bool:
    return any(pair.run in collapsed for pair in one.pairs)
