"""Invented results for reports, with names and texts that would break a page that does not escape them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tests.predictions import EFFECTS, SEEN, make_predictions, make_stages
from xfer_bench.page.subject import Subject
from xfer_bench.results import Results
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.method import Method
from xfer_bench.stats.variants import BOTH

METHOD = Method(resamples=200)
LANGUAGES = ("en", "et", "sw", "th", "zh")
ITEMS = 60
# A tag, an end of a script, an entity and quotes: what stands in a page as text and nothing else.
EVIL = "</script><script>document.title='broken'</script>"
QUOTED = """a "b" 'c' & <i>d</i>"""


def answered(
    *,
    effects: Mapping[str, float] = EFFECTS,
    seen: Mapping[str, Sequence[str]] = SEEN,
    task: str = "xcopa",
    classes: int = 2,
    variant: str = "published",
    languages: Sequence[str] = LANGUAGES,
    n_items: int = ITEMS,
    seeds: Sequence[int] = (0, 1),
) -> pl.DataFrame:
    """PREDICTIONS with items numbered from 0, and logits of which the answer's is the largest."""
    rows = make_predictions(
        effects=effects, seen=seen, task=task, languages=languages, n_items=n_items, seeds=seeds,
        items_per_cluster=3 if task == "xnli" else 1,
    ).with_columns(
        item=pl.col("item").cast(pl.Int64).cast(pl.String),
        variant=pl.lit(variant),
        setting=pl.lit("NLI" if task == "xnli" else "CO"),
        run=pl.format("{}.{}", "run", pl.lit(task)),
    )  # fmt: skip
    logits = np.random.default_rng(len(rows)).normal(0, 1, (len(rows), classes))
    logits[np.arange(len(rows)), rows["prediction"].to_numpy()] += 6
    return rows.with_columns(scores=pl.Series(logits.tolist(), dtype=pl.List(pl.Float32)))


def results_in(folder: Path, *frames: pl.DataFrame, stages: bool = True) -> Results:
    """A folder with these PREDICTIONS, and stages of theirs."""
    kept = Results(folder)
    rows = pl.concat(frames or [answered()])
    kept.add(rows)
    if stages:
        known = make_stages(rows)
        kept.add_stages(known.with_columns(task=pl.col("task").replace({"none_task": "siqa", "english_task": "siqa"})))
    return kept


def subject_of(results: Results, **more: Any) -> Subject:
    """What the command makes of a folder."""
    rows = results.predictions()
    found = compare(rows, baseline="none", primary=tuple(results.contrasts().iter_rows()), method=METHOD, variant=BOTH)
    chosen = {"figures": ("gain_heatmap",), **more}
    return Subject(results=results, predictions=rows, comparisons=tuple(found), method=METHOD, **chosen)


def texts_in(root: Path, *, languages: Sequence[str] = LANGUAGES, items: int = ITEMS) -> Path:
    """A mirror of XCOPA's test rows; premise 7 is markup, and so is a choice of it."""
    for language in languages:
        place = ("extra/copa_test_gold", "default") if language == "en" else ("cambridgeltl/xcopa", language)
        file = root / place[0] / place[1] / "test-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(
            {
                "premise": [EVIL if item == 7 else f"{language} premise {item}." for item in range(items)],
                "choice1": [QUOTED if item == 7 else f"{language} first choice {item}" for item in range(items)],
                "choice2": [f"{language} second choice {item}" for item in range(items)],
                "question": ["cause" if item % 2 else "effect" for item in range(items)],
                "label": [item % 2 for item in range(items)],
                "idx": list(range(items)),
            }
        ).write_parquet(file)
    return root
