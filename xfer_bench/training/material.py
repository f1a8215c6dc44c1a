"""What a stage is trained on: the batches of its parts, and the order in which they are seen."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from xfer_bench.errors import TrainingError
from xfer_bench.models.multitask import Learner
from xfer_bench.plan import PartRows, Stage
from xfer_bench.tasks import Task
from xfer_bench.training.batches import Batches, Mixture, TextBatches
from xfer_bench.training.order import Amount, order_of
from xfer_bench.training.tokenised import sequences_of


def mixtures_of(
    stage: Stage, learner: Learner, tasks: Mapping[str, Task], rows: Sequence[PartRows], *, tokens: Path
) -> tuple[Mixture, Mixture]:
    """The batches of the training rows, and of the development rows of the labelled parts."""
    main = learner.main
    longest = min(stage.recipe.max_length, main.longest)
    encode = partial(sequences_of, tokenizer=main.tokenizer, max_length=longest, folder=tokens)
    training: list[Batches | TextBatches] = []
    development: list[Batches | TextBatches] = []
    for part, one in zip(stage.parts, rows, strict=True):
        sequences = encode(one.training.frame)
        if part.mlm is not None or one.development is None:
            text = TextBatches(
                sequences=sequences,
                tokenizer=main.tokenizer,
                probability=part.mlm or 0.0,
                pad_id=main.pad_id,
                seed=stage.data_seed,
            )
            training.append(text)
            continue
        form = tasks[part.task].format
        held_out = encode(one.development.frame)
        for batches, of, frame in (
            (training, sequences, one.training.frame),
            (development, held_out, one.development.frame),
        ):
            batches.append(Batches(sequences=of, labels=frame["label"].to_list(), task_format=form, pad_id=main.pad_id))
    heads = tuple(part.head for part in stage.parts)
    return (
        Mixture(parts=tuple(training), heads=heads),
        Mixture(parts=tuple(development), heads=heads[: len(development)]),
    )


def order_for(stage: Stage, training: Mixture, label: str) -> list[int]:
    """Which item is seen when.

    Raises TrainingError when the budget of tokens would show a set's examples more than once, and that was not asked.
    """
    recipe = stage.recipe
    amount = Amount(
        batch_size=recipe.batch_size,
        examples=max(1, round(stage.epoch * recipe.epochs)),
        steps=stage.most_steps,
        tokens=recipe.max_tokens,
    )
    order = order_of(training.lengths, [part.share for part in stage.parts], amount, seed=stage.data_seed)
    if recipe.max_tokens is not None:
        _check_tokens(stage, training, order, budget=recipe.max_tokens, label=label)
    return order


def _check_tokens(stage: Stage, training: Mixture, order: Sequence[int], *, budget: int, label: str) -> None:
    way = "lower the budget, or let them be seen more than once: upsample = true of the budget, or more epochs"
    lengths = np.concatenate([np.asarray(part) for part in training.lengths])
    there = int(lengths[order].sum())
    if there < budget:
        raise TrainingError(
            f"{label}: its budget is {budget:,} tokens, and {len(order):,} examples have {there:,}; {way}"
        )
    # The planner asks for more than one pass exactly where the study lets sets be seen again.
    if stage.recipe.epochs > 1:
        return
    seen = np.bincount(order, minlength=len(lengths))
    for part, its in zip(stage.parts, np.split(seen, np.cumsum([len(one) for one in training.lengths])), strict=False):
        if its.max() > 1:
            raise TrainingError(
                f"{label}: of its budget of {budget:,} tokens {part.task} has a share of {its.sum():,} examples, and "
                f"it has {len(its):,}; {way}"
            )
