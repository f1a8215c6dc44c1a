"""Parts that differ in their split only."""

from dataclasses import replace

from xfer_bench.tasks.task import Part, Split


def in_splits(part: Part, *splits: Split) -> tuple[Part, ...]:
    """The same part in each of these splits, for a repository that names its splits as we do."""
    return tuple(replace(part, split=split) for split in splits)
