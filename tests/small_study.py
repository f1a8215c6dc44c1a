"""A whole small study: a mirror with a benchmark of two languages, a tiny random model, and the study's text."""

from pathlib import Path

import numpy as np
import polars as pl

from tests.toy import tiny_checkpoint
from xfer_bench.pipeline import Place, Prepared, prepare
from xfer_bench.sources.source import Sources
from xfer_bench.study import Study

LANGUAGES = ("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh")
_NOUNS = ("cat", "dog", "cup", "book", "boat", "lamp", "tree", "door", "song", "fish", "road", "star")
_VERBS = ("fell", "broke", "moved", "shone", "burned", "sank", "grew", "froze", "spun", "melted")

STUDY = """
name = "small"
model = "{model}"
[seeds]
intermediate = [0, 1]
target = [0, 1]
[recipe]
learning_rate = 1e-3
epochs = 1
batch_size = 8
save_every = 2
freeze_embeddings = false
precision = "fp32"
[[arms]]
name = "none"
[[arms]]
name = "siqa"
stages = [{{ task = "siqa", examples = 40 }}]
[[targets]]
task = "xcopa"
setting = "CO"
languages = ["et", "zh", "en"]
"""


def _sentences(rng: np.random.Generator, count: int) -> list[str]:
    return [f"the {rng.choice(_NOUNS)} {rng.choice(_VERBS)} {number}" for number in range(count)]


def _copa(rng: np.random.Generator, count: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "premise": _sentences(rng, count),
            "choice1": _sentences(rng, count),
            "choice2": _sentences(rng, count)[::-1],
            "question": ["cause", "effect"] * (count // 2),
            "label": [row // 2 % 2 for row in range(count)],
            "idx": list(range(count)),
        }
    )


def _siqa(rng: np.random.Generator, count: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "context": _sentences(rng, count),
            "question": ["why so?"] * count,
            **{f"answer{letter}": _sentences(rng, count) for letter in "ABC"},
            "label": [str(row % 3 + 1) for row in range(count)],
        }
    )


def _write(frame: pl.DataFrame, root: Path, repository: str, config: str, split: str) -> None:
    path = root / repository / config / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)


def small_mirror(root: Path) -> Path:
    """Repositories under their real names, with invented rows.

    COPA, XCOPA in eleven languages, Social IQa in English and Portuguese, LingNLI, and Tatoeba in two languages.
    """
    rng = np.random.default_rng(0)
    _write(_copa(rng, 40), root, "aps/super_glue", "copa", "train")
    _write(_copa(rng, 10), root, "aps/super_glue", "copa", "validation")
    test = _copa(rng, 20)
    _write(test, root, "extra/copa_test_gold", "default", "test")
    for language in LANGUAGES:
        there = test.with_columns(pl.col("premise") + f" {language}")
        _write(there, root, "cambridgeltl/xcopa", language, "test")
        _write(there.head(10), root, "cambridgeltl/xcopa", language, "validation")
    for repository in ("allenai/social_i_qa", "extra/social_i_qa_pt"):
        for split, count in (("train", 60), ("validation", 12)):
            _write(_siqa(rng, count), root, repository, "default", split)
    for split, count in (("train", 90), ("validation", 15)):
        nli = {
            "premise": _sentences(rng, count),
            "hypothesis": _sentences(rng, count),
            "label": [0, 1, 2] * (count // 3),
        }
        _write(pl.DataFrame(nli), root, "extra/lingnli", "default", split)
    for pair in ("est-eng", "cmn-eng"):
        texts = {"sentence1": _sentences(rng, 50), "sentence2": _sentences(rng, 50)}
        _write(pl.DataFrame(texts), root, "mteb/tatoeba-bitext-mining", pair, "test")
    return root


def small_model(folder: Path) -> Path:
    """A tiny random encoder whose vocabulary covers the mirror's words."""
    return tiny_checkpoint(
        folder, [*_NOUNS, *_VERBS, "the why so? What was the cause? happened as a result?", *"0123456789", *LANGUAGES]
    )


def small_study(root: Path) -> tuple[Prepared, Place]:
    """The study planned over its mirror, and where its output goes; everything under `root`."""
    mirror = small_mirror(root / "mirror")
    model = small_model(root / "model")
    path = root / "study.toml"
    path.write_text(STUDY.format(model=model))
    return prepare(Study.from_toml(path), sources=Sources(data_root=mirror)), Place(out=root / "out")
