"""How long work tells what it is doing. The library only calls back; the command line draws."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Update:
    """One piece of work and how far it is.

    whole: the work that the user asked for (`training`, `evaluation`), with `finished` of `pieces` behind it.
    piece: what is being done now, with `done` of `total` of its own unit (optimiser steps, sequences).
    """

    whole: str
    finished: float
    pieces: float
    piece: str = ""
    done: float = 0.0
    total: float = 0.0


Progress: TypeAlias = Callable[[Update], None]


def silent(update: Update) -> None:
    """Report to nobody."""
