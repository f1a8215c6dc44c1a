"""`rank`: which arm to pick, and what picking by development data loses; no torch."""

from pathlib import Path
from typing import Annotated

import typer

from xfer_bench.cli.options import RESAMPLES, Baseline, Folder, Format, Resamples, Seed


def rank(
    results: Folder = Path("results"),
    baseline: Baseline = None,
    k: Annotated[
        list[int] | None,
        typer.Option("--k", min=1, help="Regret of trying the first k arms (repeatable); by default 1, 2 and 3."),
    ] = None,
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
    output: Annotated[Format, typer.Option("--format", help="How the ranks are printed.")] = Format.TABLE,
) -> None:
    """Print the arms of each target by gain, with the ranks that each may have and the chance that it is best.

    Then what is lost by trying only the arms that learnt their intermediate task best.
    """
    from xfer_bench.metrics import baseline_arm
    from xfer_bench.report.ranks import rank_settings, render_ranks
    from xfer_bench.results import Results
    from xfer_bench.stats.ranking import rank as ranked
    from xfer_bench.stats.ranking import regrets

    folder = Results(results)
    predictions = folder.predictions()
    chosen = baseline_arm(predictions, name=baseline)
    rankings = ranked(predictions, baseline=chosen, resamples=resamples, seed=seed)
    lost = regrets(predictions, folder.stages(), baseline=chosen, k=k or (1, 2, 3), resamples=resamples, seed=seed)
    settings = rank_settings(baseline=chosen, resamples=resamples, seed=seed)
    typer.echo(render_ranks(rankings, lost, format=output.value, settings=settings))
