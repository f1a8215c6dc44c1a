"""The formats of upstreams that have no loadable twin on the Hub: each a reader of one file, row by row.

A row has the columns that the registry's tasks read. Nothing of a text is changed.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

_NLI = MappingProxyType({"entailment": 0, "neutral": 1, "contradiction": 2})
_FARSTAIL = MappingProxyType({"e": 0, "n": 1, "c": 2})
_INFERES = MappingProxyType({"ent": 0, "neutral": 1, "cnt": 2})
_LETTERS = MappingProxyType({"A": "1", "B": "2", "C": "3"})
# The Portuguese Social IQa has no development rows of its own in its training set: the last ones are taken.
_SIQA_HELD_OUT = 1500

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Converter:
    """rows: of one file, in order; raises KeyError, ValueError or TypeError for another format.

    held_out: how many of the last rows of `train` are `validation`.
    """

    rows: Callable[[Path], Iterator[Row]]
    held_out: int = 0


def _json_lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise TypeError(f"a line holds a {type(row).__name__}, not an object")
                yield row


def _table(path: Path, *, delimiter: str, quoted: bool) -> Iterator[dict[str, str]]:
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter=delimiter, quoting=quoting, strict=True)


def _one_of(value: Any, known: Mapping[str, Any]) -> Any:
    if value not in known:
        raise ValueError(f"the label is {value!r}; it must be one of {', '.join(known)}")
    return known[value]


def _lingnli(path: Path) -> Iterator[Row]:
    """Rows on whose label the annotators did not agree are left out."""
    for row in _json_lines(path):
        if row["label"] in _NLI:
            texts = {name: row[name] for name in ("premise", "hypothesis")}
            yield {**texts, "label": _NLI[row["label"]], "pairID": row["pairID"]}


def _ocnli(path: Path) -> Iterator[Row]:
    """The label `-` stands where the annotators did not agree."""
    for row in _json_lines(path):
        if row["label"] != "-":
            texts = {name: row[name] for name in ("sentence1", "sentence2")}
            yield {**texts, "label": _one_of(row["label"], _NLI), "genre": row["genre"]}


def _farstail(path: Path) -> Iterator[Row]:
    """Tabs, in spite of the name."""
    for row in _table(path, delimiter="\t", quoted=True):
        label = _one_of(row["label"], _FARSTAIL)
        yield {"premise": row["premise"], "hypothesis": row["hypothesis"], "label": label}


def _inferes(path: Path) -> Iterator[Row]:
    for row in _table(path, delimiter=",", quoted=True):
        label = _one_of(row["Label"], _INFERES)
        yield {"premise": row["Premise"], "hypothesis": row["Hypothesis"], "label": label}


def _jsick(path: Path) -> Iterator[Row]:
    for row in _table(path, delimiter="\t", quoted=False):
        label = _one_of(row["entailment_label_Ja"], _NLI)
        yield {"premise": row["sentence_A_Ja"], "hypothesis": row["sentence_B_Ja"], "label": label}


def _copa_sse(path: Path) -> Iterator[Row]:
    """The items 501 to 1000 of COPA, with explanations that are left out."""
    for row in _json_lines(path):
        yield {
            "premise": row["p"],
            "choice1": row["a1"],
            "choice2": row["a2"],
            "question": row["asks-for"],
            "idx": int(row["id"]) - 501,
            "label": _one_of(str(row["most-plausible-alternative"]), {"1": 0, "2": 1}),
        }


def _csqa_v1(path: Path) -> Iterator[Row]:
    for row in _json_lines(path):
        choices = row["question"]["choices"]
        columns = {name: [choice[name] for choice in choices] for name in ("label", "text")}
        yield {
            "id": row["id"],
            "question": row["question"]["stem"],
            "choices": columns,
            "answerKey": row["answerKey"],
        }


def _siqa_pt(path: Path) -> Iterator[Row]:
    """Rows of which the translation lost a text are left out."""
    columns = ("context", "question", "answerA", "answerB", "answerC")
    for row in _json_lines(path):
        texts = {name: row[name] for name in columns}
        if all(texts.values()):
            yield {**texts, "label": _one_of(row["correct"], _LETTERS)}


def _jcommonsenseqa(path: Path) -> Iterator[Row]:
    columns = ("q_id", "question", *(f"choice{place}" for place in range(5)), "label")
    for row in _json_lines(path):
        yield {name: row[name] for name in columns}


def _c3(path: Path) -> Iterator[Row]:
    """A list of documents: paragraphs or turns, questions, and a name."""
    for paragraphs, questions, name in json.loads(path.read_text(encoding="utf-8")):
        for one in questions:
            texts = {key: one[key] for key in ("question", "choice", "answer")}
            yield {"id": name, "context": "\n".join(paragraphs), **texts}


CONVERTERS: Mapping[str, Converter] = MappingProxyType(
    {
        "lingnli": Converter(rows=_lingnli),
        "ocnli": Converter(rows=_ocnli),
        "farstail": Converter(rows=_farstail),
        "inferes": Converter(rows=_inferes),
        "jsick": Converter(rows=_jsick),
        "copa_sse": Converter(rows=_copa_sse),
        "csqa_v1": Converter(rows=_csqa_v1),
        "siqa_pt": Converter(rows=_siqa_pt, held_out=_SIQA_HELD_OUT),
        "jcommonsenseqa": Converter(rows=_jcommonsenseqa),
        "c3": Converter(rows=_c3),
    }
)
