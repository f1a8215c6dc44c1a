"""`run` and `train`: a study file becomes checkpoints, results and figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from xfer_bench.cli.options import DataRoot, OwnTasks
from xfer_bench.errors import StudyError

if TYPE_CHECKING:
    from xfer_bench.pipeline import Place, Prepared
    from xfer_bench.training.checkpoints import Checkpoint

StudyFile: TypeAlias = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study file, or the name of one that comes along, such as quickstart.")
]
Out: TypeAlias = Annotated[
    Path, typer.Option("-o", "--out", metavar="OUT", help="Gets checkpoints/, results/ and figures/.")
]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan: stages, which are shared, which are done, and a rough cost.")
]

Changes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Put over the file, e.g. --set seeds.target=[0,1,2]; repeatable."),
]

_PICTURES = (".pdf", ".png", ".svg")


def train(
    study: StudyFile,
    out: Out,
    data_root: DataRoot = None,
    changes: Changes = None,
    own: OwnTasks = None,
    dry_run: DryRun = False,
) -> None:
    """Train every arm of a study at every seed; what is finished already is not trained again."""
    prepared, place = _prepare(study, out, data_root, changes, own)
    if dry_run:
        _print_plan(prepared, place)
        return
    _train(prepared, place)
    typer.echo(f"{len(prepared.plan.runs)} runs trained; checkpoints in {place.store.folder}")


def run(
    study: StudyFile,
    out: Out,
    data_root: DataRoot = None,
    changes: Changes = None,
    own: OwnTasks = None,
    dry_run: DryRun = False,
) -> None:
    """Train a study, evaluate it in every language, compare its arms and draw the figures."""
    from xfer_bench.bars import shown
    from xfer_bench.cli.compare import compared, of_folder, show
    from xfer_bench.cli.results import draw
    from xfer_bench.pipeline import evaluate_study
    from xfer_bench.stats.method import Method

    prepared, place = _prepare(study, out, data_root, changes, own)
    if dry_run:
        _print_plan(prepared, place)
        return
    checkpoints = _train(prepared, place)
    with shown() as progress:
        evaluate_study(prepared, place, checkpoints, progress=progress)
    given, method = of_folder(place.results), Method()
    found = compared(given, baseline=None, method=method)
    show(found, given, method)
    draw(place.results, place.figures, found)


def plan(
    study: StudyFile,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="OUT", help="Where it runs, to see what is done there.")
    ] = None,
    data_root: DataRoot = None,
    changes: Changes = None,
    own: OwnTasks = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw the stages too: .pdf, .png or .svg.")
    ] = None,
) -> None:
    """Print the plan of a study: its stages, which of them arms share, which are done, and a rough cost."""
    if picture is not None and picture.suffix not in _PICTURES:
        raise StudyError(f"--picture {picture}: cannot draw {picture.suffix or 'that'}; use {', '.join(_PICTURES)}")
    prepared, place = _prepare(study, out or Path("runs"), data_root, changes, own)
    _print_plan(prepared, place)
    if picture is not None:
        from xfer_bench.plotting.plan_graph import save_plan

        save_plan(prepared.plan, picture, model=prepared.origin.name)
        typer.echo(f"drawn: {picture}")


def _prepare(
    study: str, out: Path, data_root: Path | None, changes: list[str] | None, own: list[Path] | None
) -> tuple["Prepared", "Place"]:
    from xfer_bench.pipeline import Place, prepare
    from xfer_bench.sources.embedded import study_file
    from xfer_bench.sources.source import Sources, resolve_data_root
    from xfer_bench.study import Study
    from xfer_bench.tasks.own import load_tasks, task_files

    path = Path(study) if Path(study).exists() else study_file(study)
    read = Study.from_toml(path, changes=changes or ())
    tasks = load_tasks([*task_files(path), *(own or ())])
    prepared = prepare(read, sources=Sources(data_root=resolve_data_root(data_root)), tasks=tasks)
    if prepared.origin.note:
        typer.echo(f"note: {prepared.origin.note}", err=True)
    return prepared, Place(out=out)


def _train(prepared: "Prepared", place: "Place") -> dict[str, "Checkpoint"]:
    from xfer_bench.bars import shown
    from xfer_bench.pipeline import train_study

    with shown() as progress:
        return train_study(prepared, place, progress=progress)


def _print_plan(prepared: "Prepared", place: "Place") -> None:
    from xfer_bench.cli.plan_table import plan_lines

    for line in plan_lines(prepared, place.store):
        typer.echo(line)
