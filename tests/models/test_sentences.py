from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from tests.toy import tiny_checkpoint
from xfer_bench.errors import CheckpointError
from xfer_bench.models import starter
from xfer_bench.models.sentences import PREFIX, sentence_vectors
from xfer_bench.progress import Update

TEXTS = ["the cat sat on the mat", "a cat", "the mat the mat the mat the mat the mat"]


def test_a_vector_is_the_mean_over_the_tokens_of_length_one(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "encoder", TEXTS)
    vectors = sentence_vectors(tmp_path / "encoder", TEXTS)
    model = AutoModel.from_pretrained(tmp_path / "encoder").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "encoder")
    for text, vector in zip(TEXTS, vectors, strict=True):
        with torch.inference_mode():
            states = model(**tokenizer(PREFIX + text, return_tensors="pt")).last_hidden_state[0].mean(0)
        assert vector == pytest.approx((states / states.norm()).numpy(), abs=1e-5)


def test_progress_ends_with_every_text(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "encoder", TEXTS)
    seen: list[Update] = []
    assert sentence_vectors(tmp_path / "encoder", TEXTS, progress=seen.append).shape[0] == 3
    assert (seen[-1].finished, seen[-1].pieces) == (3, 3)
    assert sentence_vectors(tmp_path / "encoder", []).shape[0] == 0


def test_a_folder_that_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        sentence_vectors(tmp_path, TEXTS)


@pytest.mark.starter
@pytest.mark.skipif(not starter.is_available(), reason="needs the starter model's package")
def test_the_starter_puts_a_translation_nearer_than_another_sentence() -> None:
    texts = ["She opened the window.", "그녀는 창문을 열었다.", "그는 버스를 놓쳤다."]
    english, same, other = sentence_vectors(starter.starter_folder(), texts)
    assert np.dot(english, same) > np.dot(english, other) + 0.03
