"""A stage in the making: everything that its training needs, and the state that it goes on from."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xfer_bench.errors import TrainingError
from xfer_bench.models.multitask import Learner
from xfer_bench.plan import Stage
from xfer_bench.progress import Progress
from xfer_bench.recipes import Recipe
from xfer_bench.training.adapting import Adapted, adapt
from xfer_bench.training.batches import Mixture
from xfer_bench.training.callbacks import Reporter
from xfer_bench.training.checkpoints import newest_state, step_of
from xfer_bench.training.keeping import Keeping, Kept, keeping, selects
from xfer_bench.training.logs import LOG, Logbook, Reporting, reporting
from xfer_bench.training.material import order_for
from xfer_bench.training.memory import Division

# The folder of a stage in the making that becomes its checkpoint.
FINISHED = "finished"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A stage with everything that its training needs.

    order: which item is seen when. resumed: the state that it goes on from.
    """

    stage: Stage
    learner: Learner
    training: Mixture
    development: Mixture
    order: list[int]
    keeping: Keeping
    kept: Kept
    adapted: Adapted | None
    division: Division
    reporter: Reporter
    logbook: Logbook
    reporting: Reporting
    work: Path
    resumed: Path | None

    @property
    def development_items(self) -> int:
        """Of all labelled parts."""
        return sum(map(len, self.development.lengths))

    @property
    def selects(self) -> bool:
        """Whether the best step on the development items becomes the result."""
        return selects(self.stage.recipe, development=self.development_items)

    def write(self, folder: Path) -> None:
        """A checkpoint of the weights as they are now."""
        main = self.learner.main
        main.model.save_pretrained(folder, state_dict=self.adapted.merged_weights() if self.adapted else None)
        main.tokenizer.save_pretrained(folder)

    def facts_at(self, step: int) -> dict[str, Any]:
        """What was seen after so many steps."""
        seen = self.order[: step * self.stage.recipe.batch_size]
        lengths = [length for part in self.training.lengths for length in part]
        return {"steps": step, "examples": len(seen), "tokens": sum(lengths[item] for item in seen)}

    def seen_by_part(self, step: int) -> list[int]:
        """Examples of each part that were seen after so many steps."""
        parts = [self.training.part_of(item) for item in self.order[: step * self.stage.recipe.batch_size]]
        return [parts.count(part) for part in range(len(self.training.parts))]


def job_of(stage: Stage, learner: Learner, *, mixtures: tuple[Mixture, Mixture], work: Path, progress: Progress) -> Job:
    """A stage ready to be trained: its order drawn, its adapters put in, and its newest whole state found.

    mixtures: the training and the development batches. work: where it is made. Raises TrainingError for a recipe that
    cannot be followed here.
    """
    recipe = stage.recipe
    training, development = mixtures
    state, facts = newest_state(work) or (None, {})
    division = _division(recipe, facts.get("per_pass"))
    label = f"{stage.role} {stage.task}, seed {stage.data_seed}"
    order = order_for(stage, training, label)
    items = sum(map(len, development.lengths))
    reporter = Reporter(label=label, progress=progress, seconds=float(facts.get("seconds", 0.0)), division=division)
    at = step_of(state) if state else 0
    return Job(
        stage=stage,
        learner=learner,
        training=training,
        development=development,
        order=order,
        keeping=keeping(recipe, steps=max(1, len(order) // recipe.batch_size), development=items),
        kept=Kept(folder=work / FINISHED),
        adapted=_adapted(stage, learner),
        division=division,
        reporter=reporter,
        logbook=Logbook(work / LOG, seconds=lambda: reporter.seconds),
        reporting=reporting(recipe.report_to, folder=work / FINISHED, run=f"{stage.task}-{stage.key[:8]}", resumed=at),
        work=work,
        resumed=state,
    )


def _adapted(stage: Stage, learner: Learner) -> Adapted | None:
    recipe = stage.recipe
    if not recipe.lora:
        return None
    return adapt(learner.main, recipe.lora, seed=stage.initialisation_seed, frozen=recipe.freeze_layers)


def per_device(recipe: Recipe) -> int:
    """Items of a batch on each device: one process has one, or all GPUs where it is alone."""
    devices = int(os.environ.get("WORLD_SIZE", "0")) or max(1, torch.cuda.device_count())
    if recipe.batch_size % devices:
        raise TrainingError(
            f"batch_size {recipe.batch_size} cannot be split over {devices} devices; choose a multiple of {devices}"
        )
    return recipe.batch_size // devices


def _division(recipe: Recipe, found: int | None) -> Division:
    """How a batch is divided at first; found: what an interrupted stage had come to."""
    whole = per_device(recipe)
    if recipe.micro_batch == "auto":
        return Division(min(whole, found or whole), adapts=True)
    return Division(min(recipe.micro_batch, whole), adapts=False)
