"""`cache`: what the prediction store holds, whether it is whole, and what can go."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from xfer_bench.cli.quantities import size
from xfer_bench.errors import CacheError

if TYPE_CHECKING:
    from xfer_bench.evaluation.cache import PredictionStore

app = typer.Typer(help="The prediction store: what it holds, whether it is whole, what can go.", no_args_is_help=True)

Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Remove without asking.")]


@app.command()
def info() -> None:
    """Show sizes by checkpoint and task."""
    from xfer_bench.evaluation.upkeep import contents, size_of

    with _store() as store:
        typer.echo(f"{store.folder}: {size(size_of(store.folder))}")
        typer.echo(f"  blocks {size(size_of(store.blocks.folder))}, tokens {size(size_of(store.tokens))}")
        typer.echo(f"  index {store.index.folder}: {size(size_of(store.index.folder))}")
        for row in contents(store).iter_rows(named=True):
            variant = "" if row["variant"] == "published" else f" ({row['variant']})"
            typer.echo(
                f"{row['checkpoint'] or 'a checkpoint'} ({row['weights'][:8]}): {row['task']}{variant} {row['split']}, "
                f"{row['languages']} languages, {row['items']:,} items, {row['blocks']} blocks, {size(row['bytes'])}"
            )


@app.command()
def verify() -> None:
    """Read every block and compare it with its checksum; exit code 1 when one is damaged."""
    from xfer_bench.evaluation.upkeep import damaged

    with _store() as store:
        files = sum(len(store.blocks.files(scorer)) for scorer in store.blocks.scorers())
        broken = list(damaged(store))
    for path in broken:
        typer.echo(f"damaged: {path}")
    if broken:
        raise CacheError(f"{len(broken)} of {files} blocks are damaged; the next eval removes them and scores again")
    typer.echo(f"{files} blocks, all whole")


@app.command()
def gc(yes: Yes = False) -> None:
    """Show what nobody can ask for any more, and remove it when you agree."""
    from xfer_bench.evaluation.upkeep import removable

    with _store() as store:
        found = list(removable(store))
        for one in found:
            typer.echo(f"{one.path.relative_to(store.folder)}: {size(one.bytes)}, {one.reason}")
        if not found:
            typer.echo("nothing to remove")
        elif _agreed(f"remove {len(found)} files, {size(sum(one.bytes for one in found))}?", yes=yes):
            store.blocks.remove([one.path for one in found])
            typer.echo(f"{len(found)} files removed")


@app.command()
def clear(yes: Yes = False) -> None:
    """Remove everything: all predictions will be scored again. Results folders stay."""
    from xfer_bench.evaluation.upkeep import clear as remove
    from xfer_bench.evaluation.upkeep import size_of

    with _store() as store:
        if _agreed(f"remove all of {store.folder}, {size(size_of(store.folder))}?", yes=yes):
            remove(store)
            typer.echo("removed")


@contextmanager
def _store() -> "Iterator[PredictionStore]":
    """The user's store; what it found damaged and removed meanwhile is said at the end."""
    from xfer_bench.evaluation.cache import PredictionStore, default_store

    with PredictionStore(default_store()) as store:
        try:
            yield store
        finally:
            for warning in store.warnings:
                typer.echo(f"warning: {warning}", err=True)


def _agreed(question: str, *, yes: bool) -> bool:
    if yes:
        return True
    try:
        return typer.confirm(question)
    except typer.Abort:
        raise CacheError(f"{question} nobody answered; --yes answers") from None
