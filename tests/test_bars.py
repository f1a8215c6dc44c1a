"""Away from a terminal progress is a line now and then, with an estimate as soon as there is something to go by."""

import time

import pytest

from xfer_bench import bars
from xfer_bench.progress import Update


def lines(
    updates: list[float], pieces: float, monkeypatch: pytest.MonkeyPatch, text: pytest.CaptureFixture[str]
) -> list[str]:
    clock = iter(range(0, 60 * (len(updates) + 2), 60))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    with bars.shown() as report:
        for finished in updates:
            report(Update(whole="training", finished=finished, pieces=pieces, piece="stage"))
    return text.readouterr().err.splitlines()


def test_what_hardly_began_gives_no_estimate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A minute between updates; the first one is where the clock of the work starts.
    told = lines([0.0, 0.01, 0.5, 1.0, 2.0], 4, monkeypatch, capsys)
    assert [line.partition("stage")[2] for line in told] == [
        "",
        "",
        ", about 14 min left",
        ", about 9 min left",
        ", about 4 min left",
    ]


def test_one_long_piece_has_an_estimate_after_its_tenth(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = lines([0.0, 0.05, 0.1], 1, monkeypatch, capsys)
    assert [line.partition("stage")[2] for line in told] == ["", "", ", about 18 min left"]


def test_what_was_done_before_is_no_measure_of_the_pace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = lines([30.0, 31.0], 40, monkeypatch, capsys)
    assert [line.partition("stage")[2] for line in told] == ["", ", about 9 min left"]
