"""What a study costs: for every stage its work and its disk, from the plan and from what is finished."""

import json
from dataclasses import dataclass
from pathlib import Path

from xfer_bench.models.size import layer_weights
from xfer_bench.plan import BYTES_PER_TOKEN, Plan, Stage
from xfer_bench.training.checkpoints import Store
from xfer_bench.training.keeping import keeping


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """One distinct stage: what it is, and what it takes.

    done: whether it is finished. seen: examples that it sees; tokens: of them, roughly.
    operations: six for every weight of the layers and every token, 0 for a model whose configuration is not at hand.
    text_bytes: that it sees, by which times are estimated. checkpoints: its result and those that it keeps on the way.
    """

    stage: Stage
    runs: int
    arms: tuple[str, ...]
    done: bool
    seen: int
    tokens: float
    operations: float
    text_bytes: float
    checkpoints: int


def costs_of(planned: Plan, *, origin: Path, store: Store) -> tuple[StageCost, ...]:
    """Every distinct stage of a plan, parents first. origin: the folder of the model that it starts from."""
    weights = _layer_weights(origin)
    return tuple(_cost(stage, planned, store, weights) for stage in planned.stages)


def checkpoint_bytes(origin: Path, stages: tuple[Stage, ...], store: Store) -> int:
    """About what one checkpoint takes on the disk: the weights that the stages start from, or 0 where they are not
    at hand. A vocabulary that is still to be trimmed makes it less."""
    trimmed = store.origin(stages[0].origin) if stages else origin
    folder = trimmed if trimmed.is_dir() else origin
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder.is_dir() else 0


def _cost(stage: Stage, planned: Plan, store: Store, weights: int) -> StageCost:
    runs = planned.runs_through(stage)
    seen = stage.steps * stage.recipe.batch_size
    text_bytes = seen * stage.bytes_per_example
    tokens = text_bytes / BYTES_PER_TOKEN
    development = sum(part.development_examples for part in stage.parts)
    return StageCost(
        stage=stage,
        runs=len(runs),
        arms=tuple(dict.fromkeys(run.arm for run in runs)),
        done=store.find(stage) is not None,
        seen=seen,
        tokens=tokens,
        operations=6.0 * weights * tokens,
        text_bytes=text_bytes,
        checkpoints=1 + keeping(stage.recipe, steps=stage.steps, development=development).most,
    )


def _layer_weights(origin: Path) -> int:
    file = origin / "config.json"
    return layer_weights(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else 0
