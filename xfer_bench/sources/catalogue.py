"""Where every repository of the registry comes from: `data/sources.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from xfer_bench.errors import SourceError
from xfer_bench.sources import embedded

_FILE = "sources.toml"


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is known of a repository.

    revision: the commit on the Hub that is read; empty where none could be sourced, and the newest is read.
    citations: keys of `bibtex`. upstream: the authors' own address.
    commit, converter, files, sha256: of an upstream that has no loadable twin on the Hub: its commit, the converter of
        its format, split to the files that hold it in the order of the rows (patterns), and the files' known digests.
    read_from: where the rows came from whose fingerprints are pinned, if not from the upstream itself.
    """

    repository: str
    licence: str
    non_commercial: bool = False
    citations: tuple[str, ...] = ()
    revision: str = ""
    upstream: str = ""
    commit: str = ""
    converter: str = ""
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    read_from: str = ""

    @property
    def address(self) -> str:
        """Where people find the upstream, with the commit."""
        return f"{self.upstream} @ {self.commit}" if self.commit else self.upstream


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Every source by its repository, and BibTeX entries by key."""

    sources: Mapping[str, Source]
    bibtex: Mapping[str, str]


def catalogue() -> Catalogue:
    """The committed catalogue. Raises SourceError when it is damaged."""
    return _read(embedded.root().parent / _FILE)


def source(repository: str) -> Source | None:
    """What is known of this repository; None for one that no task of the registry names."""
    return catalogue().sources.get(repository)


def revision(repository: str) -> str:
    """The commit on the Hub that this repository is pinned to; empty for none."""
    known = source(repository)
    return known.revision if known else ""


@lru_cache(maxsize=2)
def _read(path: Path) -> Catalogue:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        entries = [_source(entry) for entry in content["source"]]
        bibtex = {key: text.strip() for key, text in content["bibtex"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"{path} cannot be read: {reason}; install again") from None
    sources = {entry.repository: entry for entry in entries}
    return Catalogue(sources=MappingProxyType(sources), bibtex=MappingProxyType(bibtex))


def _source(entry: dict[str, Any]) -> Source:
    unknown = sorted(entry.keys() - {one.name for one in fields(Source)})
    if unknown:
        raise ValueError(f"no key {unknown[0]!r} in a source")
    files = {split: tuple(names) for split, names in entry.get("files", {}).items()}
    return Source(**{**entry, "citations": tuple(entry.get("citations", ())), "files": files})
