"""The diagnosis: every section looked at, each apart, so that one that fails hides no other."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from xfer_bench.doctor import folders, machine, supply
from xfer_bench.doctor.facts import Diagnosis, Fact, Veil
from xfer_bench.errors import XferBenchError


def diagnose(*, data_root: Path | None = None) -> Diagnosis:
    """Look at this machine. Asks no network, and writes nothing but the cache's folder.

    data_root: a local mirror; by default that of the environment. No fact holds a secret of the environment, and the
    user's home is `~` in all of them. It imports torch, which takes seconds.
    """
    sections: tuple[tuple[str, Callable[[], Iterator[Fact]]], ...] = (
        ("program", machine.program),
        ("devices", machine.devices),
        ("threads", machine.threads),
        ("folders", folders.folders),
        ("store", folders.store),
        ("network", supply.network),
        ("data", partial(supply.rows, data_root)),
        ("models", supply.models),
    )
    veil = Veil.of()
    found = [fact for name, look in sections for fact in _looked(name, look)]
    return Diagnosis(
        facts=tuple(
            replace(fact, value=veil.over(fact.value), reason=veil.over(fact.reason), name=veil.over(fact.name))
            for fact in found
        )
    )


def _looked(name: str, look: Callable[[], Iterator[Fact]]) -> Iterator[Fact]:
    """A section's facts. What it cannot tell is broken, with the reason: a library that does not load, a full disk."""
    try:
        yield from look()
    except (ImportError, OSError, RuntimeError, XferBenchError) as error:
        reason = f"{type(error).__name__}: {error}"
        yield Fact(section=name, name="failed", value="cannot be told", state="broken", reason=reason)
