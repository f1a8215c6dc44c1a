"""One target stage of a tiny model through the real Trainer: five steps of eight COPA items, with any recipe."""

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers.models.bert.modeling_bert import BertEncoder

from tests.small_study import STUDY, small_mirror, small_model
from xfer_bench.errors import TrainingError
from xfer_bench.pipeline import Place, Prepared, prepare, train_study
from xfer_bench.progress import Progress, Update, silent
from xfer_bench.recipes import Recipe
from xfer_bench.sources.source import Sources
from xfer_bench.study import MlmSpec, PartSpec, Seeds, StageSpec, Study
from xfer_bench.training.checkpoints import Checkpoint

STEPS = 5

# Three kinds of batches under three heads.
SEVERAL = StageSpec(
    parts=(PartSpec(task="copa"), PartSpec(task="lingnli")),
    sampling="uniform",
    mlm=MlmSpec(task="tatoeba_text", languages=("et",), share=0.3),
)


class Stop(Exception):  # noqa: N818
    """Stands for a cluster's kill at a moment of the test's choosing."""


class Stages:
    """Stages that differ in their recipes alone, on one mirror and one model."""

    def __init__(self, root: Path) -> None:
        """What `made` has put into the folder."""
        self.root = root
        self.sources = Sources(data_root=root / "mirror")
        self.model = root / "model"

    @classmethod
    def made(cls, root: Path, *, dropout: bool = True) -> "Stages":
        """A new mirror and a new model in the folder."""
        small_mirror(root / "mirror")
        small_model(root / "model")
        self = cls(root)
        if not dropout:
            config = json.loads((self.model / "config.json").read_text())
            config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
            (self.model / "config.json").write_text(json.dumps(config))
        return self

    def prepared(self, *, several: bool = False, **recipe: Any) -> Prepared:
        """A study of the baseline alone: one run of one stage, of COPA or of several training sets."""
        return self._prepared("none", "fresh", recipe, train=(SEVERAL,) if several else ())

    def _prepared(self, arm: str, head: str, recipe: dict[str, Any], *, train: tuple[StageSpec, ...] = ()) -> Prepared:
        file = self.root / f"study-{os.getpid()}.toml"
        file.write_text(STUDY.format(model=self.model))
        study = Study.from_toml(file)
        values = {
            "arms": tuple(one for one in study.arms if one.name == arm),
            "recipe": Recipe(**(study.recipe.model_dump(exclude_unset=True) | recipe)),
            "seeds": Seeds(),
            "targets": tuple(target.model_copy(update={"train": train}) for target in study.targets),
            "head": head,
        }
        return prepare(study.model_copy(update=values), sources=self.sources)

    def place(self, name: str) -> Place:
        """Where output goes."""
        return Place(out=self.root / name)

    def train(self, name: str, *, progress: Progress = silent, **recipe: Any) -> Checkpoint:
        """The stage's checkpoint, in a store of that name."""
        trained = train_study(self.prepared(**recipe), self.place(name), progress=progress, retry_failed=True)
        for failure in trained.failures:
            raise TrainingError(f"{failure.label}: {failure.reason}")
        (checkpoint,) = trained.values()
        return checkpoint

    def train_two(self, name: str, *, head: str, **recipe: Any) -> tuple[Checkpoint, Checkpoint]:
        """The checkpoints of Social IQa and of COPA after it, both with the recipe."""
        prepared, store = self._prepared("siqa", head, recipe), self.place(name).store
        train_study(prepared, self.place(name))
        first, second = (store.find(stage) for stage in prepared.plan.stages)
        assert first is not None
        assert second is not None
        return first, second

    def train_with_stops(self, name: str, *stops: int, **recipe: Any) -> Checkpoint:
        """The stage stopped at these steps, one after the other, and resumed each time."""
        for step in stops:
            try:
                self.train(name, progress=stopping_at(step), **recipe)
            except Stop:
                continue
            raise AssertionError(f"step {step} never came")
        return self.train(name, **recipe)


def stopping_at(step: int) -> Callable[[Update], None]:
    """Stops when this optimiser step is done, before its state is written."""

    def stop(update: Update) -> None:
        if update.done == step:
            raise Stop

    return stop


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def equal(first: Path, second: Path) -> bool:
    """Whether two checkpoints have the same weights to the bit."""
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def apart(first: Path, second: Path, *, start: Path) -> float:
    """How far apart two trainings of an encoder end, as a share of the way that the first one went.

    Not weight by weight: where a gradient is nothing but rounding (that of a key's bias always is) Adam makes steps
    of it that are as large as any other.
    """
    a, b, origin = weights(first), weights(second), weights(start)
    assert a.keys() == b.keys()
    shared = [name for name in origin if not name.endswith("key.bias")]
    between = sum(float((a[f"bert.{name}"] - b[f"bert.{name}"]).square().sum()) for name in shared)
    travelled = sum(float((a[f"bert.{name}"] - origin[name]).square().sum()) for name in shared)
    return math.sqrt(between / travelled)


@contextmanager
def memory_for(sequences: int, *, training: bool = True, refused: int = 0) -> Iterator[list[int]]:
    """More sequences at once than these ask the allocator for more memory than any machine has, and get its error.

    Gives how many were asked for, pass by pass. training: in passes that train, or in those that do not.
    refused: the number of a pass that has no room whatever its size.
    """
    asked: list[int] = []

    def reserve(module: torch.nn.Module, arguments: Any) -> None:
        if isinstance(module, BertEncoder) and module.training == training:
            asked.append(len(arguments[0]))
            if len(arguments[0]) > sequences or len(asked) == refused:
                torch.empty(1 << 60)

    handle = register_module_forward_pre_hook(reserve)
    try:
        yield asked
    finally:
        handle.remove()
