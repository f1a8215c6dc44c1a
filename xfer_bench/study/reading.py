"""A study file as a value, and what is wrong with it on one line."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from xfer_bench.errors import StudyError
from xfer_bench.toml_lines import line_of, put_over


def content_of(path: Path, changes: Sequence[str]) -> tuple[dict[str, Any], str]:
    """What a study file says, with changes put over it, and its text. Raises StudyError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read as a study ({error})") from None
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path}: not TOML: {error}") from None
    for change in changes:
        put_over(content, change)
    found: dict[str, Any] = _tuples(content)
    return found, text


def _tuples(value: Any) -> Any:
    # TOML knows lists only; the values of a study are frozen all the way down.
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(entry) for entry in value)
    return value


def one_line(error: ValidationError, path: Path, text: str, tables: Mapping[str, type[BaseModel]]) -> str:
    """The first thing that is wrong: file, line, key and reason. tables: by key, the whole study's under ""."""
    errors = error.errors()
    # A tuple whose elements are wrong is also reported as too short, since none of them counts.
    errors = [one for one in errors if one["type"] != "too_short" or not _encloses(one["loc"], errors)]
    first = errors[0]
    place = tuple(first["loc"])
    line = line_of(text, place)
    where = f"{path}:{line}" if line else str(path)
    key = ".".join(str(part) for part in place)
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where}: {key + ': ' if key else ''}{reason(first, tables, place)}{more}"


def _encloses(place: tuple[int | str, ...], errors: Iterable[Any]) -> bool:
    return any(len(one["loc"]) > len(place) and one["loc"][: len(place)] == place for one in errors)


def reason(first: Any, tables: Mapping[str, type[BaseModel]], place: tuple[int | str, ...] = ()) -> str:
    """Why pydantic refuses a value, in our words."""
    if first["type"] == "extra_forbidden":
        return f"unknown key; allowed here: {', '.join(_allowed(place[:-1], tables))}"
    if first["type"] == "missing":
        return "this key is required"
    message = str(first["msg"]).removeprefix("Value error, ")
    return message if first["type"] == "value_error" else f"{message}, got {first['input']!r}"


def _allowed(place: tuple[int | str, ...], tables: Mapping[str, type[BaseModel]]) -> list[str]:
    """The keys of the table that a path leads to."""
    names = [part for part in place if isinstance(part, str) and part in tables]
    return sorted(tables[names[-1] if names else ""].model_fields)
