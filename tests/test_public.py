"""One public door: what is listed is there, and what is there is listed."""

import importlib

import pytest

import xfer_bench
from xfer_bench import stats


@pytest.mark.parametrize("name", stats.__all__)
def test_every_statistic_is_there_and_documented(name: str) -> None:
    assert getattr(stats, name).__doc__
    assert stats.__all__ == sorted(stats.__all__) == dir(stats)
    assert set(stats._HOMES) == set(stats.__all__)


@pytest.mark.parametrize("name", xfer_bench.__all__)
def test_every_listed_name_is_there_and_documented(name: str) -> None:
    value = getattr(xfer_bench, name)
    assert value is not None
    assert name in {"__version__", "TASKS"} or value.__doc__


def test_every_listed_name_comes_from_one_home() -> None:
    homes = xfer_bench._HOMES
    assert {*homes, "__version__"} == set(xfer_bench.__all__) == set(dir(xfer_bench))
    assert all(hasattr(importlib.import_module(f"xfer_bench.{home}"), name) for name, home in homes.items())


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        xfer_bench.nothing  # noqa: B018
