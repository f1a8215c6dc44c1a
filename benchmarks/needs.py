"""What a benchmark needs and does not bring: a mirror of the data sets, and the starter model."""

import sys
from pathlib import Path

from xfer_bench.errors import XferBenchError
from xfer_bench.models import starter
from xfer_bench.sources.source import VARIABLE, resolve_data_root


def mirror_and_starter(named: Path | None) -> Path:
    """The mirror's folder; the benchmark ends here, saying so, where there is none or no starter model."""
    try:
        root = resolve_data_root(named)
    except XferBenchError as error:
        sys.exit(str(error))
    if root is None:
        sys.exit(f"skipped: no mirror of the data sets; --data-root DIR or {VARIABLE}=DIR")
    if not starter.is_available():
        sys.exit(f"skipped: no starter model; the package {starter.PACKAGE} is not installed")
    return root
