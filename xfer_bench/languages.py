"""What is known of languages: name, family, script, and which encoders were pretrained on them.

The facts are `data/languages.csv`, one row a language, and `data/languages_sources.csv` says of each column where it
comes from. A cell is empty where nothing could be sourced: what is not known is neither yes nor no.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from xfer_bench.errors import SourceError

_FACTS = ("code", "name", "family", "script")
_ANSWERS = {"yes": True, "no": False, "": None}

# Column of the CSV to the names that studies, repositories and published tables give such an encoder. Names of
# published tables stand without an owner, and so may models of the Hub.
_ENCODERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "xlm-r": (
            *("FacebookAI/xlm-roberta-base", "FacebookAI/xlm-roberta-large"),
            *("facebook/xlm-roberta-xl", "facebook/xlm-roberta-xxl"),
            *("XLM-R", "XLM-R-base", "XLM-R-large", "XLM-R (large)"),
        ),
        "mdeberta-v3": ("microsoft/mdeberta-v3-base",),
        # The starter's weights are those of multilingual-e5-small.
        "multilingual-e5": (
            *("intfloat/multilingual-e5-small", "intfloat/multilingual-e5-base", "intfloat/multilingual-e5-large"),
            "starter",
        ),
        "mbert": ("google-bert/bert-base-multilingual-cased", "mBERT"),
        "muse": ("google/universal-sentence-encoder-multilingual", "MultiUSE"),
    }
)
_COLUMNS = MappingProxyType(
    {
        known: column
        for column, names in _ENCODERS.items()
        for name in names
        for known in (name, name.rpartition("/")[2])
    }
)


@dataclass(frozen=True, kw_only=True)
class Language:
    """One language.

    code: ISO 639-1. name: in English. family: Glottolog's top-level family; empty for isolates and for languages that
    someone made. script: ISO 15924, the one it is most likely written in.
    """

    code: str
    name: str
    family: str
    script: str


def language(code: str) -> Language | None:
    """What is known of a language; None when nothing is. Raises SourceError when the data are damaged."""
    row = _rows().get(code)
    return None if row is None else Language(**{name: row[name] for name in _FACTS})


def languages() -> tuple[Language, ...]:
    """Every language that something is known of, by code."""
    return tuple(found for code in _rows() if (found := language(code)) is not None)


def in_pretraining(model: str, code: str) -> bool | None:
    """Whether an encoder's documented pretraining data have a language; None when that is not known.

    model: as a study or a published table names it: `FacebookAI/xlm-roberta-large`, with or without the owner and
        a `@revision`; `starter` for what it was made from.
    """
    column, row = _COLUMNS.get(model.partition("@")[0]), _rows().get(code)
    return None if column is None or row is None else _ANSWERS[row[column]]


def sources() -> dict[str, str]:
    """Column of `languages.csv` to where it comes from."""
    return {row["column"]: row["source"] for row in _read("languages_sources.csv", ("column", "source"))}


@lru_cache(maxsize=1)
def _rows() -> Mapping[str, Mapping[str, str]]:
    return {row["code"]: row for row in _read("languages.csv", (*_FACTS, *_ENCODERS))}


@lru_cache(maxsize=2)
def _read(name: str, columns: tuple[str, ...]) -> tuple[Mapping[str, str], ...]:
    package = Path(__file__).resolve().parent
    path = next((path for folder in (package, package.parent) if (path := folder / "data" / name).is_file()), None)
    if path is None:
        raise SourceError(f"{package / 'data' / name} is missing; install again")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file)
            if tuple(lines.fieldnames or ()) != columns:
                raise ValueError(f"its columns are not {', '.join(columns)}")
            return tuple(lines)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {' '.join(str(error).split())}; install again") from None
