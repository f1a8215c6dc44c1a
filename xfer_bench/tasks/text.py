"""Unlabelled text, for masked-language-model batches beside a task: an item is a text with nothing to choose."""

from types import MappingProxyType

import polars as pl

from xfer_bench.tasks import cells
from xfer_bench.tasks.task import TRAIN, Format, Part, Reader, Task

TEXT = Format(name="text", head="masked_lm")


def texts(column: str, *, item: str = "") -> Reader:
    """Reader of one text a row."""

    def read(frame: pl.DataFrame) -> pl.DataFrame:
        cells.check_kinds(frame, {column: cells.TEXT} | ({item: cells.TEXT_OR_WHOLE} if item else {}))
        nothing = pl.lit([], dtype=pl.List(pl.String))
        rows = frame.select(text=pl.col(column), candidates=nothing, label=pl.lit(0))
        return rows if not item else rows.with_columns(frame[item].cast(pl.String).alias("item"))

    return read


# The languages of XNLI and XCOPA. A configuration is downloaded whole, which is gigabytes for the largest.
WIKIPEDIA = Task(
    name="wikipedia",
    format=TEXT,
    parts=(
        Part(
            split=TRAIN,
            languages=(
                *("ar", "bg", "de", "el", "en", "es", "et", "fr", "hi", "ht", "id", "it", "qu", "ru", "sw", "ta"),
                *("th", "tr", "ur", "vi", "zh"),
            ),
            repository="wikimedia/wikipedia",
            config="20231101.{language}",
            read=texts("text", item="id"),
            columns=("id", "text"),
        ),
    ),
    licence="CC BY-SA 3.0 and GFDL",
    chance=0.0,
)

_TATOEBA = MappingProxyType(
    {
        "af": "afr", "ar": "ara", "bg": "bul", "bn": "ben", "de": "deu", "el": "ell", "es": "spa", "et": "est",
        "eu": "eus", "fa": "pes", "fi": "fin", "fr": "fra", "he": "heb", "hi": "hin", "hu": "hun", "id": "ind",
        "it": "ita", "ja": "jpn", "jv": "jav", "ka": "kat", "kk": "kaz", "ko": "kor", "ml": "mal", "mr": "mar",
        "nl": "nld", "pt": "por", "ru": "rus", "sw": "swh", "ta": "tam", "te": "tel", "th": "tha", "tl": "tgl",
        "tr": "tur", "ur": "urd", "vi": "vie", "zh": "cmn",
    }
)  # fmt: skip

TATOEBA_TEXT = Task(
    name="tatoeba_text",
    format=TEXT,
    parts=tuple(
        Part(
            split=TRAIN,
            languages=(language,),
            repository="mteb/tatoeba-bitext-mining",
            config=f"{code}-eng",
            read=texts("sentence1"),
            columns=("sentence1",),
            upstream_split="test",
        )
        for language, code in _TATOEBA.items()
    ),
    licence="CC BY 2.0 FR",
    chance=0.0,
)
