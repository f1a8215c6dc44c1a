"""`run` and `train`: a study file becomes checkpoints, results and figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from xfer_bench.cli.options import DataRoot, OwnTasks
from xfer_bench.errors import CheckpointError, ResultsError, StudyError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xfer_bench.pipeline import Jobs, Place, Prepared
    from xfer_bench.training.outcomes import Trained

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
Several: TypeAlias = Annotated[
    str,
    typer.Option(
        "--jobs", metavar="N", help="Stages at once, each with a GPU or its share of the CPU; auto: one a GPU."
    ),
]
RetryFailed: TypeAlias = Annotated[
    bool, typer.Option("--retry-failed", help="Try stages again that failed in earlier calls.")
]

_PICTURES = (".pdf", ".png", ".svg")


def train(
    study: StudyFile,
    out: Out,
    data_root: DataRoot = None,
    changes: Changes = None,
    own: OwnTasks = None,
    dry_run: DryRun = False,
    jobs: Several = "1",
    retry_failed: RetryFailed = False,
) -> None:
    """Train every arm of a study at every seed; what is finished already is not trained again.

    A stage that cannot be trained costs the runs through it; the others go on, and the exit code is 1 in the end.
    """
    several = _jobs(jobs)
    found = []
    for prepared, place in _prepare(study, out, data_root, changes, own):
        if dry_run:
            _print_plan(prepared, place)
            continue
        found.append(_train(prepared, place, several, retry_failed=retry_failed))
        typer.echo(f"{len(found[-1])} runs trained; checkpoints in {place.store.folder}")
    _sum_up(found)


def run(
    study: StudyFile,
    out: Out,
    data_root: DataRoot = None,
    changes: Changes = None,
    own: OwnTasks = None,
    dry_run: DryRun = False,
    jobs: Several = "1",
    retry_failed: RetryFailed = False,
) -> None:
    """Train a study, evaluate it in every language, compare its arms and draw the figures.

    A stage that cannot be trained costs the runs through it; the others go on, and the exit code is 1 in the end.
    """
    several = _jobs(jobs)
    found = []
    for prepared, place in _prepare(study, out, data_root, changes, own):
        if dry_run:
            _print_plan(prepared, place)
            continue
        found.append(_train(prepared, place, several, retry_failed=retry_failed))
        _evaluate(prepared, place, found[-1])
    _sum_up(found)


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
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Train the first steps of the longest stage, to say how long all of it takes."),
    ] = False,
) -> None:
    """Print the plan of a study: its stages, which of them arms share, which are done, and what the rest costs."""
    if picture is not None and picture.suffix not in _PICTURES:
        raise StudyError(f"--picture {picture}: cannot draw {picture.suffix or 'that'}; use {', '.join(_PICTURES)}")
    studies = _prepare(study, out or Path("runs"), data_root, changes, own)
    for prepared, place in studies:
        _print_plan(prepared, place, probe=probe)
        if picture is not None:
            from xfer_bench.plotting.plan_graph import save_plan

            several = len(studies) > 1
            file = picture.with_stem(f"{picture.stem}-{prepared.plan.study.model_name}") if several else picture
            save_plan(prepared.plan, file, model=prepared.origin.name)
            typer.echo(f"drawn: {file}")


def _prepare(
    study: str, out: Path, data_root: Path | None, changes: list[str] | None, own: list[Path] | None
) -> list[tuple["Prepared", "Place"]]:
    """The study and where it goes; of a study of several models one for each."""
    from xfer_bench.pipeline import Place, prepare
    from xfer_bench.sources.embedded import study_file
    from xfer_bench.sources.source import Sources, resolve_data_root
    from xfer_bench.study import Study
    from xfer_bench.tasks.own import load_tasks, task_files

    path = Path(study) if Path(study).exists() else study_file(study)
    read = Study.from_toml(path, changes=changes or ())
    tasks = load_tasks([*task_files(path), *(own or ())])
    sources = Sources(data_root=resolve_data_root(data_root))
    every = read.per_model()
    found = []
    for one in every:
        prepared = prepare(one, sources=sources, tasks=tasks)
        if prepared.origin.note:
            typer.echo(f"note: {prepared.origin.note}", err=True)
        found.append((prepared, Place(out=out if len(every) == 1 else out / one.model_name)))
    return found


def _jobs(given: str) -> "Jobs":
    if given == "auto":
        return "auto"
    try:
        jobs = int(given) if given.isdecimal() else 0
    except ValueError:  # More digits than Python reads.
        jobs = 0
    if jobs < 1:
        raise StudyError(f"--jobs {given}: give a number from 1 on, or auto")
    return jobs


def _train(prepared: "Prepared", place: "Place", jobs: "Jobs", *, retry_failed: bool) -> "Trained":
    from xfer_bench.bars import shown
    from xfer_bench.pipeline import train_study

    with shown() as progress:
        return train_study(prepared, place, jobs=jobs, retry_failed=retry_failed, progress=progress)


def _evaluate(prepared: "Prepared", place: "Place", trained: "Trained") -> None:
    from xfer_bench.bars import shown
    from xfer_bench.pipeline import evaluate_study

    try:
        with shown() as progress:
            evaluate_study(prepared, place, trained, progress=progress)
        if trained:
            _compare(place)
    except (CheckpointError, ResultsError) as error:
        if not trained.failures:
            raise
        # Such as a baseline of which no run is left.
        typer.echo(f"not compared: {error}", err=True)


def _compare(place: "Place") -> None:
    from xfer_bench.cli.compare import compared, of_folder, show
    from xfer_bench.cli.figures import draw
    from xfer_bench.stats.method import Method

    given, method = of_folder(place.results), Method()
    found = compared(given, baseline=None, method=method)
    show(found, given, method)
    draw(place.results, place.figures, found)


def _sum_up(trained: "Sequence[Trained]") -> None:
    """Say what failed and what it costs. Raises TrainingError when something did."""
    for one in trained:
        for stage in one.collapsed:
            typer.echo(f"collapsed {stage}", err=True)
        for failure in one.failures:
            typer.echo(f"failed {failure}", err=True)
        for run, failure in one.lost.items():
            typer.echo(f"lost {run}: it needs {failure.key[:8]}", err=True)
    failures = [failure for one in trained for failure in one.failures]
    if not failures:
        return
    lost = sum(len(one.lost) for one in trained)
    stages = f"{len(failures)} stage{'s' if len(failures) > 1 else ''} failed"
    again = "--retry-failed tries again" if any(one.recorded for one in failures) else "run again to go on"
    raise TrainingError(
        f"{stages}, which costs {lost} of {lost + sum(map(len, trained))} runs; all else is done; {again}"
    )


def _print_plan(prepared: "Prepared", place: "Place", *, probe: bool = False) -> None:
    from xfer_bench.cli.plan_table import plan_lines

    rate = None
    if probe:
        from xfer_bench.bars import shown
        from xfer_bench.pipeline import probed

        with shown():
            rate = probed(prepared, place)
    for line in plan_lines(prepared, place.store, rate=rate):
        typer.echo(line)
