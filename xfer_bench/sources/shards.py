"""Whether the pieces of a split that is kept in several files are all there: NAME-00000-of-00002.parquet."""

import re
from collections.abc import Iterable
from pathlib import Path

from xfer_bench.errors import SourceError

# A digest follows in older repositories.
_PIECE = re.compile(r"(?P<name>.*)-(?P<number>\d+)-of-(?P<count>\d+)(?:-[0-9a-f]+)?")


def check_complete(paths: Iterable[Path], *, where: str) -> None:
    """Raise SourceError, beginning with `where`, for a piece that is missing or there twice, or for two sets of them.

    Files whose names do not say how many there are pass.
    """
    sets: dict[Path, dict[str, dict[str, Path]]] = {}
    for path in paths:
        if found := _PIECE.fullmatch(path.stem):
            pieces = sets.setdefault(path.parent / found["name"], {}).setdefault(found["count"], {})
            other = pieces.setdefault(found["number"], path)
            if other != path:
                raise SourceError(
                    f"{where}: {other.name} and {path.name} in {path.parent} are the same piece; keep one of them"
                )
    for name, counts in sets.items():
        if len(counts) > 1:
            one, another = (next(iter(pieces.values())).name for pieces in list(counts.values())[:2])
            raise SourceError(f"{where}: {one} and {another} in {name.parent} are of two sets; keep one of the sets")
        for count, pieces in counts.items():
            _check_set(name, count, set(pieces), where=where)


def _check_set(name: Path, count: str, numbers: set[str], *, where: str) -> None:
    width = max(len(number) for number in numbers)
    present = {int(number) for number in numbers}
    # Programs number from 0, some people from 1.
    first = 1 if int(count) in present and 0 not in present else 0
    missing = sorted(set(range(first, first + int(count))) - present)
    if missing:
        lacking = f"{name}-{missing[0]:0{width}}-of-{count}"
        raise SourceError(
            f"{where}: no {lacking}, and {len(present)} of its {int(count)} files are there; fetch the repository again"
        )
