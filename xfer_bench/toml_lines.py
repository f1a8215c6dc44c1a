"""TOML files as people write them: on which line a key stands, so that an error can point at it, and single changes."""

import re
import tomllib
from collections import Counter
from typing import Any, TypeAlias

from xfer_bench.errors import StudyError

Path: TypeAlias = tuple[str | int, ...]

_DOTTED = r"((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)"
_HEADER = re.compile(rf"^\s*\[(\[)?\s*{_DOTTED}\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"^\s*{_DOTTED}\s*=")


def line_of(text: str, path: Path) -> int | None:
    """The 1-based line of the key or element at `path` in TOML source, or of what encloses it; None if unknown.

    `path` is a chain of keys and array positions, as validation errors give it. Elements of an inline array or
    table are found by their key's name in the lines that follow; the line is meant for people, not for editing.
    """
    lines = text.splitlines()
    known = _positions(lines)
    for length in range(len(path), 0, -1):
        start = known.get(path[:length])
        if start is None:
            continue
        if length == len(path):
            return start
        end = min((line for line in known.values() if line > start), default=len(lines) + 1)
        inside = _search_inside(lines[start - 1 : end - 1], path[length:])
        return start + inside
    return None


def _positions(lines: list[str]) -> dict[Path, int]:
    """Every table header and every key that begins a line, by its full path."""
    known: dict[Path, int] = {}
    seen: Counter[Path] = Counter()
    table: Path = ()
    for number, line in enumerate(lines, 1):
        if header := _HEADER.match(line):
            *outer, last = _parts(header[2])
            table = ()
            for part in outer:
                # `[targets.recipe]` and `[[arms.stages]]` belong to the newest element of the array of tables.
                table = (*table, part, seen[*table, part] - 1) if (*table, part) in seen else (*table, part)
            table = (*table, last)
            known.setdefault(table, number)
            if header[1]:
                seen[table] += 1
                table = (*table, seen[table] - 1)
                known[table] = number
        elif key := _KEY.match(line):
            known.setdefault((*table, *_parts(key[1])), number)
    return known


def _parts(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _search_inside(lines: list[str], rest: Path) -> int:
    """Offset of the line, within an inline value, where the key that ends `rest` most likely stands."""
    names = [part for part in rest if isinstance(part, str)]
    positions = [part for part in rest if isinstance(part, int)]
    if not names:
        return 0
    pattern = re.compile(rf"(?<![\w-]){re.escape(names[-1])}\s*=")
    hits = [offset for offset, line in enumerate(lines) for _ in pattern.finditer(line)]
    if not hits:
        return 0
    return hits[min(positions[-1] if positions else 0, len(hits) - 1)]


def put_over(content: dict[str, Any], change: str) -> None:
    """Change a TOML document in place by `key = value`, the value in TOML's own words; numbers in a key count from 0.

    Raises StudyError when the change is no such line, or its key leads through what is no table and no list.
    """
    name, sign, value = change.partition("=")
    key = name.strip()
    if not sign or not key:
        raise StudyError(f"the change {change!r} is none; write KEY=VALUE, as in seeds.target=[0,1,2]")
    try:
        new = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        raise StudyError(f'the value of {change!r} is not TOML; text stands in quotes, as in model="starter"') from None
    *above, last = key.split(".")
    place: Any = content
    for number, part in enumerate(above):
        if isinstance(place, dict):
            place = place.setdefault(part, {})
        else:
            place = _entry(place, part, where=".".join(above[:number]), change=change)
    if isinstance(place, dict):
        place[last] = new
    else:
        _entry(place, last, where=".".join(above), change=change)
        place[int(last)] = new


def _entry(place: Any, part: str, *, where: str, change: str) -> Any:
    if not isinstance(place, list):
        raise StudyError(f"the change {change!r}: {where} is a value, which has no {part!r} in it")
    if not part.isdecimal() or int(part) >= len(place):
        raise StudyError(f"the change {change!r}: {where} has the entries 0 to {len(place) - 1}, no {part!r}")
    return place[int(part)]
