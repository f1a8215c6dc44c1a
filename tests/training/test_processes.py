"""Several processes train as one does: each a part of every batch, the first one writing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training import one_process
from tests.training.one_stage import Stages, apart
from xfer_bench.training.checkpoints import Checkpoint
from xfer_bench.training.keeping import Kept

ROOT = Path(__file__).parents[2]


def together(stages: Stages, name: str, *, sequences: int = 0, **recipe: Any) -> Checkpoint:
    """What two processes on this CPU make of the stage; sequences: for which the second one has memory."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = [str(one_process.__file__), str(stages.root), name, json.dumps(recipe), str(sequences)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([*launcher, *script], env=environment, check=True, capture_output=True, timeout=300)
    prepared = stages.prepared(**recipe)
    found = stages.place(name).store.find(prepared.plan.stages[0])
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "sequences", "micro_batch"),
    [
        ({}, 0, 4),
        ({"micro_batch": 1}, 0, 1),
        # Two items fit into the memory of one of them, so both go on with two.
        ({}, 4, 2),
        ({"lora": {"rank": 2}, "keep": {"every": 2}}, 0, 4),
        ({"selection": "best", "minimum_development": 1, "evaluate_every": 2, "keep": "all"}, 4, 2),
        ({"several": True, "max_steps": 6}, 0, 4),
        ({"several": True, "max_steps": 6, "micro_batch": 4}, 0, 4),
    ],
    ids=["auto", "fixed", "memory", "lora", "best", "parts", "parts-fixed"],
)
def test_two_processes_give_the_weights_of_one(
    tmp_path: Path, recipe: dict[str, Any], sequences: int, micro_batch: int
) -> None:
    stages = Stages.made(tmp_path, dropout=False)
    recipe = {"learning_rate": 1e-3, **recipe}
    alone, both = stages.train("alone", **recipe), together(stages, "both", sequences=sequences, **recipe)
    assert both.lineage["micro_batch"] == micro_batch
    same = ("key", "steps", "examples", "tokens", "selected_step")
    assert {name: both.lineage[name] for name in same} == {name: alone.lineage[name] for name in same}
    first, second = Kept(folder=alone.path), Kept(folder=both.path)
    assert first.steps() == second.steps()
    pairs = [(alone.path, both.path), *((first.path(step), second.path(step)) for step in first.steps())]
    assert all(apart(*pair, start=stages.model) < 1e-3 for pair in pairs)
    assert not any(file.suffix in {".bin", ".pt", ".pth"} for file in both.path.rglob("*"))
