"""What needs no model loads no model library: `--help` and everything computed from predictions stay fast."""

import json
import pkgutil
import subprocess
import sys

import pytest

import xfer_bench
from xfer_bench.cli import app

SLOW = ("torch", "transformers", "datasets", "scipy", "seaborn", "matplotlib")

# Whatever is not named here is light.
HEAVY = {
    "xfer_bench.evaluation.budgets",
    "xfer_bench.evaluation.engines",
    "xfer_bench.evaluation.evaluator",
    "xfer_bench.evaluation.loading",
    "xfer_bench.evaluation.scoring",
    "xfer_bench.evaluation.work",
    "xfer_bench.evaluation.workers",
    "xfer_bench.models.encoding",
    "xfer_bench.models.heads",
    "xfer_bench.models.loading",
    "xfer_bench.models.merging",
    "xfer_bench.models.multitask",
    "xfer_bench.models.precision",
    "xfer_bench.models.sentences",
    "xfer_bench.models.sliced",
    "xfer_bench.models.vocabulary",
}
MODULES = {module.name for module in pkgutil.walk_packages(xfer_bench.__path__, "xfer_bench.")}
# The packed forward pass, which is several files.
HEAVY |= {name for name in MODULES if name.startswith("xfer_bench.models.ragged")}
# All of training but what is asked of finished stages.
_FINISHED = {"ancestry", "board", "checkpoints", "crew", "keeping", "locks", "outcomes", "source", "worker"}
HEAVY |= {name for name in MODULES if name.startswith("xfer_bench.training.") and name.split(".")[-1] not in _FINISHED}
LIGHT_ROOMS = sorted({name.split(".")[1] for name in MODULES - HEAVY})
COMMANDS = [[str(command.name)] for command in app.registered_commands]
COMMANDS += [
    [str(group.name), str(command.name or getattr(command.callback, "__name__", ""))]
    for group in app.registered_groups
    if group.typer_instance is not None
    for command in group.typer_instance.registered_commands
]

IMPORTING = """
import importlib, json, sys
for name in {modules!r}:
    importlib.import_module(name)
print(json.dumps([name for name in {slow!r} if name in sys.modules]))
"""

RUNNING = """
import json, sys
from xfer_bench.cli import main
sys.argv = ["xfer-bench", *{arguments!r}]
code = 0
try:
    main()
except SystemExit as end:
    code = end.code
print(json.dumps([code, [name for name in {slow!r} if name in sys.modules]]), file=sys.stderr)
"""


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_every_heavy_module_exists() -> None:
    assert HEAVY <= MODULES


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_importing_the_light_modules_of_a_room_loads_nothing_slow(room: str) -> None:
    modules = sorted(name for name in MODULES - HEAVY if name.split(".")[1] == room)
    assert json.loads(_python(IMPORTING.format(modules=modules, slow=SLOW)).stdout) == []


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([*names, "--help"] for names in COMMANDS)], ids=" ".join
)
def test_help_answers_without_loading_anything_slow(arguments: list[str]) -> None:
    answer = _python(RUNNING.format(arguments=arguments, slow=SLOW))
    assert "xfer-bench" in answer.stdout
    assert json.loads(answer.stderr) == [0, []]
