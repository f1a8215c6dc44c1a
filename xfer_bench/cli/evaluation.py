"""`eval`: checkpoints are scored in every language, item by item."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_bench.cli.given import Variant, variants_of
from xfer_bench.cli.options import DataRoot, Format, OwnTasks, Precision, Split
from xfer_bench.errors import CheckpointError, ResultsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xfer_bench.evaluation.request import Ask
    from xfer_bench.evaluation.sweep import Evaluated, Evaluator
    from xfer_bench.tasks import Task

_RESAMPLES = 10_000
_SEED = 0
_LEAST_TOKENS = 16


def _batch_tokens(text: str) -> int:
    """`auto` is 0."""
    if text == "auto":
        return 0
    try:
        tokens = int(text)
    except ValueError:
        tokens = 0
    if tokens < _LEAST_TOKENS:
        raise typer.BadParameter(f"{text!r} is neither auto nor a number of tokens from {_LEAST_TOKENS} on")
    return tokens


def evaluate(
    checkpoints: Annotated[
        list[str],
        typer.Argument(metavar="CKPT...", help="Checkpoints, adapters, folders of them, or Hub ids (OWNER/NAME@REV)."),
    ],
    task: Annotated[
        list[str] | None, typer.Option("-t", "--task", help="Only this task (repeatable); by default all that fit.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option("-l", "--language", help="Only this language (repeatable); by default all.")
    ] = None,
    split: Annotated[Split, typer.Option("--split", help="Which rows to score.")] = Split.TEST,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Only the first so many items of each language, by whole clusters."),
    ] = None,
    variant: Annotated[
        list[Variant] | None,
        typer.Option(
            "--variant", help="Of a task with repaired rows; both by default: only the rows that differ are more work."
        ),
    ] = None,
    precision: Annotated[
        Precision, typer.Option("--precision", help="auto: fp32 on a CPU; on a GPU bf16 where it agrees with fp32.")
    ] = Precision.AUTO,
    batch_tokens: Annotated[
        int,
        typer.Option(
            "--batch-tokens", parser=_batch_tokens, metavar="N|auto", help="Decides speed and memory, not results."
        ),
    ] = "auto",  # type: ignore[assignment]  # the parser takes it
    devices: Annotated[
        str, typer.Option("--devices", help="auto (every GPU, else the CPU), cpu, cuda, or several: cuda:0,cuda:1.")
    ] = "auto",
    data_root: DataRoot = None,
    own: OwnTasks = None,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="RESULTS", help="The results folder to add to.")] = Path(
        "results"
    ),
    output: Annotated[Format, typer.Option("--format", help="How the accuracies are printed.")] = Format.TABLE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is cached, what would be scored, and about how long it takes.")
    ] = False,
    check_precision: Annotated[
        bool, typer.Option("--check-precision", help="Only measure how far bf16 is from fp32, on a sample.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every byte of the checkpoints again; trust no remembered digest.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse what would be skipped: no fitting head, no such rows.")
    ] = False,
) -> None:
    """Score checkpoints in every language and add the predictions to a results folder.

    Predictions are kept by the content of the weights, the tokenizer, the rows and the scoring code: nothing is
    scored twice, and nothing stale is served. An interrupted call goes on where it stopped.
    """
    from xfer_bench.bars import shown
    from xfer_bench.evaluation.request import Ask
    from xfer_bench.evaluation.sweep import Evaluator
    from xfer_bench.sources.source import Sources, resolve_data_root

    ask = Ask(
        tasks=tuple(task or ()),
        languages=tuple(language or ()),
        split=split.value,
        limit=limit,
        variants=variants_of(variant),
        precision=precision.value,
        verify=verify,
        strict=strict,
    )
    sources = Sources(data_root=resolve_data_root(data_root))
    with shown() as progress:
        evaluator = Evaluator(
            sources=sources,
            tasks=_tasks(ask.tasks, own or ()),
            batch_tokens=batch_tokens or None,
            devices=devices,
            progress=progress,
        )
        if dry_run or check_precision:
            _look(evaluator, checkpoints, ask, check_precision=check_precision)
            return
        done = _evaluate(evaluator, checkpoints, ask, out)
    _report(done, out=out, output=output)


def _tasks(named: "Sequence[str]", own: "Sequence[Path]") -> "Mapping[str, Task]":
    """Ours, and others' only where they are asked for: looking for those that are installed takes time."""
    from xfer_bench.tasks import TASKS

    if not own and TASKS.keys() >= set(named):
        return TASKS
    from xfer_bench.tasks.own import load_tasks

    return load_tasks(own)


def _evaluate(evaluator: "Evaluator", checkpoints: list[str], ask: "Ask", out: Path) -> "Evaluated":
    from xfer_bench.evaluation.discovery import discover
    from xfer_bench.results import Results

    return evaluator.evaluate(discover(checkpoints), ask, results=Results(out))


def _look(evaluator: "Evaluator", checkpoints: list[str], ask: "Ask", *, check_precision: bool) -> None:
    from xfer_bench.cli.request_table import precision_lines, request_lines
    from xfer_bench.evaluation.cache import PredictionStore
    from xfer_bench.evaluation.discovery import discover

    with PredictionStore(evaluator.store) as store:
        asked = evaluator.request(discover(checkpoints), ask, store)
        lines = precision_lines(asked, store) if check_precision else request_lines(asked, store)
        for line in lines:
            typer.echo(line)
        for warning in store.warnings:
            typer.echo(f"warning: {warning}", err=True)
    if asked.failed:
        raise CheckpointError("; ".join(asked.failed))


def _report(done: "Evaluated", *, out: Path, output: Format) -> None:
    from xfer_bench.cli.request_table import account_lines
    from xfer_bench.report.tables import bootstrap_settings, render_scores

    for warning in done.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for reason in done.skipped:
        typer.echo(f"skipped: {reason}", err=True)
    if not done.tallies and not done.failed:
        raise ResultsError(f"nothing to score: no task fits the {len(done.skipped)} checkpoints and tasks looked at")
    if done.tallies:
        settings = {**bootstrap_settings(resamples=_RESAMPLES, seed=_SEED), "precision": ", ".join(done.precisions)}
        scores = done.scores(resamples=_RESAMPLES, seed=_SEED)
        typer.echo(render_scores(scores, format=output.value, settings=settings))
        for line in account_lines(done):
            typer.echo(line, err=True)
        typer.echo(f"predictions in {out}", err=True)
    if done.failed:
        if len(done.failed) == 1 and not done.tallies:
            raise CheckpointError(done.failed[0])
        for reason in done.failed:
            typer.echo(f"failed: {reason}", err=True)
        raise CheckpointError(f"{len(done.failed)} checkpoints could not be scored; all others are in {out}")
