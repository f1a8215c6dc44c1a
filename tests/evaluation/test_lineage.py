"""A block carries no label; the lineage gives it those of every run that ends in the checkpoint."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.evaluation.lineage import labelled, labels_of, run_names
from xfer_bench.frames import BLOCK, PREDICTIONS, conform

WEIGHTS = "0123456789abcdef"
LINEAGE: dict[str, Any] = {
    "key": "fedcba9876543210",
    "task": "copa",
    "parents": [{"key": "k", "task": "siqa"}],
    "seeds": {"initialisation": 3},
    "data": {"languages": ["sw"]},
    "steps": 25,
    "runs": [],
}
RUN = {
    "run": "siqa.xcopa.CO.i0.t1-fedcba98", "arm": "siqa", "setting": "CO", "target": "xcopa", "intermediate_seed": 0,
    "target_seed": 1, "seen": ["en", "sw"],
}  # fmt: skip
BASELINE: dict[str, Any] = {
    "run": "none.xcopa.SI.t0-fedcba98", "arm": "none", "setting": "SI", "target": "xcopa", "intermediate_seed": None,
    "target_seed": 0, "seen": [],
}  # fmt: skip
LABELS = ("run", "arm", "setting", "target", "intermediate_seed", "target_seed", "seen_in_intermediate", "step")


@pytest.fixture
def block() -> pl.DataFrame:
    rows = [
        {
            "weights": WEIGHTS, "task": "xcopa", "variant": "published", "language": "sw", "split": "test",
            "item": str(item), "cluster": str(item), "label": 0, "prediction": item % 2, "scores": [0.5, 1.5],
        }
        for item in range(3)
    ]  # fmt: skip
    return conform(pl.DataFrame(rows), BLOCK)


def scorable(lineage: dict[str, Any] | None, name: str = "some/folder/") -> Scorable:
    return Scorable(
        path=Path(name), name=name, head="multiple_choice", reason="", id2label={}, lineage=lineage, covers=None
    )


def all_labelled(block: pl.DataFrame, checkpoint: Scorable, *, precision: str = "fp32") -> pl.DataFrame:
    every = labels_of(checkpoint, weights=WEIGHTS, task="xcopa")
    return pl.concat(labelled(block, labels, precision=precision) for labels in every)


def columns_of(predictions: pl.DataFrame) -> list[tuple[object, ...]]:
    return predictions.select(LABELS).unique(maintain_order=True).rows()


def test_every_run_that_ends_in_the_checkpoint_gets_the_block(block: pl.DataFrame) -> None:
    checkpoint = scorable({**LINEAGE, "runs": [RUN, BASELINE]})
    predictions = all_labelled(block, checkpoint, precision="bf16")
    assert columns_of(predictions) == [
        (RUN["run"], "siqa", "CO", "xcopa", 0, 1, True, 25),
        (BASELINE["run"], "none", "SI", "xcopa", None, 0, False, 25),
    ]
    assert predictions.equals(conform(predictions, PREDICTIONS))
    for _, part in predictions.group_by("run"):
        assert part.select(list(BLOCK)).equals(block)
    assert set(predictions["precision"]) == {"bf16"}
    assert run_names(checkpoint, weights=WEIGHTS) == ((RUN["run"], 25), (BASELINE["run"], 25))


def test_an_intermediate_stage_is_its_own_arm(block: pl.DataFrame) -> None:
    checkpoint = scorable(LINEAGE)
    assert columns_of(all_labelled(block, checkpoint)) == [
        ("siqa+copa.fedcba98", "siqa+copa", "intermediate", "xcopa", 3, None, True, 25)
    ]
    assert run_names(checkpoint, weights=WEIGHTS) == (("siqa+copa.fedcba98", 25),)


def test_a_checkpoint_from_elsewhere_is_named_by_its_place_and_weights(block: pl.DataFrame) -> None:
    checkpoint = scorable(None)
    assert columns_of(all_labelled(block, checkpoint)) == [
        ("folder-01234567", "some/folder/", "external", "xcopa", None, None, False, None)
    ]
    assert run_names(checkpoint, weights=WEIGHTS) == (("folder-01234567", None),)


def test_a_run_is_labelled_by_its_own_target_whatever_task_it_is_scored_on(block: pl.DataFrame) -> None:
    (labels,) = labels_of(scorable({**LINEAGE, "runs": [RUN]}), weights=WEIGHTS, task="another")
    assert labels["target"] == "xcopa"
    (labels,) = labels_of(scorable(None), weights=WEIGHTS, task="another")
    assert labels["target"] == "another"


def test_a_language_counts_as_seen_row_by_row(block: pl.DataFrame) -> None:
    both = pl.concat([block, block.with_columns(language=pl.lit("et"))])
    predictions = all_labelled(both, scorable({**LINEAGE, "runs": [RUN]}))
    assert predictions.group_by("language", maintain_order=True).agg(
        pl.col("seen_in_intermediate").unique()
    ).rows() == [
        ("sw", [True]),
        ("et", [False]),
    ]


def test_the_step_is_that_of_the_weights_where_another_was_selected() -> None:
    checkpoint = scorable({**LINEAGE, "runs": [RUN], "selected_step": 20})
    assert run_names(checkpoint, weights=WEIGHTS) == ((RUN["run"], 20),)
