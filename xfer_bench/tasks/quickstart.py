"""The embedded benchmark: small, parallel, in the same shapes as the real ones, and readable without a network."""

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from xfer_bench.tasks.cells import TEXT, TEXT_OR_WHOLE, TEXTS, WHOLE, Kind, check_kinds
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE, read_siqa
from xfer_bench.tasks.nli import NLI
from xfer_bench.tasks.parts import in_splits
from xfer_bench.tasks.readers import joined, nli_pairs, read_copa
from xfer_bench.tasks.task import TEST, TRAIN, VALIDATION, Part, Task

REPOSITORY = "xfer-bench/quickstart"

_LICENCE = "Apache-2.0"
_LANGUAGES = ("en", "de", "es", "fr", "tr", "ru", "ar", "hi", "sw", "zh", "th", "vi")
_COPA_COLUMNS = ("premise", "choice1", "choice2", "question", "label", "idx")
_NLI_COLUMNS = ("premise", "hypothesis", "label")
_REASONING: Mapping[str, Kind] = MappingProxyType(
    {
        **dict.fromkeys(("language", "context", "question"), TEXT),
        **{"id": TEXT_OR_WHOLE, "choices": TEXTS, "label": WHOLE},
    }
)


def _read_reasoning(frame: pl.DataFrame) -> pl.DataFrame:
    check_kinds(frame, _REASONING)
    return frame.select(
        text=joined("context", "question"),
        candidates=pl.col("choices"),
        label=pl.col("label"),
        item=pl.col("id").cast(pl.String),
        language=pl.col("language"),
    )


QUICKSTART_XCOPA = Task(
    name="quickstart_xcopa",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=VALIDATION,
            languages=_LANGUAGES,
            repository=REPOSITORY,
            config="{language}",
            read=read_copa,
            columns=_COPA_COLUMNS,
        ),
        VALIDATION,
        TEST,
    ),
    licence=_LICENCE,
    chance=1 / 2,
    parallel=True,
    settings=MappingProxyType({"CO": ("quickstart_copa",)}),
)

QUICKSTART_XNLI = Task(
    name="quickstart_xnli",
    format=NLI,
    parts=in_splits(
        Part(
            split=VALIDATION,
            languages=_LANGUAGES,
            repository=REPOSITORY,
            config="nli-{language}",
            read=nli_pairs(cluster="triple"),
            columns=_NLI_COLUMNS,
        ),
        VALIDATION,
        TEST,
    ),
    licence=_LICENCE,
    chance=1 / 3,
    parallel=True,
    settings=MappingProxyType({"NLI": ("quickstart_nli",)}),
    averages_english=True,
)

QUICKSTART_COPA = Task(
    name="quickstart_copa",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("en",),
            repository=REPOSITORY,
            config="copa",
            read=read_copa,
            columns=_COPA_COLUMNS,
        ),
        TRAIN,
        VALIDATION,
    ),
    licence=_LICENCE,
    chance=1 / 2,
)

QUICKSTART_NLI = Task(
    name="quickstart_nli",
    format=NLI,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("en",),
            repository=REPOSITORY,
            config="nli",
            read=nli_pairs(),
            columns=_NLI_COLUMNS,
        ),
        TRAIN,
        VALIDATION,
    ),
    licence=_LICENCE,
    chance=1 / 3,
)

QUICKSTART_SIQA = Task(
    name="quickstart_siqa",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("en",),
            repository=REPOSITORY,
            config="siqa",
            read=read_siqa,
            columns=("context", "question", "answerA", "answerB", "answerC", "label"),
        ),
        TRAIN,
        VALIDATION,
    ),
    licence=_LICENCE,
    chance=1 / 3,
)

QUICKSTART_REASONING = Task(
    name="quickstart_reasoning",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("de", "es", "tr", "sw", "zh", "ar"),
            repository=REPOSITORY,
            config="reasoning",
            read=_read_reasoning,
            columns=("id", "language", "context", "question", "choices", "label"),
        ),
        TRAIN,
        VALIDATION,
    ),
    licence=_LICENCE,
    chance=1 / 3,
)
