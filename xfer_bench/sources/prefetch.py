"""What tasks or a study need from the Hub, and bringing it into a folder that is read as a local mirror."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from xfer_bench.errors import SourceError
from xfer_bench.progress import Progress, Update, silent
from xfer_bench.sources import catalogue, embedded, mirror
from xfer_bench.sources.catalogue import Source
from xfer_bench.sources.downloads import File, Listing, fetch, listing, waiting
from xfer_bench.sources.mirror import PARQUET_COPY, README, SUFFIXES
from xfer_bench.sources.source import config_of, part_of, split_of
from xfer_bench.study import MlmSpec, PartSpec, Study
from xfer_bench.tasks import Task, find
from xfer_bench.tasks.task import TRAIN, VALIDATION, Split


@dataclass(frozen=True, kw_only=True)
class Need:
    """One split of a repository. revision: its commit on the Hub, empty for the newest. upstream: as a part has it."""

    repository: str
    config: str
    split: str
    revision: str
    upstream: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be brought into one folder. waiting: bytes of its files that are not there yet."""

    repository: str
    folder: Path
    files: tuple[File, ...]
    waiting: int

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, kw_only=True)
class Look:
    """orders: of the Hub. upstream: what must be made from files that the user downloads. there: repositories that
    hold what is needed and did not come from the Hub."""

    orders: tuple[Order, ...]
    upstream: tuple[Source, ...]
    there: tuple[str, ...]


def of_task(task: Task, languages: Sequence[str] = ()) -> Iterator[Need]:
    """Every split of a task in these languages, or in all. Raises TaskError for a language that it does not have."""
    for split in task.splits:
        for language in languages or task.languages_of(split):
            if language not in task.languages or language in task.languages_of(split):
                yield _need(task, language, split)


def of_study(study: Study, tasks: Mapping[str, Task]) -> Iterator[Need]:
    """The rows that a study's plan reads. Raises TaskError and StudyError for what there is not."""
    for target in study.targets:
        task = find(target.task, among=tasks)
        splits: tuple[Split, ...] = (target.split, VALIDATION) if target.selects_by_language else (target.split,)
        for split in splits:
            for language in target.languages or task.languages_of(split):
                yield _need(task, language, split)
        names = task.settings.get(target.training_setting, ())
        for one in [part for stage in target.train for part in stage.sets] or [PartSpec(task=name) for name in names]:
            yield from _of_training(one, tasks)
    for arm in study.every_arm:
        for stage in arm.stages:
            for one in stage.sets:
                yield from _of_training(one, tasks)
            if stage.mlm is not None:
                yield from _of_training(stage.mlm, tasks)


def look(needs: Iterable[Need], root: Path) -> Look:
    """Ask the Hub which files hold what is needed, and see what is there already. Raises SourceError."""
    orders: list[Order] = []
    upstream: list[Source] = []
    there: list[str] = []
    by_repository: dict[tuple[str, str], list[Need]] = {}
    for need in dict.fromkeys(needs):
        if need.repository not in embedded.REPOSITORIES:
            by_repository.setdefault((need.repository, need.revision), []).append(need)
    for (repository, revision), wanted in by_repository.items():
        if _holds(root, repository, wanted):
            there.append(repository)
        elif wanted[0].upstream:
            upstream.append(catalogue.source(repository) or _unknown(wanted[0]))
        else:
            files = _files(listing(repository, kind="dataset", revision=revision), wanted)
            orders.append(order(files, root / repository))
    return Look(orders=tuple(orders), upstream=tuple(upstream), there=tuple(there))


def order(files: Sequence[File], folder: Path) -> Order:
    """These files of one repository, with what is missing of them in the folder."""
    missing = sum(waiting(file, folder) for file in files)
    return Order(repository=files[0].repository, folder=folder, files=tuple(files), waiting=missing)


def bring(orders: Sequence[Order], *, progress: Progress = silent) -> None:
    """Download what is missing, one file after the other. A further call goes on where this one stopped.

    Raises SourceError, before anything is downloaded where there is too little room.
    """
    _check_room(orders)
    whole, before = sum(one.size for one in orders), 0
    for one in orders:
        for file in one.files:
            start = before

            def tell(size: int, start: int = start, file: File = file) -> None:
                piece = f"{file.repository}/{file.name}"
                update = Update(
                    whole="download", finished=start + size, pieces=whole, piece=piece, done=size, total=file.size
                )
                progress(update)

            fetch(file, one.folder, tell=tell)
            before += file.size


def _need(task: Task, language: str, split: Split) -> Need:
    part = part_of(task, language, split)
    return Need(
        repository=part.repository,
        config=config_of(part, language),
        split=split_of(part),
        revision=part.revision or catalogue.revision(part.repository),
        upstream=part.upstream,
    )


def _of_training(asked: PartSpec | MlmSpec, tasks: Mapping[str, Task]) -> Iterator[Need]:
    """Training rows and, of labelled ones, development rows."""
    task = find(asked.task, among=tasks)
    languages = asked.languages if isinstance(asked, MlmSpec) else asked.named_languages
    for language in languages or task.languages_of(TRAIN):
        yield _need(task, language, TRAIN)
        if task.format.labelled:
            yield _need(task, language, VALIDATION)


def _holds(root: Path, repository: str, wanted: Sequence[Need]) -> bool:
    """Whether a folder that did not come from the Hub holds these splits.

    Raises SourceError when it holds others only: the Hub's files would replace what somebody made.
    """
    if not mirror.holds(root, repository):
        return False
    folder = root / repository
    if (folder / mirror.NOTES).is_dir() or not any(folder.iterdir()):
        return False
    try:
        for need in wanted:
            mirror.files(root, repository=repository, config=need.config, split=need.split)
    except SourceError as error:
        if wanted[0].upstream:
            return False
        raise SourceError(f"{error}; it did not come from the Hub, so nothing is put beside it: move it away") from None
    return True


def _unknown(need: Need) -> Source:
    return Source(repository=need.repository, licence="", upstream=need.upstream)


def _files(found: Listing, wanted: Sequence[Need]) -> list[File]:
    """The files of these splits, with the README that says where they lie.

    Where a repository holds no Parquet or .jsonl file of them, those of the Hub's own Parquet copy.
    """
    card = _readme(found)
    where = f"{found.repository}: the configs in {README} on the Hub"
    declared = mirror.declared_by(card, where=where)
    names: dict[str, None] = {}
    for need in wanted:
        patterns = mirror.patterns_of(
            declared, repository=need.repository, config=need.config, split=need.split, place="on the Hub"
        )
        matching = [name for pattern in patterns for name in _matching(found.files, pattern)]
        if not matching:
            return _of_copy(found, wanted)
        names |= dict.fromkeys(matching)
    chosen = ([README] if README in found.files else []) + sorted(names)
    return [found.files[name] for name in chosen]


def _of_copy(found: Listing, wanted: Sequence[Need]) -> list[File]:
    copy = listing(found.repository, kind="dataset", revision=PARQUET_COPY)
    names: dict[str, None] = {}
    for need in wanted:
        matching = _matching(copy.files, f"{need.config}/{need.split}/*")
        if not matching:
            raise SourceError(
                f"{need.repository} ({need.config}, {need.split}): the Hub has no Parquet or .jsonl file of it, "
                "neither in the repository nor in its Parquet copy"
            )
        names |= dict.fromkeys(matching)
    return [copy.files[name] for name in sorted(names)]


def _readme(found: Listing) -> str:
    if README not in found.files:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        return fetch(found.files[README], Path(folder), tell=lambda _: None).read_text(encoding="utf-8")


def _matching(names: Iterable[str], pattern: str) -> list[str]:
    """Paths that the pattern means; `*` stays within a folder, `**` does not."""
    parts = PurePosixPath(pattern).parts
    return sorted(name for name in names if PurePosixPath(name).suffix in SUFFIXES and _fits(name.split("/"), parts))


def _fits(name: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern or not name:
        return not pattern and not name
    if pattern[0] == "**":
        return _fits(name, pattern[1:]) or _fits(name[1:], pattern)
    return fnmatchcase(name[0], pattern[0]) and _fits(name[1:], pattern[1:])


def _check_room(orders: Sequence[Order]) -> None:
    needed = sum(one.waiting for one in orders)
    if not needed:
        return
    folder = orders[0].folder
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SourceError(f"{needed / 1e9:.1f} GB are to be downloaded, and {free / 1e9:.1f} GB are free in {folder}")
