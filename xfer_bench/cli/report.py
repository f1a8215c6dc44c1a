"""`report`: everything about a results folder in one HTML file; no torch, no network."""

from pathlib import Path
from typing import Annotated

import typer

from xfer_bench.cli.given import OnSplit, Select, Variant, compared, of_folder
from xfer_bench.cli.options import RESAMPLES, Baseline, DataRoot, Folder, Level, OwnTasks, Resamples, Seed
from xfer_bench.cli.quantities import size
from xfer_bench.errors import ResultsError

# Bytes: what a mail takes, and a phone opens without delay.
_LARGE = 15 * 10**6


def report(
    results: Folder = Path("results"),
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The file to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option("--title", help="By default one that names the tasks.")] = "",
    with_texts: Annotated[
        bool, typer.Option("--with-texts", help="Include the items' texts, under the licences that the report lists.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Only these figures; repeatable, or with commas.")
    ] = None,
    baseline: Baseline = None,
    select: Select = None,
    split: OnSplit = None,
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
    level: Level = 0.95,
    data_root: DataRoot = None,
    own: OwnTasks = None,
) -> None:
    """Write a report as one HTML file that needs no network: answers, tables, figures, methods, data, every item.

    --data-root and --tasks tell where the texts come from; without --with-texts no row is read.
    """
    from xfer_bench.page.document import report as page_of
    from xfer_bench.page.subject import Subject
    from xfer_bench.parquet import check_writable
    from xfer_bench.results import Results, write_whole
    from xfer_bench.sources.source import Sources, resolve_data_root
    from xfer_bench.stats.method import Method
    from xfer_bench.tasks.own import load_tasks

    if out.is_dir():
        raise ResultsError(f"{out} is a folder; give the name of a file, such as {out / 'report.html'}")
    if out.suffix.lower() not in {"", ".html", ".htm"}:
        raise ResultsError(f"{out} ends in {out.suffix}; the report is a page: use .html")
    check_writable(out)
    texts = Sources(data_root=resolve_data_root(data_root)) if with_texts else None
    folder, method = Results(results), Method(resamples=resamples, seed=seed, level=level)
    given = of_folder(folder, select=select, split=split, variant=Variant.BOTH)
    subject = Subject(
        results=folder,
        predictions=given.predictions,
        comparisons=tuple(compared(given, baseline=baseline, method=method)),
        method=method,
        notes=given.notes,
        select=select,
        tasks=load_tasks(own or ()),
        texts=texts,
        title=title,
        figures=tuple(name.strip() for some in only or () for name in some.split(",") if name.strip()),
    )
    page = page_of(subject)
    write_whole(out, page)
    if len(page) > _LARGE:
        typer.echo(f"note: {size(len(page))} are much for one page; leave --with-texts out, or --split some", err=True)
    typer.echo(f"report in {out}: {size(len(page))}")
