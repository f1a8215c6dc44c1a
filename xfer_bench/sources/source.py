"""The one door to rows: which place holds a task's rows, and the rows, checked.

A repository comes from the first of these places that applies: the embedded data, the local mirror (when it has the
repository's folder, and then it alone), the Hub.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench.errors import SourceError, TaskError
from xfer_bench.sources import embedded, holdout, hub, items, mirror
from xfer_bench.tasks.task import TRAIN, VALIDATION, Part, Split, Task

VARIABLE = "XFER_BENCH_DATA"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows ready to be encoded, and where they come from.

    frame: ITEMS. repository, revision: their source; the revision is empty where none is known (a local mirror).
    fingerprint: hexadecimal SHA-256 of the frame's content. dropped: unusable rows that were left out.
    """

    frame: pl.DataFrame
    repository: str
    revision: str
    split: Split
    fingerprint: str
    dropped: int


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where rows come from. data_root: a local mirror of repositories (DIR/<owner>/<name>), or None."""

    data_root: Path | None

    def rows(self, task: Task, *, language: str, split: Split) -> Rows:
        """The usable rows of a task in one language.

        Without development rows of its own, a training set's `validation` is the tenth that is held out of `train`.
        Raises TaskError when the task has no such language or split, SourceError when the rows cannot be had or are
        damaged.
        """
        part = _part(task, language, split)
        raw, revision = self.raw(part, language)
        read = items.usable(raw, task=task, part=part, language=language, split=split)
        return Rows(
            frame=read.frame,
            repository=part.repository,
            revision=revision,
            split=split,
            fingerprint=items.fingerprint(read.frame),
            dropped=read.dropped,
        )

    def availability(self, task: Task, split: Split, *, language: str | None = None) -> str:
        """Where the split would come from: "embedded", "mirror", "hub", or "unavailable: " and the reason.

        No row is read and no network is used. Without a language the answer is that of the task's first language
        that is available.
        """
        languages = (language,) if language is not None else _languages(task, split)
        if not languages:
            return f"unavailable: {task.name} has no split {split!r}; it has {', '.join(task.splits)}"
        answers = [self._availability(task, split, one) for one in languages]
        return next((answer for answer in answers if not answer.startswith("unavailable")), answers[0])

    def stamp(self, task: Task, *, language: str, split: Split) -> list[Any] | None:
        """What changes whenever the rows may: their files with sizes and times, or the commit on the Hub.

        No row is read. None when it cannot be told, as for whatever is newest on the Hub. Raises as `rows` does.
        """
        part = _part(task, language, split)
        root, config = self._root(part), _config(part, language)
        if root is None:
            return [part.repository, part.revision, config, _upstream(part)] if part.revision else None
        files = mirror.files(root, repository=part.repository, config=config, split=_upstream(part))
        return [[str(file), *_times(file)] for file in (root / part.repository / mirror.README, *files)]

    def _availability(self, task: Task, split: Split, language: str) -> str:
        try:
            part = _part(task, language, split)
            root = self._root(part)
            if root is not None:
                mirror.files(root, repository=part.repository, config=_config(part, language), split=_upstream(part))
                return "embedded" if part.repository in embedded.REPOSITORIES else "mirror"
            reason = hub.absent(part.repository)
        except (SourceError, TaskError) as error:
            reason = str(error)
        return f"unavailable: {reason}" if reason else "hub"

    def raw(self, part: Part, language: str) -> tuple[pl.DataFrame, str]:
        """The repository's own rows of a part, and its revision on the Hub. Raises SourceError."""
        root, config, split = self._root(part), _config(part, language), _upstream(part)
        if root is not None:
            frame = mirror.read(root, repository=part.repository, config=config, split=split, columns=part.columns)
            return frame, ""
        answer = hub.read(part.repository, config=config, split=split, revision=part.revision, columns=part.columns)
        return answer.frame, answer.revision

    def _root(self, part: Part) -> Path | None:
        """The folder to read the part from like a mirror; None for the Hub."""
        if part.repository in embedded.REPOSITORIES:
            return embedded.root()
        if self.data_root is not None and (self.data_root / part.repository).is_dir():
            return self.data_root
        if part.upstream:
            place = f" ({self.data_root} lacks it)" if self.data_root is not None else ""
            raise SourceError(
                f"{part.repository} has no loadable twin on the Hub; it comes from {part.upstream}, and needs a local "
                f"mirror that holds it{place}: --data-root DIR or {VARIABLE}=DIR"
            )
        return None


def resolve_data_root(option: Path | None) -> Path | None:
    """The local mirror to use: the option, else the environment's XFER_BENCH_DATA, else none. An absolute path.

    Raises SourceError when the folder named does not exist.
    """
    named = option if option is not None else (Path(value) if (value := os.environ.get(VARIABLE)) else None)
    if named is None:
        return None
    folder = named.expanduser().resolve()
    if not folder.is_dir():
        origin = "--data-root" if option is not None else VARIABLE
        raise SourceError(f"no folder {folder} ({origin}); it must be a local mirror with DIR/OWNER/NAME in it")
    return folder


def _part(task: Task, language: str, split: Split) -> Part:
    if language not in task.languages:
        raise TaskError(f"{task.name} has no language {language!r}; it has {', '.join(task.languages)}")
    wanted = TRAIN if split == VALIDATION and holdout.replaces_validation(task, language) else split
    for part in task.parts:
        if part.split == wanted and language in part.languages:
            return part
    has = ", ".join(one for one in task.splits if language in task.languages_of(one))
    raise TaskError(f"{task.name} has no split {split!r} in {language!r}; it has {has}")


def _times(file: Path) -> list[int]:
    try:
        found = file.stat()
    except FileNotFoundError:
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _languages(task: Task, split: Split) -> tuple[str, ...]:
    held_out = split == VALIDATION and VALIDATION not in task.splits
    return task.languages_of(TRAIN if held_out else split)


def _config(part: Part, language: str) -> str:
    return part.config.format(language=language)


def _upstream(part: Part) -> str:
    return part.upstream_split or part.split
