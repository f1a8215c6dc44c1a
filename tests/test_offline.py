"""With the network switched off nothing tries to connect: sockets are blocked, and every attempt is written down."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.small_checkpoints import choosing, rows
from tests.small_study import STUDY, small_model
from tests.sources.local_hub import COMMIT, local_hub

REPOSITORY = Path(__file__).resolve().parents[1]

_BLOCKED = """
import json, socket, ssl, sys

attempts = []

class Blocked(socket.socket):
    # Of the network; what processes of one machine say to each other passes.
    def __init__(self, family=-1, *others, **named):
        if family in (-1, socket.AF_INET, socket.AF_INET6):
            attempts.append("socket")
            raise OSError("the network is blocked")
        super().__init__(family, *others, **named)

def blocked(*arguments, **named):
    attempts.append(str(arguments[:2]))
    raise OSError("the network is blocked")

socket.socket = Blocked
socket.getaddrinfo = socket.create_connection = socket.gethostbyname = blocked
"""
_COMMANDS = """
from xfer_bench.cli import main
codes = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["xfer-bench", *arguments]
    try:
        main()
        codes.append(0)
    except SystemExit as end:
        codes.append(end.code or 0)
print(json.dumps([codes, attempts]))
"""
_READING = """
from xfer_bench.sources import hub
answer = hub.read("some/pairs", config="en", split="test", revision=sys.argv[1], columns=("premise",))
print(json.dumps([[answer.revision, answer.frame.height], attempts]))
"""


def _python(code: str, *arguments: str, folder: Path, **environment: str) -> Any:
    """What the last line says that a process of its own prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={
            **kept,
            "HF_HOME": str(folder / "home"),
            "XFER_BENCH_STORE": str(folder / "store"),
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": str(REPOSITORY),
            **environment,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror, a checkpoint, a study; and a Hub's repository in the cache."""
    folder = tmp_path_factory.mktemp("offline")
    rows(folder / "mirror")
    choosing(folder / "checkpoint")
    (folder / "study.toml").write_text(STUDY.format(model=small_model(folder / "model")))
    with local_hub() as address:
        read, _ = _python("import json, sys\nattempts = []\n" + _READING, COMMIT, folder=folder, HF_ENDPOINT=address)
    assert read == [COMMIT, 6]
    return folder


def test_the_block_blocks(folder: Path) -> None:
    code = "import huggingface_hub\ntry:\n    huggingface_hub.HfApi().dataset_info('some/pairs', timeout=2)\n"
    code += "except Exception:\n    pass\nprint(json.dumps(attempts))"
    assert _python(_BLOCKED + code, folder=folder, HF_HUB_DISABLE_TELEMETRY="1")


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"])
def test_commands_on_what_is_here_do_not_try_the_network(folder: Path, switch: str) -> None:
    mirror = ["--data-root", "mirror"]
    commands = [
        ["data", "list", *mirror],
        ["data", "list", "xnli", "--bibtex"],
        ["data", "audit", "xcopa", "siqa", "--grade", "error", *mirror],
        ["plan", "study.toml", *mirror],
        ["eval", "checkpoint", "-t", "xcopa", "-l", "et", "-o", f"results-{switch}", *mirror],
        ["data", "prefetch", "xnli", "--data-root", "elsewhere"],
    ]
    # The data sets' own switch does not speak of models.
    if switch == "HF_HUB_OFFLINE":
        commands.append(["plan", "study.toml", "--set", 'model="some/model"', *mirror])
    codes, attempts = _python(_BLOCKED + _COMMANDS, json.dumps(commands), folder=folder, **{switch: "1"})
    assert attempts == []
    # The audit finds that invented rows are no real ones; what must be downloaded is refused.
    assert codes[:2] + codes[3:] == [0, 0, 0, 0, 1, 1][: len(commands) - 1]
    assert codes[2] in {0, 3, 4}


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"])
@pytest.mark.parametrize("revision", ["", COMMIT])
def test_cached_rows_serve_without_a_try(folder: Path, switch: str, revision: str) -> None:
    read, attempts = _python(_BLOCKED + _READING, revision, folder=folder, **{switch: "1"})
    assert (read, attempts) == ([COMMIT, 6], [])
