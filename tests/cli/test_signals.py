"""A signal stops the program within seconds: one line, the shell's exit code, nothing finished lost, nobody left."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import psutil
import pytest

from tests.evaluation.processes import CHECKOUT, ITEMS, LANGUAGES, SLOWLY, Place, Started, long_mirror, same
from tests.evaluation.small_checkpoints import choosing

ALL = ITEMS * len(LANGUAGES)
GOES_ON = "the same command goes on where this one stopped"
# Seconds, many of them: machines that run tests are busy. A tenth is the rule.
SOON = 30.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("signals")
    folder = choosing(root / "checkpoint")
    return Place(mirror=long_mirror(root / "mirror"), checkpoints=(folder,), folder=root / "whole")


@pytest.fixture(scope="module")
def whole(place: Place) -> pl.DataFrame:
    return place.evaluate().predictions()


def to_the_process(started: Started, number: int) -> None:
    started.process.send_signal(number)


def to_all(started: Started, number: int) -> None:
    """As a terminal does on Ctrl-C, and a cluster when time is up."""
    os.killpg(started.process.pid, number)


@pytest.mark.parametrize(
    ("number", "send", "devices"),
    [
        (signal.SIGINT, to_all, "cpu,cpu"),
        (signal.SIGTERM, to_the_process, "cpu"),
        pytest.param(signal.SIGTERM, to_all, "cpu,cpu", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, to_the_process, "cpu,cpu", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, to_all, "cpu", marks=pytest.mark.slow),
    ],
)
def test_a_signal_while_scoring(
    place: Place,
    whole: pl.DataFrame,
    tmp_path: Path,
    number: signal.Signals,
    send: Callable[[Started, int], None],
    devices: str,
) -> None:
    here = replace(place, folder=tmp_path / "here")
    # By the clock it would commit in an hour: whatever is there was committed because of the signal.
    started = here.started(*SLOWLY, "--devices", devices, commit=3600, talk=0)
    assert started.has_scored(10)
    workers = psutil.Process(started.process.pid).children(recursive=True)
    send(started, number)
    code, said = started.ended(within=SOON)
    assert code == 128 + number
    assert said[-1] == f"stopped by {number.name}; {GOES_ON}"
    assert [line for line in said[1:-1] if " %: " not in line] == []  # the first may lack its beginning
    assert psutil.wait_procs(workers, timeout=SOON)[1] == []
    kept = len(here.held())
    assert 0 < kept < ALL
    assert here.drafts() == []
    done = here.evaluate()
    assert sum(account.sequences for account in done.accounts) == 2 * (ALL - kept)
    assert same(here.results, whole)


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(place: Place, tmp_path: Path) -> None:
    here = replace(place, folder=tmp_path / "here")
    started = here.started(*SLOWLY, "--devices", "cpu,cpu", talk=0)
    assert started.has_scored(10)
    workers = psutil.Process(started.process.pid).children(recursive=True)
    assert len(workers) >= 2
    started.process.kill()
    assert started.ended()[0] == -signal.SIGKILL
    assert psutil.wait_procs(workers, timeout=SOON)[1] == []


# A finalizer runs, and the signal comes meanwhile: Python drops whatever is raised in one.
IN_A_FINALIZER = """
import os, signal, time
from xfer_bench import cli

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)

def app(standalone_mode):
    Last()
    time.sleep(60)

cli.app = app
cli.main()
"""


def test_a_signal_in_a_finalizer_is_not_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FINALIZER], capture_output=True, text=True, timeout=SOON, check=False, cwd=CHECKOUT
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr == f"stopped by SIGTERM; {GOES_ON}\n"


@pytest.mark.slow
def test_thirty_signals_at_random_moments(
    place: Place, whole: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """While it plans, imports, loads, tokenises, scores, seals and writes: never a traceback, never another code."""
    moments = random.Random(0)
    codes: Counter[int] = Counter()
    longest = 0.0
    for attempt in range(30):
        here = replace(place, folder=tmp_path / f"attempt-{attempt}")
        number = signal.SIGTERM if attempt % 2 else signal.SIGINT
        started = here.started(*SLOWLY)
        time.sleep(moments.uniform(0, 4))
        started.process.send_signal(number)
        began = time.monotonic()
        code, said = started.ended(within=SOON)
        longest = max(longest, time.monotonic() - began)
        assert not any("Traceback" in line or "rror" in line for line in said), said
        if code == -number:
            # It was done, and the interpreter on its way out has no handlers any more. Shells show the same number.
            assert same(here.results, whole)
        else:
            assert code in {0, 128 + number}
            assert (said[-1] == f"stopped by {number.name}; {GOES_ON}") == (code != 0)
        codes[code] += 1
        kept = len(here.held())
        done = here.evaluate()
        assert sum(account.sequences for account in done.accounts) == 2 * (ALL - kept)
        assert same(here.results, whole)
    with capsys.disabled():
        sys.stderr.write(f"\n30 signals: exit codes {dict(codes)}, at most {longest:.1f} s until the end\n")
