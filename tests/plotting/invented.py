"""Invented studies to draw: a small one, one with long names and many languages, and one with kept steps."""

from collections.abc import Mapping, Sequence
from functools import cache

import polars as pl

from tests.predictions import EFFECTS, SEEN, make_checkpoints, make_predictions, make_stages
from xfer_bench.frames import PREDICTIONS
from xfer_bench.plotting.subject import Order, Subject, describe
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.estimates import Comparison
from xfer_bench.stats.method import Method

FEW = Method(resamples=499)
MODEL = "xlm-roberta-base"
LANGUAGES = ("en", "et", "ht", "qu", "sw", "th", "zh")
XNLI = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
LONG = (
    "english",
    "xnli_dev_one_language_per_item",
    "siqa+cosmosqa+hellaswag",
    "multilingual",
    "multilingual+mlm-on-wikipedia",
    "machine-translated-siqa-in-15-languages",
    "paws-7",
)
STEPS = (10, 20, 30)


def invent(
    tasks: Mapping[str, Sequence[str]],
    *,
    effects: Mapping[str, float] = EFFECTS,
    seen: Mapping[str, Sequence[str]] = SEEN,
    seeds: Sequence[int] = (0, 1),
    n_items: int = 60,
) -> pl.DataFrame:
    """PREDICTIONS of some tasks, each in its languages; XNLI's items come in threes."""
    return pl.concat(
        make_predictions(
            task=task,
            languages=languages,
            effects=effects,
            seen=seen,
            seeds=seeds,
            n_items=n_items,
            items_per_cluster=3 if task == "xnli" else 1,
        ).with_columns(run=pl.col("run") + f".{task}")
        for task, languages in tasks.items()
    )


def contrast(predictions: pl.DataFrame, *, primary: Sequence[tuple[str, str]] = ()) -> list[Comparison]:
    return compare(predictions, primary=primary, method=FEW)


def subject(
    predictions: pl.DataFrame,
    *,
    stages: pl.DataFrame | None = None,
    model: str | None = MODEL,
    order: Order = "family",
    primary: Sequence[tuple[str, str]] = (),
) -> Subject:
    """As the gallery sees these PREDICTIONS; model: what their runs started from, None for unknown."""
    own = predictions.filter(pl.col("step").is_null() | (pl.col("step") == STEPS[-1]))
    checkpoints = None if model is None else make_checkpoints(own).with_columns(model=pl.lit(model))
    return describe(
        predictions,
        make_stages(own) if stages is None else stages,
        contrast(own.filter(split="test"), primary=primary),
        checkpoints=checkpoints,
        order=order,
    )


@cache
def small() -> Subject:
    """Two arms, two seeds, XCOPA and XNLI in seven languages, two of them outside the encoder's pretraining data."""
    return subject(invent({"xcopa": LANGUAGES, "xnli": LANGUAGES}), primary=[("mixed", "english")])


@cache
def large() -> Subject:
    """Seven arms with long names on XNLI in 15 languages, at three steps each."""
    effects = {"none": 0.0, **{arm: 0.7 * place for place, arm in enumerate(LONG)}}
    seen = {arm: XNLI[: 2 * place] for place, arm in enumerate(LONG)}
    return subject(along(invent({"xnli": XNLI}, effects=effects, seen=seen, n_items=30)))


def along(predictions: pl.DataFrame) -> pl.DataFrame:
    """The same answers at three steps, of which the earlier ones have more items wrong; and on a validation split."""
    frames = []
    for split in ("test", "validation"):
        for place, step in enumerate(STEPS):
            spoilt = pl.col("item").str.slice(-1).cast(pl.Int64) < 2 * (len(STEPS) - 1 - place)
            frames.append(
                predictions.with_columns(
                    step=pl.lit(step, dtype=pl.Int64),
                    split=pl.lit(split),
                    weights=pl.format("{}@{}", "run", pl.lit(step)),
                    prediction=pl.when(spoilt).then(1 - pl.col("label")).otherwise("prediction"),
                )
            )
    return pl.concat(frames).select(*PREDICTIONS)


@cache
def kept() -> Subject:
    """`small` with XCOPA alone, at three steps."""
    predictions = along(invent({"xcopa": LANGUAGES}))
    stages = make_stages(predictions.filter(step=STEPS[-1], split="test")).with_columns(
        steps=pl.lit(STEPS[-1], dtype=pl.Int64)
    )
    return subject(predictions, stages=stages)
