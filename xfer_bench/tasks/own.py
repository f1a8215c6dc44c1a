"""Tasks from outside this package: those that installed packages register, and those that TOML files describe.

A package registers its tasks under the entry point group `xfer_bench.tasks`; the entry point's value is a Task or a
sequence of them. It is loaded when a name is asked for that is not known without it, or when all tasks are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import polars as pl

from xfer_bench.errors import TaskError, XferBenchError
from xfer_bench.tasks import TASKS, Task
from xfer_bench.tasks.described import task_of
from xfer_bench.tasks.description import Description

GROUP = "xfer_bench.tasks"
FOLDER = "tasks"

# What the import of somebody else's module may raise: each of Python's own families, ours, and that of polars, whose
# expressions readers are made of.
_BROKEN = (
    *(ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, ImportError, LookupError, MemoryError),
    *(NameError, OSError, ReferenceError, RuntimeError, SyntaxError, SystemError, SystemExit, TypeError, ValueError),
    *(Warning, XferBenchError, pl.exceptions.PolarsError),
)


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Tasks by name, and what is wrong with entry points, a line each."""

    tasks: Mapping[str, Task]
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Registry(Mapping[str, Task]):
    """Tasks by name: those known from the beginning, then those of the entry points.

    A name that is known is found without loading any entry point. `problems` says, a line each, which entry points
    cannot be loaded or give a name that is taken; what they would have given is left out, all else is there.
    """

    known: Mapping[str, Task]
    entry_points: tuple[EntryPoint, ...] = ()

    def __getitem__(self, name: str) -> Task:
        if name in self.known:
            return self.known[name]
        if name in self._found.tasks:
            return self._found.tasks[name]
        raise KeyError(name, *self.problems)

    def __iter__(self) -> Iterator[str]:
        yield from self.known
        yield from self._found.tasks

    def __len__(self) -> int:
        return len(self.known) + len(self._found.tasks)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with entry points, a line each; loads them."""
        return self._found.problems

    @cached_property
    def _found(self) -> _Found:
        offered: dict[str, list[tuple[EntryPoint, Task]]] = {}
        problems: list[str] = []
        for point in sorted(self.entry_points, key=_label):
            try:
                for task in _given(point):
                    others = offered.setdefault(task.name, [])
                    if not any(other is task for _, other in others):
                        others.append((point, task))
            except TaskError as error:
                problems.append(str(error))
        for name, points in offered.items():
            if name in self.known:
                problems += [f"{_label(point)} gives a task {name!r}, and there is one already" for point, _ in points]
            elif len(points) > 1:
                both = " and ".join(_label(point) for point, _ in points)
                problems.append(f"{both} each give a task {name!r}; neither is used")
        tasks = {name: points[0][1] for name, points in offered.items() if len(points) == 1 and name not in self.known}
        return _Found(tasks=tasks, problems=tuple(problems))


def load_tasks(paths: Iterable[Path] = ()) -> Registry:
    """This package's tasks, those that these files describe, and those of the entry points.

    Raises TaskError, naming the file, for one that is wrong and for a name that is taken.
    """
    known = dict(TASKS)
    described: dict[str, Path] = {}
    for path in {path.resolve(): path for path in paths}.values():
        task = task_of(Description.from_toml(path))
        if task.name in known:
            where = described.get(task.name, "xfer-bench itself")
            raise TaskError(f"{path}: the name {task.name!r} is taken by {where}; give the task another")
        described[task.name] = path
        known[task.name] = task
    for name, path in described.items():
        _check_settings(known[name], path, known)
    return Registry(known=known, entry_points=tuple(entry_points(group=GROUP)))


def task_files(study: Path) -> tuple[Path, ...]:
    """The tasks described beside a study file: `tasks/*.toml` in its folder."""
    return tuple(sorted((study.parent / FOLDER).glob("*.toml")))


def _check_settings(task: Task, path: Path, known: Mapping[str, Task]) -> None:
    """Refuse a setting that ends in another format. Names that are not known here may be an entry point's."""
    for setting, chain in task.settings.items():
        last = known.get(chain[-1])
        if last is not None and last.format != task.format:
            raise TaskError(
                f"{path}: settings.{setting}: ends in {last.name}, which is {last.format.name}; its head cannot answer "
                f"{task.name}, which is {task.format.name}"
            )


def _given(point: EntryPoint) -> Sequence[Task]:
    try:
        value = point.load()
    except _BROKEN as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise TaskError(f"{_label(point)} cannot be loaded: {reason}") from None
    tasks = [value] if isinstance(value, Task) else value
    if not isinstance(tasks, Sequence) or isinstance(tasks, str) or not all(isinstance(one, Task) for one in tasks):
        raise TaskError(f"{_label(point)} gives a {type(value).__name__}; it must be a Task or a sequence of Tasks")
    return tasks


def _label(point: EntryPoint) -> str:
    of = f" of {point.dist.name} {point.dist.version}" if point.dist is not None else ""
    return f"the entry point {point.name!r}{of} ({GROUP})"
