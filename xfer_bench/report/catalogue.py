"""The tasks as a list: what each is, where it comes from, and whether it can be had here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from xfer_bench.sources.repairs import repair_of
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One task. rows: usable rows by split, summed over languages, where they lie on this machine.

    sources: repositories. places: by split, `embedded`, `mirror`, `hub`, or `unavailable: ` and the reason.
    settings: how it is trained as a target; empty for a training set. variants: `published`, and `repaired` where
    rows were published with errors; repaired: by split, how many rows differ in each language.
    """

    name: str
    format: str
    languages: tuple[str, ...]
    places: Mapping[str, str]
    rows: Mapping[str, int]
    licence: str
    sources: tuple[str, ...]
    settings: tuple[str, ...]
    machine_translated: bool
    variants: tuple[str, ...]
    repaired: Mapping[str, Mapping[str, int]]


def catalogue(tasks: Mapping[str, Task], sources: Sources) -> list[Entry]:
    """Every task with its availability. Reads local rows to count them; uses no network."""
    return [_entry(task, sources) for task in tasks.values()]


def render_catalogue(entries: Sequence[Entry], *, as_json: bool) -> str:
    """The list as text: a block of lines a task, or JSON."""
    if as_json:
        return json.dumps({"tasks": [asdict(entry) for entry in entries]}, indent=2, ensure_ascii=False)
    return "\n\n".join(_block(entry) for entry in entries)


def _entry(task: Task, sources: Sources) -> Entry:
    places: dict[str, str] = {split: sources.availability(task, split) for split in task.splits}
    rows: dict[str, int] = {
        split: sum(
            sources.rows(task, language=language, split=split).frame.height
            for language in task.languages_of(split)
            if sources.availability(task, split, language=language) in {"embedded", "mirror"}
        )
        for split in task.splits
        if places[split] in {"embedded", "mirror"}
    }
    return Entry(
        name=task.name,
        format=task.format.name,
        languages=task.languages,
        places=places,
        rows=rows,
        licence=task.licence,
        sources=tuple(dict.fromkeys(part.repository for part in task.parts)),
        settings=tuple(task.settings),
        machine_translated=task.machine_translated,
        variants=task.variants,
        repaired=_repaired(task),
    )


def _repaired(task: Task) -> dict[str, dict[str, int]]:
    repair = repair_of(task)
    found: dict[str, dict[str, int]] = {}
    for (split, language), right in ({} if repair is None else repair.items).items():
        found.setdefault(split, {})[language] = len(right)
    return found


def _block(entry: Entry) -> str:
    kind = f"target ({', '.join(entry.settings)})" if entry.settings else "training set"
    translated = ", machine-translated" if entry.machine_translated else ""
    head = f"{entry.name}: {entry.format}, {kind}{translated}"
    splits = [
        f"  {split}: {entry.rows[split]:,} rows ({place})" if split in entry.rows else f"  {split}: {place}"
        for split, place in entry.places.items()
    ]
    repaired = [
        f"  repaired in {split}: {', '.join(f'{language} {rows}' for language, rows in languages.items())}"
        for split, languages in entry.repaired.items()
    ]
    return "\n".join(
        [
            head,
            f"  languages: {' '.join(entry.languages)}",
            *splits,
            *repaired,
            f"  licence: {entry.licence}",
            f"  source: {', '.join(entry.sources)}",
        ]
    )
