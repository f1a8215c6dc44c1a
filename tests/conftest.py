"""For every test: mirrors of invented rows stand under real names, so their rows are not the pinned ones."""

from collections.abc import Iterator

import pytest

from xfer_bench.sources.pins import ACCEPT


@pytest.fixture(autouse=True, scope="session")
def _invented_rows_pass() -> Iterator[None]:
    """Tests of the pins themselves take the variable away again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ACCEPT, "all")
        yield
