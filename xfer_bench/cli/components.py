"""`components`: how much of the variance is items', seeds' and languages'; no torch."""

from pathlib import Path
from typing import Annotated

import typer

from xfer_bench.cli.options import Baseline, Folder, Format
from xfer_bench.errors import ResultsError


def components(
    results: Folder = Path("results"),
    baseline: Baseline = None,
    output: Annotated[Format, typer.Option("--format", help="How the components are printed.")] = Format.TABLE,
) -> None:
    """Print variance components of each arm's accuracies and gains: clusters of items, seeds, languages, the rest."""
    from xfer_bench.metrics import baseline_arm
    from xfer_bench.report.components import render_components
    from xfer_bench.results import Results
    from xfer_bench.stats.components import pairing_components
    from xfer_bench.stats.gains import target_name
    from xfer_bench.stats.outcomes import pairings

    predictions = Results(results).predictions()
    chosen = baseline_arm(predictions, name=baseline)
    found = {target_name(one): pairing_components(one) for one in pairings(predictions, baseline=chosen)}
    if not found:
        raise ResultsError(f"no run shares its task, setting and target seed with a run of the baseline {chosen!r}")
    typer.echo(render_components(found, baseline=chosen, format=output.value))
