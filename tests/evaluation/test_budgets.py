"""How large a batch is: found, halved when the memory does not suffice, remembered; it decides nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForMultipleChoice

from tests.evaluation.pieces import found
from tests.evaluation.processes import CHECKOUT, Place, long_mirror, same
from tests.evaluation.small_checkpoints import WORDS, choosing
from tests.toy import tiny_tokenizer
from xfer_bench.evaluation.budgets import CPU_TOKENS, budget_for, first_guess
from xfer_bench.evaluation.cache import PredictionStore

# When the weights are loaded and scoring begins, there is room for so many bytes more.
CRAMPED = """
import json, resource, sys
from pathlib import Path
import torch
from tests.evaluation.processes import Place
torch.set_num_threads(1)
mirror, checkpoint, folder, room = *map(Path, sys.argv[1:4]), int(sys.argv[4])

def cramp(update):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    if update.whole == "evaluation" and update.done == 0:
        resource.setrlimit(resource.RLIMIT_AS, (used + room, resource.RLIM_INFINITY))

place = Place(mirror=mirror, checkpoints=(checkpoint,), folder=folder)
done = place.evaluate(progress=cramp, batch_tokens=None)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps({"failed": done.failed, "sequences": sum(one.sequences for one in done.accounts)}))
"""
INNER = 16_384
# Bytes of one activation of a whole batch between the two halves of a layer, float32.
LARGEST_ACTIVATION = CPU_TOKENS * INNER * 4
# A whole batch lacks a quarter of it, half a batch has as much to spare. Nearer to either, an allocation may leave less
# than the half megabyte in which oneDNN compiles a kernel: after that it refuses every later one, or ends the process.
ROOM = LARGEST_ACTIVATION * 3 // 4


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model whose activations are large: two layers, 32 wide outside and 16,384 inside."""
    folder = tmp_path_factory.mktemp("wide")
    tokenizer = tiny_tokenizer(WORDS)
    config = AutoConfig.for_model(
        "bert",
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,  # in the last one only first tokens are computed
        num_attention_heads=2,
        intermediate_size=INNER,
        max_position_embeddings=128,
        pad_token_id=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModelForMultipleChoice.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return long_mirror(tmp_path_factory.mktemp("mirror"))


def cramped(mirror: Path, checkpoint: Path, folder: Path, *, room: int) -> dict[str, object]:
    """What a process says that scores with this many bytes of memory more than it has at the start of the scoring."""
    command = [sys.executable, "-c", CRAMPED, str(mirror), str(checkpoint), str(folder), str(room)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=CHECKOUT, check=True)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is set by what Linux says is in use")
def test_real_want_of_memory_is_survived_by_halving_and_remembered(mirror: Path, wide: Path, tmp_path: Path) -> None:
    small = Place(mirror=mirror, checkpoints=(wide,), folder=tmp_path / "small")
    expected = small.evaluate(batch_tokens=64).predictions()
    place = Place(mirror=mirror, checkpoints=(wide,), folder=tmp_path / "cramped")
    answer = cramped(mirror, wide, place.folder, room=ROOM)
    assert answer == {"failed": [], "sequences": 2 * len(expected)}
    assert same(place.results, expected)
    with place.opened() as store:
        budget = budget_for(found(wide), store, precision="fp32", wanted=None, devices=["cpu"])
        assert store.index.get(f"budget:{budget.name}") == str(budget.tokens)
        # A whole batch's activation did not fit, and small ones were no trouble.
        assert 64 <= budget.tokens <= CPU_TOKENS // 2
        # Whoever asks for a number gets it.
        assert budget_for(found(wide), store, precision="fp32", wanted=500, devices=["cpu"]).tokens == 500


def test_a_cpu_begins_with_what_is_quickest_and_a_gpu_with_what_its_memory_holds() -> None:
    assert first_guess(None, hidden=768) == CPU_TOKENS
    sizes = [first_guess(free << 30, hidden=1024) for free in (0, 1, 8, 80, 1000)]
    assert sizes == sorted(sizes)
    assert sizes[0] > 0
    assert first_guess(8 << 30, hidden=768) > first_guess(8 << 30, hidden=1024)


@pytest.mark.parametrize("written", ["", "0", "-5", "many", "1e9"])
def test_a_size_that_is_none_is_not_believed(tmp_path: Path, written: str) -> None:
    checkpoint = found(choosing(tmp_path / "checkpoint"))
    with PredictionStore(tmp_path / "store") as store:
        usual = budget_for(checkpoint, store, precision="fp32", wanted=None, devices=["cpu"])
        store.index.set(f"budget:{usual.name}", written)
        assert budget_for(checkpoint, store, precision="fp32", wanted=None, devices=["cpu"]) == usual


def test_what_was_asked_for_teaches_no_size(tmp_path: Path) -> None:
    checkpoint = found(choosing(tmp_path / "checkpoint"))
    with PredictionStore(tmp_path / "store") as store:
        asked = budget_for(checkpoint, store, precision="fp32", wanted=900, devices=["cpu"])
        asked.learn(store, tokens=1000, seconds=0.1, largest=450)
        assert store.index.get(f"budget:{asked.name}") is None
        free = budget_for(checkpoint, store, precision="fp32", wanted=None, devices=["cpu"])
        free.learn(store, tokens=1000, seconds=0.1, largest=None)
        assert store.index.get(f"budget:{free.name}") is None
        free.learn(store, tokens=1000, seconds=0.1, largest=450)
        assert budget_for(checkpoint, store, precision="fp32", wanted=None, devices=["cpu"]).tokens == 450
