"""Made-up PREDICTIONS and STAGES with known structure: parallel items that are hard in every language at once."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from xfer_bench.frames import CHECKPOINTS, DATA, PREDICTIONS, STAGES, conform

EFFECTS: Mapping[str, float] = {"none": 0.0, "english": 0.4, "mixed": 0.8}
SEEN: Mapping[str, tuple[str, ...]] = {"english": ("en",), "mixed": ("en", "th", "zh")}
LANGUAGES = ("en", "et", "sw", "th", "zh")


def make_predictions(
    *,
    effects: Mapping[str, float] = EFFECTS,
    seen: Mapping[str, Sequence[str]] = SEEN,
    languages: Sequence[str] = LANGUAGES,
    seeds: Sequence[int] = (0, 1),
    n_items: int = 60,
    items_per_cluster: int = 1,
    task: str = "xcopa",
    seed: int = 7,
) -> pl.DataFrame:
    """One run per arm and seed; the arm `none` has no intermediate stage. Effects are in logits."""
    generator = np.random.default_rng(seed)
    easy = generator.normal(0.5, 1.5, n_items)
    labels = generator.integers(2, size=n_items)
    frames = []
    for arm, effect in effects.items():
        for run_seed in seeds:
            level = effect + generator.normal(0, 0.2)
            for language in languages:
                right = easy + level + generator.normal(0, 1, n_items) > 0
                frames.append(
                    pl.DataFrame(
                        {
                            "item": [f"{place:04d}" for place in range(n_items)],
                            "cluster": [f"{place // items_per_cluster:04d}" for place in range(n_items)],
                            "label": labels,
                            "prediction": np.where(right, labels, 1 - labels),
                        }
                    ).with_columns(
                        language=pl.lit(language),
                        run=pl.lit(f"{arm}-{run_seed}"),
                        arm=pl.lit(arm),
                        intermediate_seed=pl.lit(None if arm == "none" else run_seed, dtype=pl.Int64),
                        target_seed=pl.lit(run_seed),
                        seen_in_intermediate=pl.lit(language in seen.get(arm, ())),
                    )
                )
    return conform(
        pl.concat(frames).with_columns(
            task=pl.lit(task),
            target=pl.lit(task),
            setting=pl.lit("CO"),
            variant=pl.lit("published"),
            split=pl.lit("test"),
            step=pl.lit(None, dtype=pl.Int64),
            weights=pl.col("run"),
            precision=pl.lit("float32"),
            scores=pl.lit([0.0, 1.0]),
        ),
        PREDICTIONS,
    )


def make_stages(predictions: pl.DataFrame, *, seed: int = 7) -> pl.DataFrame:
    """An intermediate stage (two choices) and a target stage for each run that has an intermediate seed."""
    generator = np.random.default_rng(seed)
    runs = predictions.select("run", "arm", "setting", "target", "intermediate_seed", "target_seed", "task").unique(
        maintain_order=True
    )
    rows = []
    for run in runs.iter_rows(named=True):
        roles = ["target"] if run["intermediate_seed"] is None else ["intermediate", "target"]
        for position, role in enumerate(roles):
            rows.append(
                {
                    **run,
                    "position": position,
                    "role": role,
                    "key": f"{run['run']}-{position}",
                    "task": f"{run['arm']}_task" if role == "intermediate" else run["task"],
                    "languages": ["en"],
                    "examples": 400,
                    "steps": 50,
                    "tokens": 10_000,
                    "chance": 50.0,
                    "development_accuracy": float(generator.uniform(55, 80)),
                    "development_items": 100,
                    "seconds": 1.0,
                }
            )
    return conform(pl.DataFrame(rows, infer_schema_length=None), STAGES)


def right(predictions: pl.DataFrame, *, run: str, language: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """1 and 0 for one run in one language, in the items' order."""
    rows = predictions.filter(run=run, language=language).sort("item")
    return rows.select((pl.col("label") == pl.col("prediction")).cast(pl.Int64)).to_series().to_numpy()


def make_data(predictions: pl.DataFrame, *, mark: str = "a", revision: str = "0" * 40) -> pl.DataFrame:
    """DATA of what was scored; a language's fingerprint is its name and the mark, over and over."""
    cells = predictions.select("task", "variant", "split", "language", "item").unique()
    counted = cells.group_by("task", "variant", "split", "language").agg(rows=pl.len().cast(pl.Int64))
    return conform(
        counted.with_columns(
            repository=pl.lit("some/rows"),
            revision=pl.lit(revision),
            fingerprint=pl.col("language").add(mark).repeat_by(20).list.join("").str.slice(0, 64),
            license=pl.lit("CC BY 4.0"),
        ),
        DATA,
    )


def make_checkpoints(predictions: pl.DataFrame, *, lineage: str = '{"key": "k"}') -> pl.DataFrame:
    """CHECKPOINTS of every run."""
    runs = predictions.select("run", "step", "weights").unique()
    return conform(runs.with_columns(model=pl.lit("starter"), lineage=pl.lit(lineage)), CHECKPOINTS)
