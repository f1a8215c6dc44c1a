"""`data prefetch`: everything that a study or tasks need, in a folder that needs no network afterwards."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_bench.cli.options import OwnTasks
from xfer_bench.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from xfer_bench.sources.prefetch import Look, Need, Order
    from xfer_bench.study import Study
    from xfer_bench.tasks import Task

ASK_ABOVE = 1_000_000_000
_VARIABLE = "XFER_BENCH_DATA"


def prefetch(
    names: Annotated[
        list[str], typer.Argument(metavar="STUDY|TASK...", help="Study files, studies that come along, or tasks.")
    ],
    data_root: Annotated[
        Path | None,
        typer.Option("--data-root", metavar="DIR", envvar=_VARIABLE, help="Where to; made when it is not there."),
    ] = None,
    languages: Annotated[
        list[str] | None, typer.Option("-l", "--language", help="Of tasks, only this language (repeatable).")
    ] = None,
    models: Annotated[bool, typer.Option("--models", help="The studies' models too, into DIR/models.")] = False,
    files: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE...", help="Files of a task's upstream, to be converted."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, however much it is.")] = False,
    own: OwnTasks = None,
) -> None:
    """Download what studies or tasks need, as a mirror that --data-root reads without a network.

    The same call goes on where an interrupted one stopped. What has no loadable twin on the Hub is named with its
    upstream's address; the files that you download there are checked and converted with --from.
    """
    from xfer_bench.tasks.own import load_tasks

    root = _folder(data_root)
    tasks = load_tasks(own or ())
    if files:
        # A shell's pattern after --from leaves all files but the first among the names.
        more = [name for name in names if name not in tasks and Path(name).is_file()]
        _convert([name for name in names if name not in more], [*files, *map(Path, more)], root, tasks)
        return
    needs, studies = _needs(names, tasks, languages or ())
    look, orders = _look(needs, studies if models else (), root)
    total = _print(look, orders)
    if total > ASK_ABOVE and not yes:
        if not sys.stdin.isatty():
            raise SourceError(f"{_size(total)} are to be downloaded; pass --yes, or name fewer tasks or languages")
        typer.confirm(f"Download {_size(total)} into {root}?", abort=True)
    if total:
        _bring(orders)
    _close(look, orders, root)


def _folder(data_root: Path | None) -> Path:
    if data_root is None:
        raise SourceError(f"no folder to bring the data to; give --data-root DIR or set {_VARIABLE}")
    folder = data_root.expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise SourceError(f"--data-root {folder} is a file; it must be a folder")
    return folder


def _needs(
    names: "Sequence[str]", tasks: "Mapping[str, Task]", languages: "Sequence[str]"
) -> "tuple[list[Need], list[Study]]":
    """What is needed, and the studies among the names. A file wins over a task of its name."""
    from xfer_bench.errors import StudyError
    from xfer_bench.sources import prefetch
    from xfer_bench.sources.embedded import study_file
    from xfer_bench.study import Study
    from xfer_bench.tasks.own import load_tasks, task_files

    needs: list[Need] = []
    studies: list[Study] = []
    for name in names:
        if name in tasks and not Path(name).is_file():
            needs += prefetch.of_task(tasks[name], languages)
            continue
        try:
            path = Path(name) if Path(name).exists() else study_file(name)
        except StudyError as error:
            raise SourceError(f"{name} is neither a task nor a study: {error}; `data list` lists the tasks") from None
        study = Study.from_toml(path)
        needs += prefetch.of_study(study, {**load_tasks(task_files(path)), **tasks})
        studies.append(study)
    return needs, studies


def _look(needs: "Iterable[Need]", studies: "Iterable[Study]", root: Path) -> "tuple[Look, list[Order]]":
    from xfer_bench.models import prefetch as models
    from xfer_bench.sources import prefetch

    look = prefetch.look(needs, root)
    named = dict.fromkeys(one for study in studies for one in models.of_study(study))
    return look, [*look.orders, *(models.look(model, revision=revision, root=root) for model, revision in named)]


def _print(look: "Look", orders: "Sequence[Order]") -> int:
    """Say what is to be downloaded, and give its bytes."""
    for repository in look.there:
        typer.echo(f"{repository}: there already, not from the Hub")
    for one in orders:
        state = "there already" if not one.waiting else f"{_size(one.waiting)} of {_size(one.size)} to download"
        typer.echo(f"{one.repository} @ {one.files[0].commit[:8]}: {len(one.files)} files, {state}")
    total = sum(one.waiting for one in orders)
    typer.echo(f"to download: {_size(total)}")
    return total


def _bring(orders: "Sequence[Order]") -> None:
    from xfer_bench.bars import shown
    from xfer_bench.sources.prefetch import bring

    with shown() as progress:
        bring(orders, progress=progress)


def _close(look: "Look", orders: "Sequence[Order]", root: Path) -> None:
    """Say how to use what is there, and what is still to be got by hand."""
    from xfer_bench.models.prefetch import FOLDER
    from xfer_bench.sources.upstream import how_to_get

    for one in orders:
        if one.folder.is_relative_to(root / FOLDER):
            typer.echo(f"""the model {one.repository} is a folder now: --set 'model="{one.folder}"'""")
    for source in look.upstream:
        typer.echo(how_to_get(source), err=True)
    if look.upstream:
        names = ", ".join(source.repository for source in look.upstream)
        raise SourceError(f"still to be made from files of their upstreams: {names}")
    typer.echo(f"use it with --data-root {os.fspath(root)}")


def _convert(names: "Sequence[str]", files: "Sequence[Path]", root: Path, tasks: "Mapping[str, Task]") -> None:
    from xfer_bench.sources.catalogue import source
    from xfer_bench.sources.upstream import convert
    from xfer_bench.tasks import find

    parts = [part for name in names for part in find(name, among=tasks).parts if part.upstream]
    repositories = list(dict.fromkeys(part.repository for part in parts))
    known = source(repositories[0]) if len(repositories) == 1 else None
    if known is None:
        among = f"these are of {', '.join(repositories)}" if repositories else "none of these is"
        raise SourceError(f"--from goes with a task of one repository that has no loadable twin on the Hub; {among}")
    for one in convert(known, files, root):
        checked = f"; SHA-256 as known: {', '.join(one.verified)}" if one.verified else ""
        typer.echo(f"{known.repository} ({one.split}): {one.rows:,} rows in {one.path}{checked}")


def _size(count: int) -> str:
    if count >= 1_000_000_000:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"
