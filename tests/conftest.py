"""For every test: mirrors of invented rows stand under real names, so their rows are not the pinned ones."""

import os
from collections.abc import Iterator

import pytest

from xfer_bench.sources.pins import ACCEPT

# Processes that test side by side share the cores; torch reads this when it is first imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="session")
def _invented_rows_pass() -> Iterator[None]:
    """Tests of the pins themselves take the variable away again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ACCEPT, "all")
        yield
