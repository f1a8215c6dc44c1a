"""The one door to rows: which place holds a task's rows, and the rows, checked.

A repository comes from the first of these places that applies: the embedded data, the local mirror (when it has the
repository's folder, and then it alone), the Hub. Rows that are not the pinned ones are refused.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench.errors import SourceError, TaskError
from xfer_bench.sources import catalogue, embedded, holdout, hub, items, mirror, pins, repairs
from xfer_bench.tasks.task import PUBLISHED, TRAIN, VALIDATION, Part, Split, Task

VARIABLE = "XFER_BENCH_DATA"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows ready to be encoded, and where they come from.

    frame: ITEMS. repository, revision: their source; the revision is the commit on the Hub, empty where it is not
    known (a local mirror that did not come from there).
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
        """The usable rows of a task in one language, as published or, of a repaired variant, put right.

        Without development rows of its own, a training set's `validation` is the tenth that is held out of `train`.
        Raises TaskError when the task has no such language or split, SourceError when the rows cannot be had or are
        damaged or changed.
        """
        part = part_of(task, language, split)
        raw, revision = self.raw(part, language)
        _check_unchanged(raw, revision, part=part, language=language)
        raw = repairs.in_variant(raw, task, repository=part.repository, split=split_of(part), language=language)
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
        part = part_of(task, language, split)
        root, config, revision = self._root(part), config_of(part, language), _pinned(part)
        if root is None:
            return [part.repository, revision, config, split_of(part), *_repair(task)] if revision else None
        files = mirror.files(root, repository=part.repository, config=config, split=split_of(part))
        times = [[str(file), *_times(file)] for file in (root / part.repository / mirror.README, *files)]
        return [*times, *_repair(task)]

    def _availability(self, task: Task, split: Split, language: str) -> str:
        try:
            part = part_of(task, language, split)
            root = self._root(part)
            if root is not None:
                mirror.files(root, repository=part.repository, config=config_of(part, language), split=split_of(part))
                return "embedded" if part.repository in embedded.REPOSITORIES else "mirror"
            reason = hub.absent(part.repository)
        except (SourceError, TaskError) as error:
            reason = str(error)
        return f"unavailable: {reason}" if reason else "hub"

    def raw(self, part: Part, language: str) -> tuple[pl.DataFrame, str]:
        """The repository's own rows of a part, whether they are the pinned ones or not, and their commit on the Hub.

        The commit is empty where it is not known. Raises SourceError.
        """
        root, config, split = self._root(part), config_of(part, language), split_of(part)
        if root is not None:
            frame = mirror.read(root, repository=part.repository, config=config, split=split, columns=part.columns)
            return frame, mirror.commit(root, repository=part.repository, config=config, split=split)
        answer = hub.read(part.repository, config=config, split=split, revision=_pinned(part), columns=part.columns)
        return answer.frame, answer.revision

    def _root(self, part: Part) -> Path | None:
        """The folder to read the part from like a mirror; None for the Hub."""
        if part.repository in embedded.REPOSITORIES:
            return embedded.root()
        if self.data_root is not None and mirror.holds(self.data_root, part.repository):
            return self.data_root
        if part.upstream:
            place = f" ({self.data_root} lacks it)" if self.data_root is not None else ""
            raise SourceError(
                f"{part.repository} has no loadable twin on the Hub; it comes from {part.upstream}, and needs a local "
                f"mirror that holds it{place}: --data-root DIR or {VARIABLE}=DIR; `xfer-bench data prefetch` tells how"
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


def part_of(task: Task, language: str, split: Split) -> Part:
    """The part that holds these rows of a task; those of `validation` may be held out of `train`. Raises TaskError."""
    if language not in task.languages:
        raise TaskError(f"{task.name} has no language {language!r}; it has {', '.join(task.languages)}")
    wanted = TRAIN if split == VALIDATION and holdout.replaces_validation(task, language) else split
    for part in task.parts:
        if part.split == wanted and language in part.languages:
            return part
    has = ", ".join(one for one in task.splits if language in task.languages_of(one))
    raise TaskError(f"{task.name} has no split {split!r} in {language!r}; it has {has}")


def _repair(task: Task) -> list[str]:
    """The digest of what is put right in the task's rows; nothing where they are as published."""
    repair = None if task.variant == PUBLISHED else repairs.repair_of(task)
    return [] if repair is None else [repair.digest]


def _times(file: Path) -> list[int]:
    try:
        found = file.stat()
    except FileNotFoundError:
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _languages(task: Task, split: Split) -> tuple[str, ...]:
    held_out = split == VALIDATION and VALIDATION not in task.splits
    return task.languages_of(TRAIN if held_out else split)


def config_of(part: Part, language: str) -> str:
    """The configuration that holds the part's rows in this language."""
    return part.config.format(language=language)


def split_of(part: Part) -> str:
    """The split's name in the repository."""
    return part.upstream_split or part.split


def _pinned(part: Part) -> str:
    return part.revision or catalogue.revision(part.repository)


def _check_unchanged(raw: pl.DataFrame, revision: str, *, part: Part, language: str) -> None:
    """Rows of the Hub are pinned by their commit, others by their content; the embedded ones change with the code."""
    if part.repository in embedded.REPOSITORIES:
        return
    repository, config, split = part.repository, config_of(part, language), split_of(part)
    if revision:
        pins.check_revision(revision, pinned=_pinned(part), repository=repository, config=config, split=split)
    else:
        pins.check_rows(raw, repository=repository, config=config, split=split)
