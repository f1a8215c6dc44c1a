"""The item explorer's data: who answered what, as columns of bytes that a browser unpacks.

Of each bench (task, variant and split): items, languages and labels. Of each target on it: runs, their predictions,
and their probabilities in steps of half a percent. All are in the order language, run, class, item.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.page.packing import NONE, Bytes, packed, probabilities
from xfer_bench.tasks import Task

_BENCH = ["task", "variant", "split"]
_TARGET = ["setting", "target"]
_RUN = ["arm", "run", "intermediate_seed", "target_seed"]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One set of items. labels: class names; empty where an answer is one of the item's own candidates."""

    task: str
    variant: str
    split: str
    languages: tuple[str, ...]
    items: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Explorer:
    """What the page embeds. facts: for JSON. blobs: by name, packed columns."""

    facts: Mapping[str, Any]
    blobs: Mapping[str, str]
    benches: tuple[Bench, ...]


def explorer(predictions: pl.DataFrame, *, tasks: Mapping[str, Task], baseline: str) -> Explorer:
    """PREDICTIONS with one answer to each item, as columns. baseline: the arm that stands first.

    Raises ResultsError when an answer is no byte: a prediction or label outside 0-254.
    """
    benches: list[Bench] = []
    facts: list[dict[str, Any]] = []
    blobs: dict[str, str] = {}
    for (task, *_), rows in _parts(predictions, _BENCH):
        bench, places = _bench(rows, tasks.get(task))
        number = len(benches)
        benches.append(bench)
        blobs[f"labels-{number}"] = packed(_labels(places, bench).tobytes())
        blobs[f"items-{number}"] = packed("\n".join(bench.items).encode())
        targets: list[dict[str, Any]] = []
        for (setting, target), own in _parts(places, _TARGET):
            name = f"answers-{number}-{len(targets)}"
            runs = _runs(own, baseline)
            answers, width = _answers(own, runs, bench)
            blobs[name] = packed(answers.tobytes())
            targets.append(
                {"setting": setting, "target": target, "runs": list(_run_facts(runs)), "classes": width, "blob": name}
            )
        facts.append(
            {
                "task": bench.task,
                "variant": bench.variant,
                "split": bench.split,
                "languages": bench.languages,
                "count": len(bench.items),
                "labels": bench.labels,
                "targets": targets,
            }
        )
    return Explorer(facts={"benches": facts}, blobs=blobs, benches=tuple(benches))


def _parts(frame: pl.DataFrame, names: list[str]) -> Iterator[tuple[tuple[str, ...], pl.DataFrame]]:
    """Groups in order, by the text of their names."""
    groups = frame.partition_by(names, as_dict=True)
    for key in sorted(groups, key=lambda one: [*map(str, one)]):
        yield tuple(map(str, key)), groups[key]


def _bench(rows: pl.DataFrame, known: Task | None) -> tuple[Bench, pl.DataFrame]:
    """The bench, and its PREDICTIONS with `place`, `tongue`: where their item and language stand in it."""
    order = known.languages if known is not None else ()
    there: list[str] = rows["language"].unique().to_list()
    languages = sorted(there, key=lambda code: (order.index(code) if code in order else len(order), code))
    items = sorted(rows["item"].unique().to_list(), key=_natural)
    task, variant, split = rows.select(_BENCH).row(0)
    bench = Bench(
        task=task,
        variant=variant,
        split=split,
        languages=tuple(languages),
        items=tuple(items),
        labels=known.format.labels if known is not None else (),
    )
    places = pl.DataFrame({"item": items}).with_row_index("place")
    tongues = pl.DataFrame({"language": languages}).with_row_index("tongue")
    return bench, rows.join(places, on="item", how="left").join(tongues, on="language", how="left")


def _natural(item: str) -> tuple[int, int, str]:
    return (0, int(item), item) if item.isdecimal() else (1, 0, item)


def _runs(rows: pl.DataFrame, baseline: str) -> pl.DataFrame:
    """The runs of a target, those of the baseline first, with `number`."""
    first = pl.col("arm") != baseline
    seen = rows.filter(pl.col("seen_in_intermediate").fill_null(value=False)).group_by("run").agg(
        pl.col("language").unique().sort().alias("seen")
    )  # fmt: skip
    return (
        rows.select(_RUN)
        .unique()
        .sort(first, "arm", "target_seed", "intermediate_seed", "run", nulls_last=False)
        .join(seen, on="run", how="left", maintain_order="left")
        .with_row_index("number")
    )


def _run_facts(runs: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for row in runs.iter_rows(named=True):
        seeds = {"intermediate": row["intermediate_seed"], "target": row["target_seed"]}
        yield {"run": row["run"], "arm": row["arm"], **seeds, "seen": row["seen"] or []}


def _labels(rows: pl.DataFrame, bench: Bench) -> Bytes:
    """(languages, items) labels."""
    labels = np.full((len(bench.languages), len(bench.items)), NONE, dtype=np.uint8)
    labels[rows["tongue"].to_numpy(), rows["place"].to_numpy()] = _bytes(rows["label"])
    return labels


def _answers(rows: pl.DataFrame, runs: pl.DataFrame, bench: Bench) -> tuple[Bytes, int]:
    """(languages, runs, 1 + classes, items): predictions, then each class's probability; and the number of classes."""
    own = rows.join(runs.select("run", "number"), on="run", how="left")
    chances = probabilities(own["scores"])
    width = chances.shape[1]
    shape = (len(bench.languages), len(runs), 1 + width, len(bench.items))
    answers = np.full(shape, NONE, dtype=np.uint8)
    where = own["tongue"].to_numpy(), own["number"].to_numpy()
    place = own["place"].to_numpy()
    answers[*where, 0, place] = _bytes(own["prediction"])
    for one in range(width):
        answers[*where, 1 + one, place] = chances[:, one]
    return answers, width


def _bytes(values: pl.Series) -> Bytes:
    wrong = values.filter((values < 0) | (values >= NONE))
    if len(wrong):
        raise ResultsError(f"the {values.name} {wrong[0]} fits no report; it lies between 0 and {NONE - 1}")
    return values.fill_null(NONE).to_numpy().astype(np.uint8)
