"""From a repository's columns to `text`, `candidates`, `label` (and `item`, `cluster`, `language`).

A reader is a function from frame to frame. It first looks whether the columns hold what they must. It keeps every row,
in order, so that a row number still means the row of the file; what is unusable gets a null and is dropped and counted
by the source. No character of a text is ever removed: Thai and Tamil premises carry no final stop, so cutting "the
punctuation" would cut a letter.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import polars as pl

from xfer_bench.tasks.cells import (
    TEXT,
    TEXT_OR_WHOLE,
    TEXTS,
    WHOLE,
    Kind,
    check_kinds,
    check_values,
    structure,
    whole_numbers,
)
from xfer_bench.tasks.task import Reader

COPA_QUESTIONS = {"cause": "What was the cause?", "effect": "What happened as a result?"}

_COPA: Mapping[str, Kind] = MappingProxyType(
    {**dict.fromkeys(("premise", "choice1", "choice2", "question"), TEXT), "label": WHOLE, "idx": WHOLE}
)
_KEYED: Mapping[str, Kind] = MappingProxyType(
    {**dict.fromkeys(("id", "question", "answerKey"), TEXT), "choices": structure(label=TEXTS, text=TEXTS)}
)
_C3: Mapping[str, Kind] = MappingProxyType(
    {**dict.fromkeys(("id", "context", "question", "answer"), TEXT), "choice": TEXTS}
)


def present(column: str) -> pl.Expr:
    """The column's text, null where it is missing or blank. Fails on a column that is not text."""
    return pl.when(pl.col(column).str.strip_chars() != "").then(pl.col(column))


def joined(*columns: str) -> pl.Expr:
    """What exists of these texts, separated by a space; empty when none exists."""
    return pl.concat_str([present(column) for column in columns], separator=" ", ignore_nulls=True)


def options(*columns: str) -> pl.Expr:
    """The candidates, one column each. Fails on a column that is not text."""
    # Whole slices of texts: joined to a list with texts, a number would become one.
    return pl.concat_list([pl.col(column).str.slice(0) for column in columns])


def nli_pairs(
    *, premise: str = "premise", hypothesis: str = "hypothesis", cluster: Literal["premise", "triple"] = "premise"
) -> Reader:
    """Reader of sentence pairs whose `label` is 0 entailment, 1 neutral, 2 contradiction.

    cluster: "premise" takes the items of equal premises together; "triple" takes three consecutive rows together,
        the only way that is the same in every translation (some premises translate to the same sentence).
    """

    def read(frame: pl.DataFrame) -> pl.DataFrame:
        check_kinds(frame, {premise: TEXT, hypothesis: TEXT, "label": WHOLE})
        row = pl.col("row")
        number = row // 3 if cluster == "triple" else row.first().over(premise)
        return frame.with_row_index("row").select(
            text=pl.col(premise),
            candidates=pl.concat_list(pl.col(hypothesis)),
            label=pl.col("label"),
            cluster=number.cast(pl.String),
        )

    return read


def read_copa(frame: pl.DataFrame) -> pl.DataFrame:
    """COPA and its translations: the premise and the question in English, two choices; `idx` is the item."""
    check_kinds(frame, _COPA)
    check_values(frame["question"], COPA_QUESTIONS)
    question = pl.col("question").replace_strict(COPA_QUESTIONS, return_dtype=pl.String)
    return frame.select(
        text=pl.concat_str(present("premise"), question, separator=" "),
        candidates=options("choice1", "choice2"),
        label=pl.col("label"),
        item=pl.col("idx").cast(pl.String),
    )


def choices(
    *, text: tuple[str, ...], candidates: str | tuple[str, ...], label: Kind = WHOLE, first: int = 0, item: str = ""
) -> Reader:
    """Reader of questions with choices.

    text: the columns joined to one text. candidates: the column of their lists, or one column each. label: what the
    column `label` holds, the right choice's number; first: the number of the first choice. item: the column that
    numbers the items; without it the row does.
    """
    several = () if isinstance(candidates, str) else candidates
    kinds = {**dict.fromkeys((*text, *several), TEXT), "label": label}
    kinds |= ({candidates: TEXTS} if isinstance(candidates, str) else {}) | ({item: TEXT_OR_WHOLE} if item else {})

    def read(frame: pl.DataFrame) -> pl.DataFrame:
        check_kinds(frame, kinds)
        read_frame = frame.select(
            text=joined(*text),
            candidates=pl.col(candidates) if isinstance(candidates, str) else options(*candidates),
            label=whole_numbers(frame["label"]) - first,
        )
        return read_frame if not item else read_frame.with_columns(frame[item].cast(pl.String).alias("item"))

    return read


def read_keyed(frame: pl.DataFrame) -> pl.DataFrame:
    """CommonsenseQA: `choices` is a pair of lists, texts and letters; `answerKey` is the right choice's letter."""
    check_kinds(frame, _KEYED)
    letters = frame["choices"].struct.field("label")
    return frame.select(
        text=pl.col("question"),
        candidates=pl.col("choices").struct.field("text"),
        label=position(frame["answerKey"], letters),
        item=pl.col("id"),
    )


def read_c3(frame: pl.DataFrame) -> pl.DataFrame:
    """C3: the answer is one of the choices by its text; the questions on one passage are a cluster."""
    check_kinds(frame, _C3)
    return frame.select(
        text=joined("context", "question"),
        candidates=pl.col("choice"),
        label=position(frame["answer"], frame["choice"]),
        cluster=pl.col("id"),
    )


def position(answers: pl.Series, lists: pl.Series) -> pl.Series:
    """Where each answer stands in its list; null where it is not there exactly once, since then nothing is right."""
    pairs = zip(answers.to_list(), lists.to_list(), strict=True)
    positions = [
        found.index(answer) if found is not None and found.count(answer) == 1 else None for answer, found in pairs
    ]
    return pl.Series("label", positions, dtype=pl.Int64)
