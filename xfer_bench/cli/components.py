"""`components`: how much of the variance is items', seeds' and languages'; no torch."""

from pathlib import Path
from typing import Annotated

import typer

from xfer_bench.cli.given import OnSplit, OnVariant, Select, of_folder
from xfer_bench.cli.options import Baseline, Folder, Format
from xfer_bench.errors import ResultsError


def components(
    results: Folder = Path("results"),
    baseline: Baseline = None,
    select: Select = None,
    split: OnSplit = None,
    variant: OnVariant = None,
    output: Annotated[Format, typer.Option("--format", help="How the components are printed.")] = Format.TABLE,
) -> None:
    """Print variance components of each arm's accuracies and gains: clusters of items, seeds, languages, the rest."""
    from xfer_bench.labels import MORE_TARGET_DATA
    from xfer_bench.metrics import baseline_arm, why_unpaired
    from xfer_bench.report.components import render_components
    from xfer_bench.results import Results
    from xfer_bench.stats.components import pairing_components
    from xfer_bench.stats.controls import controls_in_words
    from xfer_bench.stats.gains import target_name
    from xfer_bench.stats.outcomes import pairings

    given = of_folder(Results(results), select=select, split=split, variant=variant)
    chosen = baseline_arm(given.predictions, name=baseline)
    ours, theirs = given.apart(reference=chosen)
    found = {target_name(one): pairing_components(one) for one in pairings(ours, baseline=chosen)}
    found |= {
        f"{target_name(one)}; {controls_in_words(MORE_TARGET_DATA)}": pairing_components(one)
        for one in pairings(theirs, baseline=chosen)
    }
    if not found:
        raise ResultsError(why_unpaired(given.predictions, baseline=chosen))
    given.tell(output)
    typer.echo(render_components(found, baseline=chosen, format=output.value, notes=given.notes))
