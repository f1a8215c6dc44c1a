"""Training rows that a study evaluates on, by their content: counted, and refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from xfer_bench.errors import StudyError
from xfer_bench.sources.overlap import overlap
from xfer_bench.sources.source import Rows


@dataclass(frozen=True, kw_only=True)
class Leaks:
    """The rows that are evaluated on, and what was compared with them already.

    rows: by target and language. clean: fingerprints of training rows that do not leak, with the target.
    """

    rows: dict[str, dict[str, pl.DataFrame]] = field(default_factory=dict)
    clean: set[tuple[str, str]] = field(default_factory=set)

    def evaluates(self, target: str, rows: Mapping[str, pl.DataFrame]) -> None:
        """Note the rows of a target by language."""
        self.rows.setdefault(target, {}).update(rows)

    def check(self, training: Rows, task: str, target: str, *, where: str) -> None:
        """Raises StudyError when training rows are equal or nearly equal to rows of the target in the same language."""
        languages = training.frame["language"].unique(maintain_order=True)
        scored = [frame for language, frame in self.rows[target].items() if language in languages]
        key = (training.fingerprint, target)
        if key in self.clean or not scored:
            return
        found = overlap(training.frame, pl.concat(scored))
        if found.leaked:
            first = found.leaks.row(0, named=True)
            raise StudyError(
                f"{where}: {found.leaked:,} of its {training.frame.height:,} rows of {task} are items that {target} is "
                f"evaluated on, or nearly so (item {first['training_item']} is {first['evaluation_item']} in "
                f"{first['evaluation_language']}); leave the set out, or write allow_overlap = [{task!r}] and say so"
            )
        self.clean.add(key)
