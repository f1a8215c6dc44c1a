"""The items' texts, for the explorer: on request only, with their licences."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from xfer_bench.errors import ResultsError, SourceError
from xfer_bench.page.items import Bench
from xfer_bench.page.packing import packed
from xfer_bench.report.provenance import Origin, origins
from xfer_bench.sources.source import Rows, Sources
from xfer_bench.tasks import Task, find


@dataclass(frozen=True, kw_only=True)
class Texts:
    """blobs: by name, packed. licences: of what is in them, each once. non_commercial: whether one forbids that use."""

    blobs: Mapping[str, str]
    licences: tuple[Origin, ...]

    @property
    def non_commercial(self) -> bool:
        """Whether some of them may not be used commercially."""
        return any(one.non_commercial for one in self.licences)


def texts(benches: Iterable[Bench], sources: Sources, *, tasks: Mapping[str, Task], data: pl.DataFrame) -> Texts:
    """The texts and candidates of every item in every language, as JSON columns.

    Of each bench and language: `strings`, each once; `text`, an index into them for each item; `candidates`, a list of
    indices for each. An item that the rows lack has -1. data: DATA of what was scored, which the rows have to be where
    it tells. Raises SourceError when rows cannot be had, ResultsError when they are others than those that were scored.
    """
    blobs: dict[str, str] = {}
    licences: dict[tuple[str, str], Origin] = {}
    for number, bench in enumerate(benches):
        task = find(bench.task, among=tasks).as_variant(bench.variant)
        for place, language in enumerate(bench.languages):
            rows = _rows(bench, task, sources, language)
            scored = data.filter(task=bench.task, variant=bench.variant, split=bench.split, language=language)
            if not scored.is_empty() and rows.fingerprint not in set(scored["fingerprint"]):
                raise ResultsError(
                    f"the rows of {bench.task} {bench.split} in {language!r} ({rows.repository}, fingerprint "
                    f"{rows.fingerprint[:12]}) are not those that were scored ({scored['fingerprint'][0][:12]})"
                )
            blobs[f"texts-{number}-{place}"] = packed(_columns(rows.frame, bench, language))
        for origin in origins([task], sources):
            if origin.split == bench.split and {*origin.languages} & {*bench.languages}:
                licences[origin.task, origin.repository] = origin
    return Texts(blobs=blobs, licences=tuple(licences.values()))


def _rows(bench: Bench, task: Task, sources: Sources, language: str) -> Rows:
    """Of a bench in one language."""
    split = next((one for one in task.splits if one == bench.split), None)
    if split is None:
        raise SourceError(f"{task.name} has no split {bench.split!r}; it has {', '.join(task.splits)}")
    return sources.rows(task, language=language, split=split)


def _columns(frame: pl.DataFrame, bench: Bench, language: str) -> bytes:
    rows = {item: (text, candidates) for item, text, candidates in frame.select("item", "text", "candidates").rows()}
    if not rows.keys() & {*bench.items}:
        raise ResultsError(
            f"none of the items of {bench.task} {bench.split} in {language!r} is in its rows; the results are of others"
        )
    strings: dict[str, int] = {}

    def index(text: str) -> int:
        return strings.setdefault(text, len(strings))

    found = [rows.get(item) for item in bench.items]
    columns = {
        "text": [-1 if one is None else index(one[0]) for one in found],
        "candidates": [[] if one is None else [index(text) for text in one[1]] for one in found],
    }
    return json.dumps({"strings": [*strings], **columns}, ensure_ascii=False, separators=(",", ":")).encode()
