"""Rankings of arms, and what picking by a predictor loses, as text."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from xfer_bench import __version__
from xfer_bench.labels import MORE_TARGET_DATA
from xfer_bench.report.tables import (
    Format,
    Settings,
    as_json,
    between,
    block,
    footnotes,
    interval_head,
    points,
    signed,
)
from xfer_bench.stats.cautions import uncertain_ranks
from xfer_bench.stats.controls import controls_in_words
from xfer_bench.stats.ranking import Lost, Rank, Ranking, Regret

# There is one kind of control; a ranking does not tell of which kind its arms are.
_MARK = controls_in_words(MORE_TARGET_DATA)
_TARGET = ("task", "setting", "variant", "split", "target", "language")


def rank_settings(*, baseline: str, resamples: int, seed: int, level: float = 0.95) -> Settings:
    """What someone else needs to get the same ranks: the `settings` of a table."""
    return {
        "baseline": baseline,
        "method": "rank:max-t",
        "interval": "boot:pct",
        "resamples": resamples,
        "over": "items",
        "clusters": "joint",
        "seed": seed,
        "level": level,
        "version": __version__,
    }


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Everything that `xfer-bench rank` found.

    controls: rankings of controls and the baseline, of which the gains are shown and no ranks. notes: lines of the
    caller's own for below the tables.
    """

    rankings: tuple[Ranking, ...]
    regrets: tuple[Regret, ...] = ()
    controls: tuple[Ranking, ...] = ()
    notes: tuple[str, ...] = ()


def render_ranks(found: Ranks, *, format: Format, settings: Settings) -> str:
    """Rankings and regrets as text; the table is at most 100 columns wide, and ends without a line break."""
    if format == "json":
        rows = [
            *({"kind": "ranking", **asdict(one)} for one in found.rankings),
            *({"kind": "regret", **asdict(one)} for one in found.regrets),
            *(row for one in found.controls for row in _control_rows(one)),
        ]
        return as_json("ranks", rows, settings)
    if format == "csv":
        return rank_frame(found).write_csv().rstrip("\n")
    parts = []
    for one in found.rankings:
        title = f"{_where(one)}: arms by gain of {one.language} over {one.baseline}"
        heads = ["group", "arm", "rank", "may be", "gain", interval_head(one.level), "P(best)"]
        parts.append(block(title, heads, [_rank_row(rank) for rank in one.ranks], format))
        parts += [_regret_table(lost, format) for lost in found.regrets if _names(lost) == _names(one)]
    parts += [_controls_table(one, format) for one in found.controls]
    notes = [
        "may be: ranks the arm can have, for all arms at once; group: not certainly below the group's best",
        "P(best): share of resamples in which it is best, the baseline among the arms; for these seeds",
    ]
    if found.regrets:
        notes += [
            "lost: best gain minus that of the best of the k tried (Regret@k), also as a share of the best gain",
            "and (as in Poth et al. 2021) of the best accuracy; random: points lost by any k arms, on average",
        ]
    notes += [f"caution: {one}" for one in cautions(found.rankings)]
    return "\n\n".join([*parts, footnotes([*notes, *found.notes], settings, format)])


def cautions(rankings: Sequence[Ranking]) -> list[str]:
    """What the numbers of clusters do not allow, a line for each."""
    return [*dict.fromkeys(filter(None, (uncertain_ranks(one.n_clusters) for one in rankings)))]


def rank_frame(found: Ranks) -> pl.DataFrame:
    """One row per arm of a ranking, then one per k of a regret, then one per control; `kind` says which."""
    rows: list[dict[str, Any]] = [
        {"kind": "rank", **_names(one), "baseline": one.baseline, **asdict(rank)}
        for one in found.rankings
        for rank in one.ranks
    ]
    rows += [
        {"kind": "regret", **_names(one), "predictor": one.predictor, "best": one.best,
         **asdict(lost), "picked": " ".join(lost.picked)}
        for one in found.regrets
        for lost in one.lost
    ]  # fmt: skip
    rows += [row for one in found.controls for row in _control_rows(one)]
    return pl.DataFrame(rows, infer_schema_length=None)


def _control_rows(one: Ranking) -> list[dict[str, Any]]:
    """A row of gains for each control; ranks among controls would be ranks of something else."""
    return [
        {"kind": "control", **_names(one), "baseline": one.baseline,
         **{name: getattr(rank, name) for name in ("arm", "gain", "low", "high")}}
        for rank in one.ranks
        if rank.arm != one.baseline
    ]  # fmt: skip


def _controls_table(one: Ranking, format: Format) -> str:
    title = f"{_where(one)}: {_MARK}, gain of {one.language} over {one.baseline}"
    rows = [
        [rank.arm, signed(rank.gain), between(rank.low, rank.high)] for rank in one.ranks if rank.arm != one.baseline
    ]
    return block(title, ["arm", "gain", interval_head(one.level)], rows, format)


def _rank_row(one: Rank) -> list[str]:
    may_be = str(one.rank_low) if one.rank_low == one.rank_high else f"{one.rank_low} to {one.rank_high}"
    chance = "<.01" if 0 < one.p_best < 0.01 else f"{one.p_best:.2f}".replace("0.", ".", 1)
    return [str(one.group), one.arm, str(one.rank), may_be, signed(one.gain), between(one.low, one.high), chance]


def _regret_table(one: Regret, format: Format) -> str:
    # The best arm comes first, since a line is drawn wherever the first column changes.
    heads = ["best", "k", "tried", "lost", interval_head(one.level), "of gain", "of accuracy", "random"]
    title = f"points lost by trying only the first k arms by {one.predictor}"
    return block(title, heads, [[one.best, *_lost_row(lost)] for lost in one.lost], format)


def _lost_row(one: Lost) -> list[str]:
    return [
        str(one.k),
        ", ".join(one.picked),
        points(one.points),
        # Without the sign of a nought below nought.
        f"[{one.low + 0.0:.1f}, {one.high + 0.0:.1f}]",
        _share(one.relative),
        _share(one.of_accuracy),
        points(one.random),
    ]


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _where(one: Ranking) -> str:
    variant = "" if one.variant == "published" else f" ({one.variant})"
    after = "" if one.target == one.task else f" after {one.target}"
    return f"{one.task}{variant} {one.split}{after}, setting {one.setting}"


def _names(one: Ranking | Regret) -> dict[str, str]:
    return {name: getattr(one, name) for name in _TARGET}
