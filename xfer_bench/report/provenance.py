"""Where the tasks' rows come from, as a list: revision, licence, citation, rows, and the place they have here."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from xfer_bench.sources import catalogue, pins
from xfer_bench.sources.findings import published_rows
from xfer_bench.sources.source import Sources, config_of, split_of
from xfer_bench.tasks import Task
from xfer_bench.tasks.task import Part

_HEADS = ("task", "split", "repository", "revision", "rows", "languages", "here", "citation", "licence")
_SHOWN = 8
_NUMBER = 4
_LANGUAGES = 4


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One split of a task in one repository.

    revision: the pinned commit on the Hub, or of the upstream; empty where none is known.
    rows: of the split in one configuration, as published or as they were read; None where that is not known.
    place: `embedded`, `mirror`, `hub`, or `unavailable: ` and the reason. citations: keys of the BibTeX entries.
    upstream: the authors' address. hub: whether the repository has a loadable twin there.
    """

    task: str
    split: str
    repository: str
    revision: str
    rows: int | None
    languages: tuple[str, ...]
    place: str
    licence: str
    non_commercial: bool
    citations: tuple[str, ...]
    upstream: str
    hub: bool


def origins(tasks: Iterable[Task], sources: Sources) -> list[Origin]:
    """Every split of these tasks. No row is read and no network is used."""
    return [_origin(task, part, sources) for task in tasks for part in _merged(task)]


def render_origins(found: Sequence[Origin], *, as_json: bool) -> str:
    """The list as text: a line a split, or JSON."""
    if as_json:
        return json.dumps({"sources": [asdict(one) for one in found]}, indent=2, ensure_ascii=False)
    rows: list[tuple[str, ...]] = [_HEADS]
    for one, before in zip(found, [None, *found], strict=False):
        cells = _cells(one)
        rows.append(("", *cells[1:]) if before is not None and before.task == one.task else cells)
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADS))]
    lines = [
        "  ".join(
            cell.rjust(width) if place == _NUMBER else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    reasons = dict.fromkeys(one.place for one in found if one.place.startswith("unavailable"))
    return "\n".join([*lines, *reasons])


def render_bibtex(found: Iterable[Origin]) -> str:
    """The BibTeX entries of what these splits cite, each once."""
    known = catalogue.catalogue().bibtex
    keys = dict.fromkeys(key for one in found for key in one.citations)
    return "\n\n".join(known[key] for key in keys)


def _merged(task: Task) -> list[Part]:
    """Parts that differ in their language only, as one."""
    first: dict[tuple[str, str, str], list[Part]] = {}
    for part in task.parts:
        first.setdefault((part.split, part.repository, split_of(part)), []).append(part)
    return [parts[0] for parts in first.values()]


def _origin(task: Task, part: Part, sources: Sources) -> Origin:
    known = catalogue.source(part.repository)
    alike = [
        one
        for one in task.parts
        if (one.split, one.repository, split_of(one)) == (part.split, part.repository, split_of(part))
    ]
    languages = tuple(dict.fromkeys(language for one in alike for language in one.languages))
    return Origin(
        task=task.name,
        split=part.split,
        repository=part.repository,
        revision=part.revision or (known.revision or known.commit if known else ""),
        rows=_rows(part, languages[0], published_rows()),
        languages=languages,
        place=sources.availability(task, part.split, language=languages[0]),
        licence=known.licence if known else task.licence,
        non_commercial=known.non_commercial if known else "non-commercial" in task.licence,
        citations=known.citations if known else (),
        upstream=known.upstream if known else "",
        hub=not part.upstream,
    )


def _rows(part: Part, language: str, published: Mapping[tuple[str, str, str], int]) -> int | None:
    config, split = config_of(part, language), split_of(part)
    pinned = pins.pins().get((part.repository, config, split))
    by_authors = published.get((part.repository, config, split), published.get((part.repository, "*", split)))
    return by_authors if by_authors is not None else pinned.rows if pinned else None


def _cells(one: Origin) -> tuple[str, ...]:
    codes = " ".join(one.languages[:_LANGUAGES])
    more = f" … ({len(one.languages)})" if len(one.languages) > _LANGUAGES else ""
    return (
        one.task,
        one.split,
        one.repository,
        one.revision[:_SHOWN] or "-",
        "-" if one.rows is None else f"{one.rows:,}",
        f"{codes}{more}",
        one.place.partition(":")[0],
        ", ".join(one.citations) or "-",
        f"{one.licence} [NON-COMMERCIAL]" if one.non_commercial else one.licence,
    )
