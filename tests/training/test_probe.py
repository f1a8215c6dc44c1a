"""What a head on the frozen encoder reaches: a convex problem, nothing of the model changed, choices compete."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.optimize
import scipy.special
import torch

from tests.toy import tiny_checkpoint
from xfer_bench.models.encoding import encode
from xfer_bench.models.heads import Headed, with_fresh_head
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE
from xfer_bench.tasks.nli import NLI
from xfer_bench.tasks.task import Format
from xfer_bench.training.batches import Batches
from xfer_bench.training.probe import initial_accuracy

CPU = torch.device("cpu")
WORDS = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("model"), [*WORDS, "thing one two"])


def batches(headed: Headed, task_format: Format, texts: list[str], candidates: list[list[str]]) -> Batches:
    frame = pl.DataFrame({"text": texts, "candidates": candidates})
    labels = [place % (len(WORDS) if task_format.labels else 2) for place in range(len(texts))]
    return Batches(
        sequences=encode(frame, headed.tokenizer, max_length=32),
        labels=labels,
        task_format=task_format,
        pad_id=headed.pad_id,
    )


def classes(headed: Headed, n: int, *, told: bool) -> Batches:
    """The label is the colour in the text, or nothing says what it is."""
    texts = [f"{WORDS[place % 3]} thing" if told else "thing" for place in range(n)]
    return batches(headed, NLI, texts, [["one" if place % 2 else "two"] for place in range(n)])


def test_what_the_first_token_tells_is_found_and_what_nothing_tells_is_not(encoder: Path) -> None:
    headed = with_fresh_head(encoder, NLI, seed=0)
    told = initial_accuracy(headed, classes(headed, 90, told=True), classes(headed, 30, told=True), device=CPU)
    untold = initial_accuracy(headed, classes(headed, 90, told=False), classes(headed, 30, told=False), device=CPU)
    assert told == 100.0
    assert untold == pytest.approx(100 / 3)


def test_choices_compete_within_the_item(encoder: Path) -> None:
    headed = with_fresh_head(encoder, MULTIPLE_CHOICE, seed=0)

    def colours(n: int) -> Batches:
        pairs = [["red", "blue"] if place % 2 == 0 else ["blue", "red"] for place in range(n)]
        return batches(headed, MULTIPLE_CHOICE, ["thing"] * n, pairs)

    assert initial_accuracy(headed, colours(40), colours(20), device=CPU) == 100.0


def test_neither_the_model_nor_its_mode_nor_the_random_state_changes(encoder: Path) -> None:
    headed = with_fresh_head(encoder, NLI, seed=0)
    headed.model.train()
    before = {name: value.clone() for name, value in headed.model.state_dict().items()}
    state = torch.get_rng_state()
    first = initial_accuracy(headed, classes(headed, 30, told=True), classes(headed, 9, told=True), device=CPU)
    assert headed.model.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in headed.model.state_dict().items())
    assert first == initial_accuracy(headed, classes(headed, 30, told=True), classes(headed, 9, told=True), device=CPU)


def test_the_head_is_the_penalised_logistic_regression_that_scipy_finds(encoder: Path) -> None:
    # scipy.optimize.minimize (BFGS) on the same states, penalty and labels; noisy labels, so that it is no easy case.
    headed = with_fresh_head(encoder, NLI, seed=0)
    headed.model.eval()
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice([*WORDS, "one", "two"], size=4)) for _ in range(120)]
    known = batches(headed, NLI, texts[:80], [["thing"]] * 80)
    asked = batches(headed, NLI, texts[80:], [["thing"]] * 40)
    with torch.inference_mode():
        states = [
            headed.model.base_model(**{k: v for k, v in one(range(n)).items() if k != "labels"}).last_hidden_state
            for one, n in ((known, 80), (asked, 40))
        ]
    x, other = (state[:, 0].double().numpy() for state in states)
    mean, spread = x.mean(0), np.maximum(x.std(0), 1e-6)
    x, other = (x - mean) / spread, (other - mean) / spread
    labels = np.array(known.labels)

    def loss(flat: np.ndarray) -> float:
        weights = flat.reshape(x.shape[1] + 1, 3)
        shares = scipy.special.log_softmax(x @ weights[:-1] + weights[-1], axis=1)
        return float(-shares[np.arange(80), labels].mean() + 1e-2 * (weights[:-1] ** 2).sum())

    fitted = scipy.optimize.minimize(loss, np.zeros(3 * (x.shape[1] + 1)), method="BFGS").x.reshape(-1, 3)
    theirs = 100 * np.mean((other @ fitted[:-1] + fitted[-1]).argmax(1) == np.array(asked.labels))
    assert initial_accuracy(headed, known, asked, device=CPU) == pytest.approx(theirs, abs=2.5)
