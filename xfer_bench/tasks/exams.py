"""EXAMS: school examinations in many languages, 3 to 5 choices; eleven languages have training items."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import polars as pl

from xfer_bench.tasks.cells import TEXT, TEXTS, Kind, check_kinds, check_values, structure
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE
from xfer_bench.tasks.parts import in_splits
from xfer_bench.tasks.readers import position
from xfer_bench.tasks.task import TEST, TRAIN, VALIDATION, Part, Task

_LANGUAGES = MappingProxyType(
    {
        "Albanian": "sq",
        "Bulgarian": "bg",
        "Croatian": "hr",
        "Hungarian": "hu",
        "Italian": "it",
        "North Macedonian": "mk",
        "Macedonian": "mk",
        "Polish": "pl",
        "Portuguese": "pt",
        "Serbian": "sr",
        "Turkish": "tr",
        "Vietnamese": "vi",
        "Arabic": "ar",
        "French": "fr",
        "German": "de",
        "Lithuanian": "lt",
        "Spanish": "es",
    }
)

_KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "id": TEXT,
        "question": structure(stem=TEXT, choices=structure(text=TEXTS, label=TEXTS)),
        "answerKey": TEXT,
        "info": structure(language=TEXT),
    }
)


def _read(frame: pl.DataFrame) -> pl.DataFrame:
    check_kinds(frame, _KINDS)
    check_values(frame["info"].struct.field("language").alias("info.language"), _LANGUAGES)
    # The key `@` stands at questions without an answer: it is no choice's letter, and the row is unusable.
    rows = frame.unnest("question").unnest("choices")
    return rows.select(
        text=pl.col("stem"),
        candidates=pl.col("text"),
        label=position(rows["answerKey"], rows["label"]),
        item=pl.col("id"),
        language=pl.col("info").struct.field("language").replace_strict(_LANGUAGES, return_dtype=pl.String),
    )


_PART = Part(
    split=TRAIN,
    languages=("bg", "hr", "hu", "it", "mk", "pl", "pt", "sq", "sr", "tr", "vi"),
    repository="mhardalov/exams",
    config="multilingual",
    read=_read,
    columns=("id", "question", "answerKey", "info"),
)
_TEST = replace(_PART, split=TEST, languages=(*_PART.languages, "ar", "de", "es", "fr", "lt"))

EXAMS = Task(
    name="exams",
    format=MULTIPLE_CHOICE,
    parts=(*in_splits(_PART, TRAIN, VALIDATION), _TEST),
    licence="CC BY-SA 4.0",
    chance=0.25,  # 3 to 5 choices: the mean of 1/choices over the training items is 0.251
)
