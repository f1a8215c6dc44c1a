"""`table`: a paper's tables from a results folder, as Markdown, CSV or LaTeX; no torch."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_bench.cli.given import Given, OnSplit, OnVariant, Select, compared, of_folder
from xfer_bench.cli.options import RESAMPLES, Baseline, Folder, Level, Resamples, Seed
from xfer_bench.errors import ResultsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xfer_bench.report.findings import Findings
    from xfer_bench.report.sheets import Sheet
    from xfer_bench.stats.method import Method


class Name(StrEnum):
    """The tables."""

    MAIN = "main"
    LANGUAGES = "languages"
    ARMS = "arms"
    SEEDS = "seeds"
    RANKS = "ranks"


class As(StrEnum):
    """How a table is written."""

    MARKDOWN = "markdown"
    CSV = "csv"
    LATEX = "latex"


class Shown(StrEnum):
    """What stands beside a gain."""

    INTERVAL = "interval"
    SE = "se"
    NONE = "none"


class Over(StrEnum):
    """What is drawn."""

    ITEMS = "items"
    BOTH = "both"


class Adjust(StrEnum):
    """For how many tests a family has."""

    HOLM = "holm"
    BH = "bh"
    NONE = "none"


_ENDINGS = {".md": As.MARKDOWN, ".csv": As.CSV, ".tex": As.LATEX}


def table(
    name: Annotated[Name, typer.Argument(help="Which table.")],
    results: Folder = Path("results"),
    format: Annotated[
        As | None, typer.Option("--format", help="By default what the file's name says, or Markdown.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write it here.")] = None,
    uncertainty: Annotated[
        Shown, typer.Option("--uncertainty", help="Intervals below gains, standard errors beside them, or none.")
    ] = Shown.INTERVAL,
    baseline: Baseline = None,
    over: Annotated[Over, typer.Option("--over", help="Draw items, or items and seeds.")] = Over.ITEMS,
    adjust: Annotated[Adjust, typer.Option("--adjust", help="For several tests in a family.")] = Adjust.HOLM,
    select: Select = None,
    split: OnSplit = None,
    variant: OnVariant = None,
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
    level: Level = 0.95,
) -> None:
    """Print a table for a paper.

    main: gains of arms by targets. languages: accuracies and gains by language, a table for each target. arms: what
    each was trained on. seeds: every run. ranks: arms by gain, with groups of ties. LaTeX needs booktabs and siunitx.
    """
    from xfer_bench.parquet import check_writable
    from xfer_bench.results import Results, write_whole
    from xfer_bench.stats.method import Method

    written_as = format or _format_of(out)
    if out is not None:
        check_writable(out)
    method = Method(over=over.value, adjust=adjust.value, resamples=resamples, seed=seed, level=level)
    given = of_folder(Results(results), select=select, split=split, variant=variant)
    full = written_as is As.CSV
    sheets = _sheets(name, given, method, baseline=baseline, uncertainty=uncertainty, full=full)
    text = _written(sheets, written_as)
    for note in given.notes:
        typer.echo(f"note: {note}", err=True)
    if out is None:
        typer.echo(text)
    else:
        write_whole(out, f"{text}\n".encode())


def _format_of(out: Path | None) -> As:
    """The format that a file's name asks for; Markdown for a name without an ending, and for the screen."""
    ending = out.suffix.lower() if out else ""
    if ending and ending not in _ENDINGS:
        raise ResultsError(f"{out} ends in {ending}; use {', '.join(_ENDINGS)}, or say --format")
    return _ENDINGS.get(ending, As.MARKDOWN)


def _written(sheets: "Sequence[Sheet]", format: As) -> str:
    from xfer_bench.report.latex import as_latex
    from xfer_bench.report.sheets import as_csv, as_markdown

    return {As.MARKDOWN: as_markdown, As.CSV: as_csv, As.LATEX: as_latex}[format](sheets)


def _sheets(
    name: Name, given: Given, method: "Method", *, baseline: str | None, uncertainty: Shown, full: bool
) -> "Sequence[Sheet]":
    """The tables; full: for programs, with what people read in titles and captions in columns or their heads."""
    from xfer_bench.metrics import baseline_arm
    from xfer_bench.report.paper_tables import language_tables, main_table, with_full_heads, with_target_columns

    if name is Name.ARMS:
        return [_arms(given)]
    chosen = baseline_arm(given.predictions, name=baseline)
    if name is Name.SEEDS:
        return _seeds(given, chosen, full=full)
    if name is Name.RANKS:
        return [_ranks(given, chosen, method, full=full)]
    found = _findings(given, method, baseline=chosen, uncertainty=uncertainty)
    if name is Name.MAIN:
        return [with_full_heads(main_table(found), found.targets) if full else main_table(found)]
    sheets = language_tables(found)
    return [with_target_columns(*one) for one in zip(sheets, found.targets, strict=True)] if full else sheets


def _findings(given: Given, method: "Method", *, baseline: str, uncertainty: Shown) -> "Findings":
    from xfer_bench.report.comparisons import method_settings
    from xfer_bench.report.findings import Findings
    from xfer_bench.report.leaders import leaders

    found = compared(given, baseline=baseline, method=method)
    ours, _ = given.apart(reference=baseline)
    best = leaders(ours, found, baseline=baseline, resamples=method.resamples, seed=method.seed)
    return Findings(
        comparisons=tuple(found),
        settings={**method_settings(found, method), "select": given.select},
        leaders=best,
        collapsed=given.collapsed,
        uncertainty=uncertainty.value,
    )


def _arms(given: Given) -> "Sheet":
    from xfer_bench.report.appendix import arm_table, seeds_of
    from xfer_bench.report.training import trained

    known = () if given.stages is None else trained(given.predictions, given.stages)
    if not known:
        raise ResultsError("these results hold no stages of their runs, so nothing tells what the arms were trained on")
    return arm_table(known, seeds_of(given.predictions))


def _seeds(given: Given, baseline: str, *, full: bool) -> "Sequence[Sheet]":
    import polars as pl

    from xfer_bench.frames import STAGES
    from xfer_bench.metrics import why_unpaired
    from xfer_bench.report.appendix import seed_tables
    from xfer_bench.report.leaders import target_of
    from xfer_bench.report.paper_tables import with_target_columns
    from xfer_bench.stats.collapse import collapsed
    from xfer_bench.stats.outcomes import pairings

    ours, _ = given.apart(reference=baseline)
    several = list(pairings(ours, baseline=baseline))
    if not several:
        raise ResultsError(why_unpaired(given.predictions, baseline=baseline))
    stages = pl.DataFrame(schema=STAGES) if given.stages is None else given.stages
    sheets = seed_tables(several, stages, collapsed={one.run for one in collapsed(stages)})
    if not full:
        return sheets
    return [with_target_columns(sheet, target_of(one)) for sheet, one in zip(sheets, several, strict=True)]


def _ranks(given: Given, baseline: str, method: "Method", *, full: bool) -> "Sheet":
    from xfer_bench.report.appendix import rank_table
    from xfer_bench.report.leaders import target_of
    from xfer_bench.report.paper_tables import with_target_columns
    from xfer_bench.report.ranks import rank_settings
    from xfer_bench.stats.ranking import rank

    ours, _ = given.apart(reference=baseline)
    resamples, seed, level = method.resamples, method.seed, method.level
    found = rank(ours, baseline=baseline, resamples=resamples, seed=seed, level=level)
    settings = rank_settings(baseline=baseline, resamples=resamples, seed=seed, level=level)
    sheet = rank_table(found, settings={**settings, "select": given.select})
    return with_target_columns(sheet, *map(target_of, found)) if full else sheet
