"""Where the rows and the checkpoints behind the numbers come from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from xfer_bench import __version__
from xfer_bench.frames import DATA
from xfer_bench.page.methods import lineages_of
from xfer_bench.page.subject import Subject
from xfer_bench.report.provenance import Origin, origins, render_bibtex
from xfer_bench.sources.source import Sources
from xfer_bench.tasks.task import TRAIN

_SHORT = 12
_LIBRARIES = ("xfer-bench", "torch", "transformers", "tokenizers", "accelerate", "peft")

# Of this program.
OURS = f"""@software{{xfer_bench,
  title   = {{xfer-bench: intermediate-task training and zero-shot cross-lingual transfer}},
  author  = {{{{The xfer-bench contributors}}}},
  version = {{{__version__}}},
  license = {{Apache-2.0}}
}}"""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows that were scored, or trained on: one source. recorded: whether the results say so, or only this version.

    fingerprints: language and the digest of its rows.
    """

    task: str
    use: str
    variant: str
    split: str
    languages: tuple[str, ...]
    repository: str
    revision: str
    rows: str
    licence: str
    recorded: bool
    fingerprints: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One checkpoint: what a run ends in. facts: name and value of each that its lineage holds."""

    run: str
    step: str
    weights: str
    model: str
    chain: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Citations:
    """bibtex: of the tasks, and of us. missing: tasks that no entry is known of."""

    bibtex: str
    missing: tuple[str, ...]


def rows_behind(subject: Subject) -> tuple[Rows, ...]:
    """What was scored as the results recorded it, or as this version pins it; and what was trained on, as pinned."""
    data = subject.results.data()
    recorded = tuple(_recorded(data))
    known = {(one.task, one.split) for one in recorded}
    splits = {(task, split) for task, split in subject.predictions.select("task", "split").unique().iter_rows()}
    pinned = [
        _pinned(origin, use="scored")
        for origin in _origins(subject, subject.evaluated)
        if (origin.task, origin.split) in splits - known
    ]
    training = [
        _pinned(origin, use="trained on") for origin in _origins(subject, subject.trained) if origin.split == TRAIN
    ]
    return (*recorded, *pinned, *training)


def checkpoints_of(subject: Subject) -> tuple[Checkpoint, ...]:
    """The checkpoints behind the predictions, with what CHECKPOINTS tell of them."""
    told = subject.predictions.select("run", "step", "weights").unique().sort("run", "step", nulls_last=False)
    known = subject.results.checkpoints().select("run", "step", "model", "lineage")
    rows = told.join(known, on=["run", "step"], how="left", nulls_equal=True, maintain_order="left")
    return tuple(_checkpoint(row) for row in rows.iter_rows(named=True))


def citations(subject: Subject) -> Citations:
    """BibTeX of all that was scored or trained on, and of this program."""
    found = _origins(subject, subject.involved)
    cited = {one.task for one in found if one.citations}
    entries = render_bibtex(found)
    return Citations(
        bibtex="\n\n".join(filter(None, [entries, OURS])),
        missing=tuple(name for name in subject.involved if name not in cited),
    )


def _origins(subject: Subject, names: Sequence[str]) -> list[Origin]:
    tasks = [subject.tasks[name] for name in names if name in subject.tasks]
    return origins(tasks, subject.texts or Sources(data_root=None))


def _recorded(data: pl.DataFrame) -> Iterator[Rows]:
    together = [name for name in DATA if name not in {"language", "rows", "fingerprint"}]
    for rows in data.partition_by(together, maintain_order=True):
        one = rows.row(0, named=True)
        least, most = min(rows["rows"]), max(rows["rows"])
        yield Rows(
            task=one["task"],
            use="scored",
            variant=one["variant"],
            split=one["split"],
            languages=tuple(rows["language"]),
            repository=one["repository"] or "",
            revision=one["revision"] or "",
            rows=f"{least:,}" if least == most else f"{least:,}-{most:,}",
            licence=one["license"] or "",
            recorded=True,
            fingerprints=tuple(rows.select("language", "fingerprint").iter_rows()),
        )


def _pinned(origin: Origin, *, use: str) -> Rows:
    return Rows(
        task=origin.task,
        use=use,
        variant="",
        split=origin.split,
        languages=origin.languages,
        repository=origin.repository,
        revision=origin.revision,
        rows="" if origin.rows is None else f"{origin.rows:,}",
        licence=origin.licence,
        recorded=False,
    )


def _checkpoint(row: Mapping[str, Any]) -> Checkpoint:
    lineage = next(iter(lineages_of(pl.DataFrame({"lineage": [row["lineage"]]}))), {})
    parents = [str(one.get("task")) for one in lineage.get("parents") or []]
    return Checkpoint(
        run=row["run"],
        step="" if row["step"] is None else f"{row['step']:,}",
        weights=str(row["weights"] or "")[:_SHORT],
        model=row["model"] or "",
        chain=" → ".join([*parents, str(lineage["task"])]) if "task" in lineage else "",
        facts=tuple(_facts(lineage)),
    )


def _facts(lineage: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a reader asks of a checkpoint, as far as it was recorded."""
    origin = lineage.get("origin") or {}
    if origin:
        revision = f" at {origin['revision']}" if origin.get("revision") else ""
        trimmed = ", its vocabulary trimmed" if origin.get("trimmed") else ""
        yield "started from", f"{origin.get('name')}{revision}{trimmed}"
    for parent in lineage.get("parents") or []:
        yield "after stage", f"{parent.get('task')} ({str(parent.get('key'))[:_SHORT]})"
    for part in lineage.get("parts") or []:
        place = f"{part.get('repository')}{_at(part.get('revision'))}"
        count = part.get("examples")
        size = f", {count:,} examples" if isinstance(count, int) else ""
        yield "trained on", f"{part.get('task')}: {place}{size}, rows {str(part.get('fingerprint'))[:_SHORT]}"
    for name in ("languages", "examples", "steps", "tokens"):
        if lineage.get(name) is not None:
            yield name, _shown(lineage[name])
    seeds = lineage.get("seeds") or {}
    if seeds:
        yield "seeds", ", ".join(f"{str(name).replace('_', ' ')} {seed}" for name, seed in seeds.items())
    if lineage.get("development_accuracy") is not None:
        items = lineage.get("development_items")
        yield "development accuracy", f"{lineage['development_accuracy']:.1f} on {items} items"
    versions = lineage.get("versions") or {}
    libraries = [f"{name} {versions[name]}" for name in _LIBRARIES if name in versions]
    if libraries:
        yield "versions", ", ".join(libraries)
    for name, key in (("stage", "key"), ("code", "git_commit"), ("device", "device"), ("precision", "precision")):
        if lineage.get(key):
            yield name, str(lineage[key])


def _at(revision: object) -> str:
    return f" at {revision}" if revision else ""


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
