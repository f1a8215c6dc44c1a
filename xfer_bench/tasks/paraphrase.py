"""Paraphrase identification: do the two sentences mean the same? PAWS-X stores 1 where they do."""

import polars as pl

from xfer_bench.tasks.cells import TEXT, TEXT_OR_WHOLE, WHOLE, check_kinds
from xfer_bench.tasks.parts import in_splits
from xfer_bench.tasks.task import TEST, TRAIN, VALIDATION, Format, Part, Task

PARAPHRASE = Format(name="paraphrase", head="sequence_classification", labels=("different", "paraphrase"))

_LANGUAGES = ("de", "en", "es", "fr", "ja", "ko", "zh")
_LICENCE = "free to use, as it is; based on Quora and Wikipedia texts (CC BY-SA 3.0)"


def _read(frame: pl.DataFrame) -> pl.DataFrame:
    check_kinds(frame, {"id": TEXT_OR_WHOLE, "sentence1": TEXT, "sentence2": TEXT, "label": WHOLE})
    return frame.select(
        text=pl.col("sentence1"),
        candidates=pl.concat_list("sentence2"),
        label=pl.col("label"),
        item=pl.col("id").cast(pl.String),
    )


_PART = Part(
    split=TRAIN,
    languages=_LANGUAGES,
    repository="google-research-datasets/paws-x",
    config="{language}",
    read=_read,
    columns=("id", "sentence1", "sentence2", "label"),
)

# The training rows in all languages but English are machine-translated; validation and test are human translations.
PAWSX = Task(
    name="pawsx",
    format=PARAPHRASE,
    parts=in_splits(_PART, TRAIN, VALIDATION, TEST),
    licence=_LICENCE,
    chance=1 / 2,
    parallel=True,
)

# The human translations of the validation items as a small training set in any mix of languages: the same content,
# and only the language differs.
PAWSX_DEV = Task(
    name="pawsx_dev",
    format=PARAPHRASE,
    parts=(
        Part(
            split=TRAIN,
            languages=_LANGUAGES,
            repository=_PART.repository,
            config=_PART.config,
            read=_read,
            columns=_PART.columns,
            upstream_split="validation",
        ),
    ),
    licence=_LICENCE,
    chance=1 / 2,
    parallel=True,
)
