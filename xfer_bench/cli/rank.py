"""`rank`: which arm to pick, and what picking by development data loses; no torch."""

from pathlib import Path
from typing import Annotated

import typer

from xfer_bench.cli.given import OnSplit, OnVariant, Select, of_folder
from xfer_bench.cli.options import RESAMPLES, Baseline, Folder, Format, Resamples, Seed
from xfer_bench.errors import ResultsError


def rank(
    results: Folder = Path("results"),
    baseline: Baseline = None,
    k: Annotated[
        list[int] | None,
        typer.Option("--k", min=1, help="Regret of trying the first k arms (repeatable); by default 1, 2 and 3."),
    ] = None,
    select: Select = None,
    split: OnSplit = None,
    variant: OnVariant = None,
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
    output: Annotated[Format, typer.Option("--format", help="How the ranks are printed.")] = Format.TABLE,
) -> None:
    """Print the arms of each target by gain, with the ranks that each may have and the chance that it is best.

    Then what is lost by trying only the arms that learnt their intermediate task best. Controls have no rank.
    """
    from xfer_bench.metrics import baseline_arm
    from xfer_bench.report.ranks import Ranks, rank_settings, render_ranks
    from xfer_bench.results import Results
    from xfer_bench.stats.ranking import rank as ranked
    from xfer_bench.stats.ranking import regrets

    folder = Results(results)
    given = of_folder(folder, select=select, split=split, variant=variant)
    chosen = baseline_arm(given.predictions, name=baseline)
    ours, theirs = given.apart(reference=chosen)
    controls = [] if theirs.is_empty() else ranked(theirs, baseline=chosen, resamples=resamples, seed=seed)
    if controls and {*ours["arm"]} <= {chosen}:
        raise ResultsError(f"nothing to rank in {results}: every arm that {chosen!r} can be compared with is a control")
    rankings = ranked(ours, baseline=chosen, resamples=resamples, seed=seed)
    lost = regrets(ours, folder.stages(), baseline=chosen, k=k or (1, 2, 3), resamples=resamples, seed=seed)
    settings = {**rank_settings(baseline=chosen, resamples=resamples, seed=seed), "select": select}
    tried = {one.k for regret in lost for one in regret.lost}
    beyond = [
        f"--k {one} is left out: on no target are there as many arms with an intermediate measure"
        for one in sorted({*(k or ())} - tried)
    ]
    notes = (*given.notes, *beyond)
    found = Ranks(rankings=tuple(rankings), regrets=tuple(lost), controls=tuple(controls), notes=notes)
    given.tell(output, *beyond)
    typer.echo(render_ranks(found, format=output.value, settings=settings))
