"""Trimming drops token rows and changes nothing else on the texts it was given."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertTokenizer,
    XLMRobertaTokenizer,
)

from tests.toy import SPACE, Head, Kind, tiny_checkpoint, unigram_pieces
from xfer_bench.errors import CheckpointError
from xfer_bench.models.vocabulary import RECORD, kept_ids, renumbered, trim

CORPUS = [
    "the cat sat on the mat and the dog sat on the cat",
    "der Hund schläft auf der Matte, und die Katze schläft auch",
    "кот спит на ковре и собака спит",
    "猫坐在垫子上 狗也坐在垫子上",
]
KEPT = ["the cat sat", "the dog sat on the mat", "кот спит", "an owl 🦉 flew <mask> by", "猫", ""]


def logits(folder: Path, head: Head) -> torch.Tensor:
    """What a checkpoint says about the kept texts, each paired with the next."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(KEPT, KEPT[1:] + KEPT[:1], padding=True, return_tensors="pt")
    with torch.inference_mode():
        if head == "sequence_classification":
            model = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True).eval()
            return torch.Tensor(model(**batch).logits)
        if head == "multiple_choice":
            model = AutoModelForMultipleChoice.from_pretrained(folder, use_safetensors=True).eval()
            return torch.Tensor(model(**{name: ids.view(3, 2, -1) for name, ids in batch.items()}).logits)
        model = AutoModel.from_pretrained(folder, add_pooling_layer=False, use_safetensors=True).eval()
        return torch.Tensor(model(**batch).last_hidden_state)


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("head", ["none", "sequence_classification", "multiple_choice"])
def test_logits_are_the_same_on_kept_text(tmp_path: Path, kind: Kind, head: Head) -> None:
    whole = tiny_checkpoint(tmp_path / "whole", CORPUS, kind=kind, head=head)
    report = trim(whole, iter([*KEPT, *KEPT]), tmp_path / "trimmed", covers=["b", "a", "b"])
    assert report.texts == len(KEPT)
    assert report.kept < report.before == json.loads((whole / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    assert torch.equal(logits(tmp_path / "trimmed", head), logits(whole, head))
    record = json.loads((tmp_path / "trimmed" / RECORD).read_text(encoding="utf-8"))
    assert record == {"kept": report.kept, "before": report.before, "texts": len(KEPT), "covers": ["a", "b"]}


def test_the_trimmed_folder_is_an_ordinary_checkpoint(tmp_path: Path) -> None:
    whole = tiny_checkpoint(tmp_path / "whole", CORPUS)
    report = trim(whole, KEPT, tmp_path / "trimmed")
    model, info = AutoModel.from_pretrained(
        tmp_path / "trimmed", add_pooling_layer=False, use_safetensors=True, output_loading_info=True
    )
    assert not any(info.values())
    assert model.get_input_embeddings().weight.shape == (report.kept, 32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "trimmed")
    assert len(tokenizer) == report.kept == model.config.vocab_size
    original = AutoTokenizer.from_pretrained(whole)
    assert tokenizer.special_tokens_map == original.special_tokens_map
    assert tokenizer.model_max_length == original.model_max_length
    assert model.config.pad_token_id == tokenizer.pad_token_id == 1
    first, second = (tokenizer(text, add_special_tokens=False).input_ids for text in KEPT[:2])
    assert tokenizer(KEPT[0], KEPT[1]).input_ids == [0, *first, 2, 2, *second, 2]


def test_the_trimmed_tokenizer_keeps_its_ids_when_saved_again(tmp_path: Path) -> None:
    trim(tiny_checkpoint(tmp_path / "whole", CORPUS, kind="xlm-roberta"), KEPT, tmp_path / "trimmed")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "trimmed")
    shutil.copytree(tmp_path / "trimmed", tmp_path / "again")
    tokenizer.save_pretrained(tmp_path / "again")
    again = AutoTokenizer.from_pretrained(tmp_path / "again")
    assert again(KEPT).input_ids == tokenizer(KEPT).input_ids
    assert again.tokenize(KEPT[3]) == AutoTokenizer.from_pretrained(tmp_path / "whole").tokenize(KEPT[3])


def test_unknown_characters_stay_unknown_and_known_ones_known(tmp_path: Path) -> None:
    whole = tiny_checkpoint(tmp_path / "whole", CORPUS)
    trim(whole, ["the cat sat"], tmp_path / "trimmed")
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in (whole, tmp_path / "trimmed"))
    unknown = "the 🦉 cat"
    assert after.convert_ids_to_tokens(after(unknown).input_ids) == before.convert_ids_to_tokens(
        before(unknown).input_ids
    )
    assert after.unk_token_id in after(unknown).input_ids
    # Not among the texts, but of the same characters: cut differently perhaps, but without <unk>.
    assert after.unk_token_id not in after("tache chest hats").input_ids


def unigram(vocabulary: list[tuple[str, float]]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


# Few letters and scores, so that ties and characters without a piece of their own come often.
PIECES = st.dictionaries(
    st.text(alphabet=SPACE + "abc", min_size=1, max_size=4),
    st.sampled_from([-1.0, -2.0, -3.0, -4.0, -15.0, -40.0]),
    min_size=1,
    max_size=25,
)
STRINGS = st.lists(st.text(alphabet="abcd ", max_size=12), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PIECES, STRINGS)
def test_no_text_is_ever_cut_differently(pieces: dict[str, float], texts: list[str]) -> None:
    before = unigram([("<unk>", 0.0), ("</s>", 0.0), *pieces.items()])
    ids = [before.encode(text).ids for text in texts]
    parts = json.loads(before.to_str())
    kept = kept_ids(parts, (np.array(of_text, dtype=np.int32) for of_text in ids))
    after = Tokenizer.from_str(json.dumps(renumbered(parts, kept)))
    assert [kept[after.encode(text).ids].tolist() for text in texts] == ids


def test_unused_pieces_are_kept_where_unknown_would_win_without_them() -> None:
    vocabulary = [("<unk>", 0.0), ("</s>", 0.0), (SPACE, -1.0)]
    vocabulary += [("ab", -20.0), ("cd", -20.0), ("abc", -1.0), ("d", -40.0)]
    before = unigram(vocabulary)
    ids = [before.encode(text).ids for text in ("abcd", "abc")]
    assert before.encode("abcd").tokens == [SPACE, "ab", "cd", "</s>"]
    # No text uses "d". Without it <unk> scores -30 instead of -50, and "abc" + <unk> beats "ab" + "cd".
    parts = json.loads(before.to_str())
    bare = Tokenizer.from_str(json.dumps(renumbered(parts, np.arange(6, dtype=np.int32))))
    assert bare.encode("abcd").tokens == [SPACE, "abc", "d", "</s>"]
    assert bare.encode("abcd").ids[2] == 0
    assert kept_ids(parts, (np.array(of_text, dtype=np.int32) for of_text in ids)).tolist() == list(range(7))


def reclass(folder: Path, name: str) -> None:
    """Let the tokenizer be loaded by this class."""
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "tokenizer_class": name}), encoding="utf-8")


def test_a_tokenizer_that_its_class_rebuilds_is_trimmed_as_it_is_loaded(tmp_path: Path) -> None:
    whole = tiny_checkpoint(tmp_path / "whole", CORPUS, kind="xlm-roberta")
    reclass(whole, "XLMRobertaTokenizer")
    loaded = AutoTokenizer.from_pretrained(whole)
    assert isinstance(loaded, XLMRobertaTokenizer)
    trim(whole, KEPT, tmp_path / "trimmed")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "trimmed")
    assert [tokenizer.tokenize(text) for text in KEPT] == [loaded.tokenize(text) for text in KEPT]
    assert torch.equal(logits(tmp_path / "trimmed", "none"), logits(whole, "none"))


def test_a_language_model_head_is_sliced_along(tmp_path: Path) -> None:
    whole = tiny_checkpoint(tmp_path / "whole", CORPUS)
    config = AutoModel.from_pretrained(whole, add_pooling_layer=False).config
    config.tie_word_embeddings = False
    model = AutoModelForMaskedLM.from_config(config).eval()
    torch.nn.init.normal_(model.cls.predictions.bias)
    model.save_pretrained(whole)
    trim(whole, KEPT, tmp_path / "trimmed")
    smaller = AutoModelForMaskedLM.from_pretrained(tmp_path / "trimmed", use_safetensors=True).eval()
    model = AutoModelForMaskedLM.from_pretrained(whole, use_safetensors=True).eval()
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in (whole, tmp_path / "trimmed"))
    rows = [before.convert_tokens_to_ids(after.convert_ids_to_tokens(index)) for index in range(len(after))]
    with torch.inference_mode():
        theirs = model(**before(KEPT[:1], return_tensors="pt")).logits[..., rows]
        ours = smaller(**after(KEPT[:1], return_tensors="pt")).logits
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0.0)


def test_shards_become_one_file(tmp_path: Path) -> None:
    whole = tiny_checkpoint(tmp_path / "whole", CORPUS)
    expected = logits(whole, "none")
    tensors = load_file(whole / "model.safetensors")
    (whole / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {f"model-0000{n}-of-00002.safetensors": names[n - 1 :: 2] for n in (1, 2)}
    for shard, members in shards.items():
        save_file({name: tensors[name] for name in members}, whole / shard, metadata={"format": "pt"})
    index: dict[str, Any] = {"metadata": {}, "weight_map": {n: shard for shard, ns in shards.items() for n in ns}}
    (whole / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    trim(whole, KEPT, tmp_path / "trimmed")
    assert [path.name for path in (tmp_path / "trimmed").glob("*.safetensors*")] == ["model.safetensors"]
    assert torch.equal(logits(tmp_path / "trimmed", "none"), expected)


def test_a_layer_as_wide_as_the_vocabulary_is_left_alone(tmp_path: Path) -> None:
    whole = tiny_checkpoint(tmp_path / "whole", CORPUS)
    config = AutoModel.from_pretrained(whole, add_pooling_layer=False).config
    config.intermediate_size = config.max_position_embeddings = config.vocab_size
    AutoModel.from_config(config, add_pooling_layer=False).save_pretrained(whole)
    trim(whole, KEPT, tmp_path / "trimmed")
    assert torch.equal(logits(tmp_path / "trimmed", "none"), logits(whole, "none"))


def test_tokens_added_later_are_kept_with_their_rows(tmp_path: Path) -> None:
    whole = tiny_checkpoint(tmp_path / "whole", CORPUS)
    tokenizer = AutoTokenizer.from_pretrained(whole)
    tokenizer.add_tokens(["<owl>", "<dove>"])
    model = AutoModel.from_pretrained(whole, add_pooling_layer=False)
    model.resize_token_embeddings(len(tokenizer) + 3, mean_resizing=False)
    model.save_pretrained(whole)
    tokenizer.save_pretrained(whole)
    report = trim(whole, KEPT, tmp_path / "trimmed")
    assert report.before == len(tokenizer) + 3
    text = "the <dove> sat on the <owl>"
    smaller = AutoModel.from_pretrained(tmp_path / "trimmed", add_pooling_layer=False).eval()
    after = AutoTokenizer.from_pretrained(tmp_path / "trimmed")
    with torch.inference_mode():
        ours = smaller(**after(text, return_tensors="pt")).last_hidden_state
        theirs = model.eval()(**tokenizer(text, return_tensors="pt")).last_hidden_state
    assert torch.equal(ours, theirs)


def test_other_vocabularies_are_refused(tmp_path: Path) -> None:
    whole = tiny_checkpoint(tmp_path / "whole", CORPUS)
    for path in whole.glob("token*"):
        path.unlink()
    vocabulary = {piece: index for index, (piece, _) in enumerate(unigram_pieces(CORPUS))}
    BertTokenizer(vocab=vocabulary, unk_token="<unk>").save_pretrained(whole)
    with pytest.raises(CheckpointError, match="WordPiece; only Unigram vocabularies can be trimmed"):
        trim(whole, KEPT, tmp_path / "trimmed")
    assert not (tmp_path / "trimmed").exists()


def test_what_exists_is_not_overwritten(tmp_path: Path) -> None:
    whole = tiny_checkpoint(tmp_path / "whole", CORPUS)
    (tmp_path / "trimmed").mkdir()
    with pytest.raises(CheckpointError, match="exists already"):
        trim(whole, KEPT, tmp_path / "trimmed")


def test_damaged_weights_leave_nothing_behind(tmp_path: Path) -> None:
    whole = tiny_checkpoint(tmp_path / "whole", CORPUS)
    content = (whole / "model.safetensors").read_bytes()
    (whole / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="is damaged"):
        trim(whole, KEPT, tmp_path / "trimmed")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_all_texts_keep_all_but_what_no_text_uses(tmp_path: Path) -> None:
    whole = tiny_checkpoint(tmp_path / "whole", CORPUS)
    everything = trim(whole, CORPUS, tmp_path / "all")
    little = trim(whole, CORPUS[:1], tmp_path / "one")
    assert little.kept < everything.kept <= everything.before
