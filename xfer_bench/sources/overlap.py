"""Training rows that an evaluation set contains: equal after normalisation, or nearly equal.

A row is its text and its answer: the right candidate, or the only one (an NLI pair's hypothesis). Four kinds, from
the gravest on; a training row counts as the first that it is:

    answer   text and answer are equal
    item     text and all candidates are equal, whatever their order, with another answer right
    near     text and answer together are similar (NEAR or more), and so are the answers (NEAR_ANSWER or more):
             two questions on one long passage share most of their characters, and are no copies
    text     the text alone is equal; a note, no leak: XNLI's items share premises, three by three

Equal means equal after NFKC, lower case, and every run of punctuation, symbols and white space as one space; similar
is the Jaccard similarity of character 4-grams (`near`) of what is left.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from xfer_bench.frames import Columns
from xfer_bench.sources.near import near_pairs, similarity

Kind: TypeAlias = Literal["answer", "item", "near", "text"]

KINDS: tuple[Kind, ...] = ("answer", "item", "near", "text")
LEAKS: tuple[Kind, ...] = ("answer", "item", "near")
NEAR = 0.8
NEAR_ANSWER = 0.5

# One row per training row that has a match: its gravest kind, and in that the most similar row, then the first.
MATCHES: Columns = {
    "kind": pl.String(),
    "training_language": pl.String(),
    "training_item": pl.String(),
    "evaluation_language": pl.String(),
    "evaluation_item": pl.String(),
    "similarity": pl.Float64(),
}

_JOINT = "\x1f"  # a control character: in no normalised text that has a letter or a digit


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What training rows and evaluation rows have in common.

    matches: MATCHES, by training row. training_rows, evaluation_rows: how many rows were compared.
    evaluation_matched: evaluation rows that some training row leaks.
    """

    matches: pl.DataFrame
    training_rows: int
    evaluation_rows: int
    evaluation_matched: int

    @property
    def leaks(self) -> pl.DataFrame:
        """The matches that are leaks: all but those of the text alone."""
        return self.matches.filter(pl.col("kind").is_in(LEAKS))

    @property
    def leaked(self) -> int:
        """How many training rows are equal or nearly equal to an evaluation row."""
        return self.leaks.height

    def count(self, kind: Kind) -> int:
        """How many training rows are of this kind."""
        return int((self.matches["kind"] == kind).sum())


def normalised(texts: pl.Expr) -> pl.Expr:
    """Texts after NFKC, in lower case, without punctuation and symbols, words apart by one space.

    A text of nothing but punctuation and symbols stays what it is.
    """
    lower = texts.str.normalize("NFKC").str.to_lowercase()
    # Marks stay: without its vowel signs a Thai or Hindi word is another one.
    words = lower.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars(" ")
    return pl.when(words != "").then(words).otherwise(lower.str.strip_chars())


def overlap(
    training: pl.DataFrame,
    evaluation: pl.DataFrame,
    *,
    least: float = NEAR,
    across_languages: bool = False,
) -> Overlap:
    """What of the training rows (ITEMS) is in the evaluation rows (ITEMS).

    least: from this similarity on two rows are nearly equal (a fraction; 1: when they have the same n-grams).
    across_languages: compare rows of different languages too, for texts that are the same in all (formulas, code).
    Deterministic. Raises SourceError for a threshold outside (0, 1].
    """
    shared = training["language"].filter(training["language"].is_in(evaluation["language"].implode())).unique()
    groups = None if across_languages else shared
    rows, others = _spelled(training, groups=groups), _spelled(evaluation, groups=groups)
    found = [_equal(rows, others, kind) for kind in ("answer", "item", "text")]
    equal = pl.concat(found[:2])
    rest = rows.join(equal.select("row"), on="row", how="anti", maintain_order="left")
    near = _near(rest, others, least=least)
    matches = (
        pl.concat([equal, _best(near), found[2]])
        .sort(pl.col("kind").cast(pl.Enum(KINDS)), "row", maintain_order=True)
        .unique("row", keep="first", maintain_order=True)
        .sort("row")
    )
    leaking = [_holders(others, rows, key) for key in ("answer", "item")]
    matched = pl.concat([*leaking, near["other"]]).n_unique()
    return Overlap(
        matches=_named(matches, training, evaluation),
        training_rows=training.height,
        evaluation_rows=evaluation.height,
        evaluation_matched=matched,
    )


def compared(frame: pl.DataFrame) -> pl.DataFrame:
    """What is compared of each of these ITEMS, normalised: `text`, `gold`, and the keys `answer` and `item`."""
    candidates = pl.col("candidates")
    which = pl.when(candidates.list.len() == 1).then(0).otherwise(pl.col("label"))
    spelled = frame.select(
        "label",
        text=normalised(pl.col("text")),
        candidates=candidates.list.eval(normalised(pl.element())),
    ).with_columns(gold=candidates.list.get(which, null_on_oob=True).fill_null(""))
    return spelled.select(
        "text",
        "gold",
        answer=pl.concat_str("text", "gold", separator=_JOINT),
        item=pl.concat_str("text", candidates.list.sort().list.join(_JOINT), separator=_JOINT),
    )


def _spelled(frame: pl.DataFrame, *, groups: pl.Series | None) -> pl.DataFrame:
    """row, group, and what is compared.

    groups: the languages that are compared, each with itself; None for all with all.
    """
    sides = frame.with_columns(row=pl.int_range(pl.len()), group=pl.lit("") if groups is None else pl.col("language"))
    if groups is not None:
        sides = sides.filter(pl.col("language").is_in(groups.implode()))
    return pl.concat([sides.select("row", "group"), compared(sides)], how="horizontal")


def _equal(rows: pl.DataFrame, others: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """The rows whose key is a key of the others, each with the first such."""
    first = others.select("group", kind, other="row").unique(["group", kind], keep="first", maintain_order=True)
    joined = rows.join(first, on=["group", kind], how="inner", maintain_order="left")
    return joined.select("row", "other", kind=pl.lit(kind), similarity=pl.lit(1.0))


def _holders(others: pl.DataFrame, rows: pl.DataFrame, key: str) -> pl.Series:
    """The numbers of the others whose key some row has."""
    return others.join(rows.select("group", key).unique(), on=["group", key], how="semi")["row"]


def _near(rows: pl.DataFrame, others: pl.DataFrame, *, least: float) -> pl.DataFrame:
    """row, other, similarity of the pairs that are nearly equal."""
    found = [
        _near_of(rows.filter(pl.col("group") == group), others.filter(pl.col("group") == group), least=least)
        for group in sorted(set(rows["group"]) & set(others["group"]))
    ]
    return pl.concat([pl.DataFrame(schema={"row": pl.Int64, "other": pl.Int64, "similarity": pl.Float64}), *found])


def _near_of(rows: pl.DataFrame, others: pl.DataFrame, *, least: float) -> pl.DataFrame:
    pairs = near_pairs(_joined(rows), _joined(others), least=least)
    golds, other_golds = rows["gold"].to_list(), others["gold"].to_list()
    alike = np.fromiter(
        (
            similarity(golds[row], other_golds[other]) >= NEAR_ANSWER
            for row, other in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)
        ),
        bool,
        count=len(pairs.left),
    )
    return pl.DataFrame(
        {
            "row": rows["row"].to_numpy()[pairs.left[alike]],
            "other": others["row"].to_numpy()[pairs.right[alike]],
            "similarity": pairs.similarity[alike],
        },
        schema={"row": pl.Int64, "other": pl.Int64, "similarity": pl.Float64},
    )


def _joined(rows: pl.DataFrame) -> pl.Series:
    return rows.select(pl.concat_str("text", "gold", separator=" ")).to_series()


def _best(near: pl.DataFrame) -> pl.DataFrame:
    """Of each row the most similar pair, of equals the first."""
    return (
        near.sort("row", -pl.col("similarity"), "other")
        .unique("row", keep="first", maintain_order=True)
        .select("row", "other", kind=pl.lit("near"), similarity="similarity")
    )


def _named(matches: pl.DataFrame, training: pl.DataFrame, evaluation: pl.DataFrame) -> pl.DataFrame:
    sides = (("training", training, matches["row"]), ("evaluation", evaluation, matches["other"]))
    names = {
        f"{side}_{column}": frame[column].gather(places)
        for side, frame, places in sides
        for column in ("language", "item")
    }
    return matches.with_columns(**names).select(list(MATCHES))
