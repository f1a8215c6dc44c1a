"""Small invented files in the formats of the upstreams: for each repository a writer, its task and rows for it."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[Mapping[str, Any]]
_NLI = ("entailment", "neutral", "contradiction")


def write_lines(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_table(path: Path, rows: Rows, *, delimiter: str, quoting: Any = csv.QUOTE_MINIMAL) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, quoting=quoting, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    return path


def lingnli(folder: Path, rows: Rows, split: str) -> list[Path]:
    """All rows in one round, and in each other round one on which nobody agreed."""
    name, base = ("train", "baseline") if split == "train" else ("val", "base")
    files = []
    for protocol in (base, "LotS", "LitL"):
        for number in range(1, 6):
            whole = protocol == base and number == 1
            said = [{**row, "label": _NLI[row["label"]], "promptID": 3} for row in rows] if whole else []
            unclear = {"premise": "p", "hypothesis": "h", "label": "no_winner", "pairID": "1"}
            files.append(write_lines(folder / f"{name}_round{number}_{protocol}.jsonl", [*said, unclear]))
    return files


def ocnli(folder: Path, rows: Rows, split: str) -> list[Path]:
    said = [{**row, "label": _NLI[row["label"]], "level": "easy", "id": 1} for row in rows]
    name = "train.10k.json" if split == "train" else "dev.json"
    return [write_lines(folder / name, [*said, {**said[0], "label": "-"}])]


def farstail(folder: Path, rows: Rows, split: str) -> list[Path]:
    name = "Train-word.csv" if split == "train" else "Val-word.csv"
    return [write_table(folder / name, [{**row, "label": "enc"[row["label"]]} for row in rows], delimiter="\t")]


def inferes(folder: Path, rows: Rows, split: str) -> list[Path]:
    labels = ("ent", "neutral", "cnt")
    said = [
        {"ID": 1, "Premise": row["premise"], "Hypothesis": row["hypothesis"], "Label": labels[row["label"]], "Topic": 4}
        for row in rows
    ]
    return [write_table(folder / "inferes_train.csv", said, delimiter=",")]


def jsick(folder: Path, rows: Rows, split: str) -> list[Path]:
    said = [
        {
            "pair_ID": 7,
            "sentence_A_En": "",
            "sentence_A_Ja": row["premise"],
            "sentence_B_Ja": row["hypothesis"],
            "entailment_label_Ja": _NLI[row["label"]],
            "image_ID": "",
        }
        for row in rows
    ]
    return [write_table(folder / "train.tsv", said, delimiter="\t", quoting=csv.QUOTE_NONE)]


def copa_sse(folder: Path, rows: Rows, split: str) -> list[Path]:
    said = [
        {
            "id": str(row["idx"] + 501),
            "asks-for": row["question"],
            "most-plausible-alternative": str(row["label"] + 1),
            "p": row["premise"],
            "a1": row["choice1"],
            "a2": row["choice2"],
            "human-explanations": [],
        }
        for row in rows
    ]
    return [write_lines(folder / "test-explained.jsonl", said)]


def csqa_v1(folder: Path, rows: Rows, split: str) -> list[Path]:
    said = [
        {
            "answerKey": row["answerKey"],
            "id": row["id"],
            "question": {
                "choices": [
                    {"label": label, "text": text}
                    for label, text in zip(row["choices"]["label"], row["choices"]["text"], strict=True)
                ],
                "stem": row["question"],
            },
        }
        for row in rows
    ]
    name = "train_rand_split.jsonl" if split == "train" else "dev_rand_split.jsonl"
    return [write_lines(folder / name, said)]


def jcommonsenseqa(folder: Path, rows: Rows, split: str) -> list[Path]:
    return [write_lines(folder / ("train-v1.3.json" if split == "train" else "valid-v1.3.json"), rows)]


def c3(folder: Path, rows: Rows, split: str) -> list[Path]:
    """The first half in the file of dialogues, the second in that of mixed texts: each question a document."""
    name = {"train": "train", "validation": "dev", "test": "test"}[split]
    files = []
    for letter, half in (("d", rows[: len(rows) // 2]), ("m", rows[len(rows) // 2 :])):
        documents = [
            [row["context"].split("\n"), [{key: row[key] for key in ("question", "choice", "answer")}], row["id"]]
            for row in half
        ]
        path = folder / f"c3-{letter}-{name}.json"
        path.write_text(json.dumps(documents, ensure_ascii=False, indent=1).replace("\n", "\r\n"), encoding="utf-8")
        files.append(path)
    return files


PAIRS = [{"premise": f'a "{row}"', "hypothesis": f"b {row}, c", "label": row % 3} for row in range(4)]
PLAIN = [{"premise": f"a {row}", "hypothesis": f"b {row}", "label": row % 3} for row in range(4)]
CASES: dict[str, tuple[Any, str, Rows]] = {
    "extra/lingnli": (lingnli, "lingnli", [{**row, "pairID": "5e"} for row in PAIRS]),
    "extra/ocnli": (
        ocnli,
        "ocnli",
        [
            {"sentence1": row["premise"], "sentence2": row["hypothesis"], "label": row["label"], "genre": "tv"}
            for row in PAIRS
        ],
    ),
    "extra/farstail": (farstail, "farstail", PAIRS),
    "extra/inferes": (inferes, "inferes", PAIRS),
    "extra/jsick": (jsick, "jsick", PLAIN),
    "extra/copa_test_gold": (
        copa_sse,
        "copa",
        [
            {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "idx": 0, "label": 1},
            {"premise": "q", "choice1": "c", "choice2": "d", "question": "effect", "idx": 499, "label": 0},
        ],
    ),
    "extra/commonsense_qa_v1.0": (
        csqa_v1,
        "csqa_v1",
        [{"id": "x", "question": "q", "choices": {"label": ["A", "B"], "text": ["a", "b"]}, "answerKey": "B"}],
    ),
    "extra/jcommonsenseqa": (
        jcommonsenseqa,
        "jcommonsenseqa",
        [{"q_id": 3, "question": "q", **{f"choice{place}": f"c{place}" for place in range(5)}, "label": 4}],
    ),
    "extra/c3": (
        c3,
        "c3",
        [
            {"id": f"m{row}-1", "context": "one\ntwo", "question": "q", "choice": ["a", "b", "c"], "answer": "b"}
            for row in range(4)
        ],
    ),
}
