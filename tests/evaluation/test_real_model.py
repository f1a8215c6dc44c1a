"""On a real encoder and real XCOPA: the scores are those of transformers one sequence at a time."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.evaluation.small_checkpoints import plainly_scored
from tests.sources.small_mirror import HAS_REAL_MIRROR, REAL_MIRROR
from xfer_bench.evaluation.discovery import discover
from xfer_bench.evaluation.request import Ask
from xfer_bench.evaluation.sweep import Evaluator
from xfer_bench.metrics import accuracy
from xfer_bench.models import starter
from xfer_bench.models.heads import with_fresh_head
from xfer_bench.models.vocabulary import trim
from xfer_bench.results import Results
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE

pytestmark = [
    pytest.mark.mirror,
    pytest.mark.starter,
    pytest.mark.skipif(not HAS_REAL_MIRROR, reason="needs the mirror: set XFER_BENCH_DATA"),
    pytest.mark.skipif(not starter.is_available(), reason=f"the package {starter.PACKAGE} is not installed"),
]

XCOPA = TASKS["xcopa"]
LIMIT = 20


@pytest.fixture(scope="module")
def items() -> dict[str, pl.DataFrame]:
    sources = Sources(data_root=REAL_MIRROR)
    languages = XCOPA.languages_of("test")
    return {one: sources.rows(XCOPA, language=one, split="test").frame.head(LIMIT) for one in languages}


@pytest.fixture(scope="module")
def checkpoint(items: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The starter under an untrained head, with the token rows that these items need, for the disk's sake."""
    root = tmp_path_factory.mktemp("starter")
    sources = Sources(data_root=REAL_MIRROR)
    texts = [text for frame in items.values() for text in (*frame["text"], *frame["candidates"].explode())]
    covers = [sources.rows(XCOPA, language=one, split="test").fingerprint for one in items]
    trim(starter.starter_folder(), texts, root / "encoder", covers=covers)
    headed = with_fresh_head(root / "encoder", MULTIPLE_CHOICE, seed=0)
    headed.model.save_pretrained(root / "headed")
    headed.tokenizer.save_pretrained(root / "headed")
    shutil.copy2(root / "encoder" / "vocabulary.json", root / "headed")
    yield root / "headed"
    shutil.rmtree(root)


def test_xcopa_scores_as_transformers_does(checkpoint: Path, items: dict[str, pl.DataFrame], tmp_path: Path) -> None:
    evaluator = Evaluator(sources=Sources(data_root=REAL_MIRROR), store=tmp_path / "store", devices="cpu")
    ask = Ask(tasks=("xcopa",), limit=LIMIT, variants=("published",))
    done = evaluator.evaluate(discover([str(checkpoint)]), ask, results=Results(tmp_path / "results"))
    assert (done.skipped, done.failed) == ((), ())
    # The quick forward pass, not the one that it is compared with.
    assert [one.path for one in done.accounts] == ["packed"]
    predictions = done.predictions()
    assert len(items) == 12
    every = plainly_scored(checkpoint, pl.concat(items.values()))
    accuracies = {}
    for position, (language, frame) in enumerate(items.items()):
        plain = every[position * LIMIT : (position + 1) * LIMIT]
        ours = predictions.filter(language=language).sort(pl.col("item").cast(pl.Int64))
        assert ours["item"].to_list() == frame["item"].to_list()
        np.testing.assert_allclose(ours["scores"].to_list(), plain, atol=1e-5, rtol=0)
        answers = np.argmax(plain, axis=1)
        assert ours["prediction"].to_list() == answers.tolist()
        accuracies[language] = 100 * float(np.mean(answers == frame["label"].to_numpy()))
    table = accuracy(Results(tmp_path / "results").predictions())
    assert dict(table.select("language", "accuracy").iter_rows()) == pytest.approx(accuracies)
