"""Tasks described in files, and mirrors of the repositories that they name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from tests.sources.small_mirror import write

Write: TypeAlias = Callable[..., Path]

PAIRS = """name = "two_nli"
format = "nli"
repository = "example/pairs"
config = "{language}"
languages = ["en", "eu"]
licence = "none"
parallel = true
rows_per_cluster = 3
labels = ["entails", "open", "contradicts"]
unlabelled = ["-"]

[splits]
train = { name = "train", languages = ["en"] }
validation = { name = "dev", languages = ["en"] }
test = "test"

[columns]
premise = "sentence1"
hypothesis = "sentence2"
label = "gold"

[settings]
NLI = ["two_nli"]
"""

CHOICES = """name = "letters"
format = "multiple_choice"
repository = "example/letters"
languages = ["en", "eu"]
licence = "none"
chance = 0.5
splits = { test = "main" }
language_names = { english = "en", basque = "eu" }

[columns]
text = "question"
choices = "choices.text"
keys = "choices.label"
label = "answer"
language = "tongue"
item = "id"
"""

# The benchmark of the tests' mirror, described as somebody else's.
COPA = """name = "own_xcopa"
format = "multiple_choice"
repository = "cambridgeltl/xcopa"
config = "{language}"
languages = ["et", "zh"]
licence = "none"
parallel = true
splits = { test = "test" }
settings = { CO = ["copa"] }
[columns]
text = ["premise", "question"]
choices = ["choice1", "choice2"]
label = "label"
item = "idx"
[values.question]
cause = "What was the cause?"
effect = "What happened as a result?"
"""

SIQA = """name = "own_siqa"
format = "multiple_choice"
repository = "allenai/social_i_qa"
languages = ["en"]
licence = "none"
splits = { train = "train", validation = "validation" }
labels = [1, 2, 3]
[columns]
text = ["context", "question"]
choices = ["answerA", "answerB", "answerC"]
label = "label"
"""

ANSWERS = ("contradicts", "entails", "open")


def sentences(count: int, *, language: str) -> dict[str, list[Any]]:
    """Rows as their makers published them: other names, words for labels, a disagreement in every 30 rows."""
    return {
        "sentence1": [f"the cat fell {row // 3} {language}" for row in range(count)],
        "sentence2": [f"the dog broke {row}" for row in range(count)],
        "gold": ["-" if row % 30 == 29 else ANSWERS[row % 3] for row in range(count)],
        "annotator": ["x"] * count,
    }


def pairs_mirror(root: Path) -> Path:
    files = {f"en/{split}-0.parquet": sentences(count, language="en") for split, count in (("train", 60), ("dev", 12))}
    files |= {f"{code}/test-0.parquet": sentences(30, language=code) for code in ("en", "eu")}
    return write(root, "example/pairs", files)


def letters_mirror(root: Path) -> Path:
    rows: dict[str, list[Any]] = {
        "question": ["what fell?", "", "what broke?", "zer erori da?"],
        "choices": [{"text": ["cat", "cup"], "label": ["A", "B"]}] * 4,
        "answer": ["B", "A", "C", "A"],
        "tongue": ["english", "english", "english", "basque"],
        "id": [7, 8, 9, 7],
    }
    return write(root, "example/letters", {"default/main-0.parquet": rows})


def writer(folder: Path) -> Write:
    """Writes a text to a file in the folder, and says where."""

    def file(text: str, name: str = "task.toml") -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return file
