"""A full disk: one line, nothing half written, and the same command goes on when there is space again."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evaluation.processes import CHECKOUT, Place, long_mirror, same
from tests.evaluation.small_checkpoints import choosing

# On a small file system: first it is full, then there is room for one checkpoint, then it is full again and has a
# little more room every time until the second is done. Results go elsewhere.
FULL = """
import json, os, sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from tests.evaluation.processes import Place
from xfer_bench.cli import main
from xfer_bench.evaluation import scoring

scoring.COMMIT_SECONDS = 0.0
folder, mirror, first, second = map(Path, sys.argv[1:])
place = Place(mirror=mirror, checkpoints=(first, second), folder=folder)
os.environ["XFER_BENCH_STORE"] = str(place.store)
ballast = folder / "ballast"

def fill():
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return

def attempt(*checkpoints):
    errors = StringIO()
    asked = replace(place, checkpoints=checkpoints, folder=folder.parent)
    sys.argv = ["xfer-bench", *asked.arguments("--batch-tokens", "64", "--devices", "cpu")]
    try:
        with redirect_stderr(errors), redirect_stdout(StringIO()):
            main()
    except SystemExit as stop:
        code = stop.code or 0
    lines = [line for line in errors.getvalue().splitlines() if line]
    drafts = [str(draft) for draft in place.drafts()]
    return {"code": code, "lines": lines, "drafts": drafts, "blocks": len(place.files())}

fill()
seen = [attempt(first)]
ballast.unlink()
seen.append(attempt(first))
fill()
while seen[-1]["code"] or len(seen) == 2:
    seen.append(attempt(first, second))
    os.truncate(ballast, max(0, ballast.stat().st_size - 8192))
ballast.unlink()
print(json.dumps({"seen": seen, "held": len(place.held())}))
"""


def own_file_system() -> list[str]:
    """The beginning of a command that may mount something that nobody else sees; empty where nothing may."""
    for command in (["unshare", "-m"], ["unshare", "-rm"]):
        with_mount = [*command, "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"]
        if shutil.which("unshare") and subprocess.run(with_mount, capture_output=True, check=False).returncode == 0:
            return command
    return []


@pytest.mark.skipif(not own_file_system(), reason="neither root nor user namespaces may mount a small file system")
def test_a_full_disk_is_one_line_and_the_store_stays_valid(tmp_path: Path) -> None:
    folders = tuple(choosing(tmp_path / f"seed-{seed}", seed=seed) for seed in (0, 1))
    elsewhere = Place(mirror=long_mirror(tmp_path / "mirror"), checkpoints=folders, folder=tmp_path / "whole")
    whole = elsewhere.evaluate(batch_tokens=None).predictions()
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=4m none '{small}' && exec \"$@\""
    script = [sys.executable, "-c", FULL, str(small), str(elsewhere.mirror), *map(str, elsewhere.checkpoints)]
    done = subprocess.run(
        [*own_file_system(), "sh", "-c", mount, "sh", *script],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=CHECKOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert said["held"] == len(whole)
    nothing, one, *full, both = said["seen"]
    assert (nothing["blocks"], one["blocks"]) == (0, 1)
    assert (one["code"], both["code"]) == (0, 0)
    assert len(full) > 2
    for attempt in (nothing, *full):
        *progress, line = attempt["lines"]
        assert all(" %: " in earlier for earlier in progress)
        assert attempt["code"] == 1
        assert line.startswith(f"error: the prediction store {small / 'store'} cannot be used: No space left on device")
        assert attempt["drafts"] == []
    # At some of them a part of the second checkpoint's predictions found room.
    assert full[0]["blocks"] == 1
    assert any(attempt["blocks"] > 1 for attempt in full)
    assert same(replace(elsewhere, folder=tmp_path).results, whole)
