"""Writes `fingerprints.csv` from a mirror: `python data/fingerprints.py MIRROR`. Hashes and counts, never a text.

Every column that a task of the registry reads, in every split that the mirror holds. The embedded data have none: they
change with the code.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from xfer_bench.sources import embedded, mirror
from xfer_bench.sources.pins import HEADER, fingerprint
from xfer_bench.sources.source import config_of, split_of
from xfer_bench.tasks import TASKS

Key = tuple[str, str, str]


def read_by_tasks() -> dict[Key, tuple[str, ...]]:
    """(repository, configuration, split) to the columns that some task reads, in the order of their names."""
    wanted: dict[Key, set[str]] = {}
    for task in TASKS.values():
        for part in task.parts:
            for language in part.languages:
                key = (part.repository, config_of(part, language), split_of(part))
                wanted.setdefault(key, set()).update(part.columns)
    return {key: tuple(sorted(columns)) for key, columns in wanted.items() if key[0] not in embedded.REPOSITORIES}


def rows_of(root: Path) -> Iterator[tuple[str | int, ...]]:
    """The lines of the table."""
    for (repository, config, split), columns in sorted(read_by_tasks().items()):
        if not any((root / repository).glob(f"{config}/{split}-*")):
            continue
        frame = mirror.read(root, repository=repository, config=config, split=split, columns=columns)
        for name in columns:
            yield repository, config, split, frame.height, name, fingerprint(frame[name])


if __name__ == "__main__":
    with Path(__file__).with_name("fingerprints.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEADER)
        table.writerows(rows_of(Path(sys.argv[1])))
