"""What a report is about: a results folder, read and compared."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.report.comparisons import method_settings
from xfer_bench.report.tables import Settings
from xfer_bench.results import Results
from xfer_bench.sources.source import Sources
from xfer_bench.stats.collapse import Collapse, collapsed
from xfer_bench.stats.estimates import Comparison
from xfer_bench.stats.method import Method
from xfer_bench.stats.variants import headline_variant
from xfer_bench.tasks import TASKS, Task


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The results, what was compared, and how.

    predictions: PREDICTIONS with one answer to each item of each run. comparisons: of these. notes: what a reader has
    to know of runs. select: the rule that chose among steps of runs. texts: where the items' texts come from; None
    leaves them out. title: empty for one that names the tasks. figures: names of those to draw; empty for all.
    """

    results: Results
    predictions: pl.DataFrame
    comparisons: tuple[Comparison, ...]
    method: Method
    notes: tuple[str, ...] = ()
    select: str | None = None
    tasks: Mapping[str, Task] = field(default_factory=lambda: MappingProxyType(dict(TASKS)))
    texts: Sources | None = None
    title: str = ""
    figures: tuple[str, ...] = ()

    @cached_property
    def stages(self) -> pl.DataFrame:
        """STAGES of the folder."""
        return self.results.stages()

    @cached_property
    def collapsed(self) -> tuple[Collapse, ...]:
        """The runs that learnt nothing."""
        return tuple(collapsed(self.stages))

    @cached_property
    def settings(self) -> Settings:
        """What someone else needs to get the same comparisons."""
        return {**method_settings(self.comparisons, self.method), "select": self.select}

    @cached_property
    def evaluated(self) -> tuple[str, ...]:
        """The tasks that were scored, sorted."""
        return tuple(sorted(self.predictions["task"].unique()))

    @cached_property
    def trained(self) -> tuple[str, ...]:
        """The tasks that stages were trained on, sorted."""
        return tuple(sorted({name for names in self.stages["task"].unique() for name in str(names).split("+")}))

    @cached_property
    def involved(self) -> tuple[str, ...]:
        """The tasks that were scored, then the others that were trained on."""
        return (*self.evaluated, *(name for name in self.trained if name not in self.evaluated))

    def is_headline(self, task: str, split: str, variant: str) -> bool:
        """Whether this variant of the task's rows stands for the task: the repaired one, where all runs have it."""
        return self._headlines.get((task, split), variant) == variant

    @cached_property
    def _headlines(self) -> Mapping[tuple[str, str], str]:
        found = {}
        for task, split in self.predictions.select("task", "split").unique().iter_rows():
            # Where runs share none, every one of them stands for itself.
            with suppress(ResultsError):
                found[task, split] = headline_variant(self.predictions, task=task, split=split)
        return found
