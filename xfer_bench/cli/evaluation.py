"""`eval`: checkpoints are scored in every language, item by item."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xfer_bench.cli.options import DataRoot, Format, Precision, Split
from xfer_bench.errors import ResultsError

if TYPE_CHECKING:
    import polars as pl

_RESAMPLES = 10_000
_SEED = 0


def evaluate(
    checkpoints: Annotated[
        list[str], typer.Argument(metavar="CKPT...", help="Checkpoints, folders of checkpoints, or Hub ids.")
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
    precision: Annotated[
        Precision, typer.Option("--precision", help="fp32, or bf16 by autocast (faster, not quite equal).")
    ] = Precision.FP32,
    batch_tokens: Annotated[
        int, typer.Option("--batch-tokens", min=16, help="Tokens of a batch; decides speed and memory, not results.")
    ] = 2048,
    data_root: DataRoot = None,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="RESULTS", help="The results folder to add to.")] = Path(
        "results"
    ),
    output: Annotated[Format, typer.Option("--format", help="How the accuracies are printed.")] = Format.TABLE,
) -> None:
    """Score checkpoints in every language and add the predictions to a results folder.

    Predictions are cached by the content of the weights, the tokenizer, the rows and the scoring code.
    """
    from xfer_bench import pipeline
    from xfer_bench.cli.bars import shown
    from xfer_bench.evaluation.cache import PredictionStore, default_store
    from xfer_bench.evaluation.discovery import discover
    from xfer_bench.evaluation.request import Ask
    from xfer_bench.results import Results
    from xfer_bench.sources.source import Sources, resolve_data_root
    from xfer_bench.tasks import TASKS

    ask = Ask(
        tasks=tuple(task or ()),
        languages=tuple(language or ()),
        split=split.value,
        limit=limit,
        precision=precision.value,
        batch_tokens=batch_tokens,
    )
    sources = Sources(data_root=resolve_data_root(data_root))
    with PredictionStore(default_store()) as store, shown() as progress:
        predictions, skipped = pipeline.evaluate(
            discover(checkpoints),
            ask,
            sources=sources,
            tasks=TASKS,
            store=store,
            results=Results(out),
            progress=progress,
        )
    for reason in skipped:
        typer.echo(f"skipped: {reason}", err=True)
    if predictions.is_empty():
        raise ResultsError(f"nothing to score: no task fits the {len(skipped)} checkpoints and tasks looked at")
    _print_scores(predictions, precision=precision.value, output=output.value)
    typer.echo(f"predictions in {out}", err=True)


def _print_scores(
    predictions: "pl.DataFrame", *, precision: str, output: Literal["table", "json", "csv", "markdown"]
) -> None:
    from xfer_bench.report.tables import bootstrap_settings, render_scores
    from xfer_bench.stats.scores import score_intervals

    scores = score_intervals(predictions, resamples=_RESAMPLES, seed=_SEED)
    settings = {**bootstrap_settings(resamples=_RESAMPLES, seed=_SEED), "precision": precision}
    typer.echo(render_scores(scores, format=output, settings=settings))
