"""`correlate`: whether what was learnt in between goes with what was gained; no torch."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xfer_bench.cli.given import OnSplit, OnVariant, Select, Variant, of_folder
from xfer_bench.cli.options import RESAMPLES, Baseline, Folder, Format, Level, Resamples, Seed
from xfer_bench.errors import ResultsError


class Coefficient(StrEnum):
    """Correlation coefficients."""

    PEARSON = "pearson"
    SPEARMAN = "spearman"
    KENDALL = "kendall"


class Over(StrEnum):
    """What is drawn."""

    ITEMS = "items"
    BOTH = "both"


def correlate(
    results: Folder = Path("results"),
    baseline: Baseline = None,
    method: Annotated[Coefficient, typer.Option("--method", help="Pearson, Spearman, or Kendall's tau-b.")] = (
        Coefficient.PEARSON
    ),
    over: Annotated[
        Over, typer.Option("--over", help="Items, for these seeds; or items and seeds (3 seeds or more).")
    ] = Over.ITEMS,
    resample_tasks: Annotated[
        bool, typer.Option("--resample-tasks", help="Draw intermediate tasks too (6 tasks or more).")
    ] = False,
    select: Select = None,
    split: OnSplit = None,
    variant: OnVariant = None,
    level: Level = 0.95,
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
    output: Annotated[Format, typer.Option("--format", help="How the correlations are printed.")] = Format.TABLE,
) -> None:
    """Print how intermediate gains go with target gains, and the arms' gains with each other's elsewhere.

    Intermediate stages are the points; with fewer than six intermediate tasks nothing is inferred about tasks. Then
    whether arms that gain in one language, or on one target, gain in others. Controls are no points.
    """
    from xfer_bench.metrics import baseline_arm, why_unpaired
    from xfer_bench.report.correlations import Correlations, correlation_settings, render_correlations
    from xfer_bench.results import Results
    from xfer_bench.stats.agreement import between_languages, between_targets
    from xfer_bench.stats.controls import control_runs, left_out, without_controls
    from xfer_bench.stats.correlation import pool, relate
    from xfer_bench.stats.evidence import How
    from xfer_bench.stats.outcomes import pairings

    if variant is Variant.BOTH:
        raise ResultsError("--variant both would count every item twice; take published or repaired")
    folder = Results(results)
    given, stages = of_folder(folder, select=select, split=split, variant=variant), folder.stages()
    chosen = baseline_arm(given.predictions, name=baseline)
    predictions = without_controls(given.predictions, control_runs(stages))
    how = How(method=method.value, over=over.value, tasks=resample_tasks, level=level)
    relations = relate(predictions, stages, baseline=chosen, resamples=resamples, seed=seed, how=how)
    pooled = pool(predictions, stages, baseline=chosen, resamples=resamples, seed=seed, how=how)
    languages = between_languages(
        predictions, baseline=chosen, method=how.method, resamples=resamples, seed=seed, level=level
    )
    targets = between_targets(
        predictions, baseline=chosen, method=how.method, resamples=resamples, seed=seed, level=level
    )
    found = Correlations(
        relations=tuple(relations),
        pooled=pooled,
        languages=tuple(languages),
        targets=targets,
        notes=(*given.notes, *left_out(given.predictions, control_runs(stages))),
    )
    if not found.relations and not found.agreements:
        why = "no compared run has an intermediate stage with a development accuracy, and the gains are in one language"
        if not any(pairings(predictions, baseline=chosen)):
            why = why_unpaired(predictions, baseline=chosen)
        raise ResultsError(f"nothing to correlate in {results}: {why}")
    if not found.relations:
        typer.echo("no compared run has an intermediate stage with a development accuracy", err=True)
    settings = {**correlation_settings(how, baseline=chosen, resamples=resamples, seed=seed), "select": select}
    given.tell(output)
    typer.echo(render_correlations(found, format=output.value, settings=settings))
