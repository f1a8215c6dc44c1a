"""The sentences of captions, from the table of a figure alone: n, seeds, interval, test, order, and what marks mean."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from xfer_bench.plotting.subject import PUBLISHED, TARGET
from xfer_bench.stats.estimates import AVERAGES, AVG, AVG_UNSEEN

AVERAGE_NAMES = {AVG_UNSEEN: "mean over unseen languages", AVG: "mean over all languages but English"}
UNSEEN_MEANS = "unseen: in no arm's intermediate data"

_ORDERS = {"family": "by family", "script": "by script", "gain": "by mean gain of the arms, largest first"}
_TESTS = {"bootstrap": "paired bootstrap", "random effects": "random-effects t test"}


def caption(*sentences: str) -> str:
    """Sentences that have something to say, each with its full stop, as one paragraph."""
    return " ".join(f"{one.rstrip('.')}." for one in sentences if one)


def target_name(row: dict[str, object]) -> str:
    """What was evaluated, in which variant and after what training: one line."""
    trained = "" if row["target"] == row["task"] else f" after {row['target']}"
    variant = "" if row["variant"] == PUBLISHED else f", {row['variant']}"
    return f"{row['task']}{trained}{variant} ({row['setting']}, {row['split']})"


def items_text(numbers: pl.DataFrame) -> str:
    """How many items each target has, in how many clusters."""
    rows = numbers.select(*TARGET, "n_items", "n_clusters").unique(maintain_order=True).rows(named=True)
    return "; ".join(
        f"{target_name(row)}: n = {row['n_items']:,} items"
        + ("" if row["n_items"] == row["n_clusters"] else f" in {row['n_clusters']:,} clusters")
        for row in rows
    )


def seeds_text(numbers: pl.DataFrame) -> str:
    """How many seeds each arm has, and which of its seeds have no partner."""
    counts = {
        arm: _range(part["n_seeds"].to_list())
        for (arm,), part in numbers.filter(pl.col("n_seeds") > 0)
        .partition_by("arm", as_dict=True, maintain_order=True)
        .items()
    }
    if len(set(counts.values())) == 1:
        (count,) = set(counts.values())
        return f"{count} {'seed' if count == '1' else 'seeds'} for every arm"
    return "seeds: " + ", ".join(f"{arm} {count}" for arm, count in counts.items())


def interval_text(numbers: pl.DataFrame) -> str:
    """What intervals are, and over what they hold."""
    row = numbers.row(0, named=True)
    if row.get("test") == "random effects":
        return f"{percent(row['level'])} random-effects intervals over items and seeds"
    over = "items and seeds" if row.get("over") == "both" else "clusters of items"
    return (
        f"{percent(row['level'])} bootstrap intervals, {row['resamples']:,} resamples of {over} drawn jointly over "
        f"languages, arms and seeds{'' if row.get('over') == 'both' else ' (for these seeds)'}"
    )


def significance_text(numbers: pl.DataFrame, *, mark: str = "*") -> str:
    """What a mark of significance says."""
    row = numbers.row(0, named=True)
    families = numbers.select("family", "family_size").unique(maintain_order=True).rows()
    sizes = _range([size for _, size in families])
    adjusted = f", {row['adjusted']}-adjusted within families of {sizes}" if row["adjusted"] else ", not adjusted"
    return f"{mark} p < {1 - row['level']:.2g}, {_TESTS.get(row['test'], row['test'])}{adjusted}"


def order_text(numbers: pl.DataFrame) -> str:
    """In which order the languages stand; by groups with what is in each."""
    order = numbers["order"][0]
    groups: dict[str, list[str]] = {}
    languages = numbers.filter(~pl.col("language").is_in(AVERAGES)).sort("group", "language")
    for group, code in languages.select("group", "language").unique(maintain_order=True).rows():
        if group:
            groups.setdefault(group, []).append(code)
    listed = "; ".join(f"{group}: {' '.join(codes)}" for group, codes in groups.items())
    return f"Languages {_ORDERS[order]}{f' ({listed})' if listed else ''}, English first"


def pretraining_text(numbers: pl.DataFrame) -> str:
    """Which languages are hatched, or why none is."""
    languages = numbers.filter(~pl.col("language").is_in(AVERAGES)).select("language", "in_pretraining").unique()
    absent = sorted(languages.filter(~pl.col("in_pretraining"))["language"])
    unknown = sorted(languages.filter(pl.col("in_pretraining").is_null())["language"])
    models = numbers["models"][0]
    if not models or len(unknown) == len(languages):
        return "Nothing is hatched: which languages are in the encoder's pretraining data is not known here"
    parts = [
        f"Hatched: not in the pretraining data of {models} ({', '.join(absent)})"
        if absent
        else f"Nothing is hatched: all languages are in the pretraining data of {models}"
    ]
    if unknown:
        parts.append(f"not known for {', '.join(unknown)}")
    return "; ".join(parts)


def seen_text(numbers: pl.DataFrame, *, mark: str = "Open marks") -> str:
    """What is marked as seen, and what unseen averages are over."""
    seen = numbers.filter(pl.col("seen").fill_null(value=False))
    return (
        f"{mark}: the arm's intermediate data contain the language"
        if len(seen)
        else "No arm's intermediate data contain a language shown"
    )


def average_text(numbers: pl.DataFrame) -> str:
    """Over which languages the headline average is, target by target."""
    rows = numbers.filter(language=AVG_UNSEEN).select(*TARGET, "languages").unique(maintain_order=True).rows(named=True)
    if not rows:
        return "No language is unseen by all arms, so there is no average over unseen ones"
    lists = list(dict.fromkeys(row["languages"] for row in rows))
    listed = lists[0] if len(lists) == 1 else "; ".join(f"{row['task']}: {row['languages']}" for row in rows)
    return (
        f"The headline average is over unseen languages, which no arm's intermediate data contain ({listed}); the "
        "other is over all languages but English"
    )


def variant_text(numbers: pl.DataFrame) -> str:
    """Which tasks are not in their published variant."""
    rows = numbers.filter(pl.col("variant") != PUBLISHED).select("task", "variant").unique(maintain_order=True).rows()
    return "; ".join(f"{task} is the {variant} variant, not the published one" for task, variant in rows)


def cautions_text(numbers: pl.DataFrame) -> str:
    """Where such intervals are known to be off."""
    lines = numbers["caution"].unique(maintain_order=True).to_list()
    return "; ".join(line for line in lines if line)


def minus(text: str) -> str:
    """With real minus signs."""
    return text.replace("-", "−")


def percent(level: float) -> str:
    """A level as people write it."""
    return f"{100 * level:g} %"


def joined(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"
