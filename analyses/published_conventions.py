"""Claim examined: a published XCOPA average depends on conventions of averaging, and so may the order of models.

    python analyses/published_conventions.py

Takes the bars of the published figure under each convention, and draws the averages into runs/analyses/.
"""

import sys

import polars as pl
from pages import drawn

from xfer_bench.languages import in_pretraining
from xfer_bench.plotting.style import COLOURS, MARKERS
from xfer_bench.published import mean_accuracy, references

TASK, MODEL = "xcopa", "XLM-R-large"
MODELS = (MODEL, "XLM-R-base", "mBERT", "MultiUSE")


def averages(model: str) -> dict[str, float]:
    """Convention to the model's average in points; unseen are the languages that its pretraining data lack."""
    bars = references(TASK, model=model, metric="acc").filter(reading="digitised")
    seen = pl.Series([in_pretraining(model, code) for code in bars["language"]])
    others, guessed = pl.col("language") != "en", pl.when(seen).then("value").otherwise(50.0).alias("value")
    return {
        "unseen languages\nentered as 50.0": mean_accuracy(bars.with_columns(guessed).filter(others)),
        "all 11 as measured": mean_accuracy(bars.filter(others)),
        "and English": mean_accuracy(bars),
        "without unseen": mean_accuracy(bars.filter(seen).filter(others)),
    }


def main() -> str:
    """Draw each model's averages; the sentence with the numbers."""
    found = {model: averages(model) for model in MODELS}
    with drawn("published_conventions", height=2.3) as figure:
        axes = figure.add_subplot()
        for (model, values), colour, marker in zip(found.items(), COLOURS, MARKERS, strict=False):
            axes.plot([*values.values()], range(len(values)), marker=marker, color=colour, label=model, linewidth=0.5)
        axes.set_yticks(range(4), [*found[MODEL]])
        axes.invert_yaxis()
        axes.set_xlabel(f"average on {TASK}, points (digitised)")
        figure.legend(loc="outside upper center", ncols=2)
    printed = references(TASK, model=MODEL, language="avg")["value"][0]
    _, measured, english, fewer = found[MODEL].values()
    first, second = ([*found[model].values()] for model in MODELS[2:])
    return (
        f"{MODEL} on {TASK}: {printed:.2f} as printed, with ht and qu entered as 50.0; {measured:.2f} with their bars; "
        f"{english:.2f} with English too; {fewer:.2f} without the two. {' and '.join(MODELS[2:])} change places: "
        f"{first[0]:.1f} and {second[0]:.1f} as entered, {first[3]:.1f} and {second[3]:.1f} without unseen languages."
    )


if __name__ == "__main__":
    sys.stdout.write(main() + "\n")
