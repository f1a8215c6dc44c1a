"""What a checkpoint is, by content, and when its files are read again."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig
from safetensors.torch import load_file, save_file

from tests.evaluation.places import checkpoint, resaved
from tests.evaluation.small_checkpoints import adapted
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.discovery import Scorable, discover
from xfer_bench.evaluation.identity import Identity, check_unchanged, identify, name_key
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE
from xfer_bench.tasks.nli import NLI

LABELS = dict(enumerate(NLI.labels))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("identity") / "c", "sequence_classification", id2label=LABELS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PredictionStore]:
    with PredictionStore(tmp_path / "store") as opened:
        yield opened


def found(folder: Path) -> Scorable:
    (one,) = discover([str(folder)])
    return one


def scorer(folder: Path, store: PredictionStore, *, precision: str = "fp32") -> str:
    one = found(folder)
    return identify(one, store).scorer(one, NLI, precision=precision)


def copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))


def with_config(folder: Path, **fields: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def with_weights(folder: Path) -> None:
    """Turn a sign: as many bytes, other numbers."""
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"] *= -1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


class TestScorer:
    def test_names_places_and_dates_do_not_enter(self, folder: Path, store: PredictionStore, tmp_path: Path) -> None:
        other = copied(folder, tmp_path / "elsewhere" / "another-name")
        for file in other.iterdir():
            os.utime(file, (0, 0))
        with_config(other, transformers_version="4.0", _name_or_path="elsewhere")
        (other / "README.md").write_text("a card")
        assert scorer(other, store) == scorer(folder, store)

    def test_nor_do_shards_and_the_order_of_tensors(self, folder: Path, store: PredictionStore, tmp_path: Path) -> None:
        sharded = resaved(folder, tmp_path / "sharded", "sequence_classification", max_shard_size="20KB")
        assert len(list(sharded.glob("*.safetensors"))) > 1
        assert scorer(sharded, store) == scorer(folder, store)
        turned = copied(folder, tmp_path / "turned")
        weights = load_file(folder / "model.safetensors")
        save_file(dict(reversed(weights.items())), turned / "model.safetensors", metadata={"format": "pt"})
        assert scorer(turned, store) == scorer(folder, store)

    @pytest.mark.parametrize("change", ["weights", "configuration", "tokenizer", "labels", "precision"])
    def test_everything_that_decides_a_score_enters(
        self, folder: Path, store: PredictionStore, tmp_path: Path, change: str
    ) -> None:
        other = copied(folder, tmp_path / "other")
        if change == "weights":
            with_weights(other)
        elif change == "configuration":
            with_config(other, layer_norm_eps=0.5)
        elif change == "tokenizer":
            (other / "tokenizer.json").write_text((folder / "tokenizer.json").read_text() + " ")
        elif change == "labels":
            turned = {"0": "contradiction", "1": "neutral", "2": "entailment"}
            with_config(other, id2label=turned, label2id={label: int(index) for index, label in turned.items()})
        precision = "bf16" if change == "precision" else "fp32"
        assert scorer(other, store, precision=precision) != scorer(folder, store)

    def test_the_task_s_encoding_enters(self, folder: Path, store: PredictionStore) -> None:
        one = found(folder)
        identity = identify(one, store)
        forms = (NLI, replace(NLI, labels=NLI.labels[::-1]), MULTIPLE_CHOICE)
        assert len({identity.scorer(one, form, precision="fp32") for form in forms}) == 3

    def test_what_a_format_is_called_does_not(self, folder: Path, store: PredictionStore) -> None:
        one = found(folder)
        identity = identify(one, store)
        renamed = replace(NLI, name="another")
        assert identity.scorer(one, renamed, precision="fp32") == identity.scorer(one, NLI, precision="fp32")

    def test_labels_of_another_task_are_refused(self, folder: Path, store: PredictionStore, tmp_path: Path) -> None:
        other = copied(folder, tmp_path / "odd")
        with_config(other, id2label={"0": "yes", "1": "no", "2": "maybe"}, label2id={"yes": 0, "no": 1, "maybe": 2})
        with pytest.raises(CheckpointError, match=r"odd: the head's labels are \{0=yes, 1=no, 2=maybe\}"):
            scorer(other, store)

    def test_an_adapter_counts_with_its_base(self, folder: Path, store: PredictionStore, tmp_path: Path) -> None:
        base = copied(folder, tmp_path / "base")
        config = LoraConfig(r=2, target_modules=["query"], task_type="SEQ_CLS")
        adapter, _ = adapted(tmp_path / "adapter", base, config, id2label=LABELS)
        with_labels = {"id2label": {str(index): label for index, label in LABELS.items()}}
        (adapter / "config.json").write_text(json.dumps(with_labels))
        before = scorer(adapter, store)
        assert before != scorer(base, store)
        with_weights(base)
        assert scorer(adapter, store) != before


class TestReading:
    def test_unchanged_files_are_not_read_again(self, folder: Path, store: PredictionStore, tmp_path: Path) -> None:
        other = copied(folder, tmp_path / "other")
        first = identify(found(other), store)
        remembered = store.index.get(f"files:{other.resolve()}")
        assert remembered is not None
        # Whatever is remembered is believed: a planted digest shows that no weights were read.
        store.index.set(f"files:{other.resolve()}", remembered.replace(first.weights, "planted"))
        assert identify(found(other), store).weights == "planted"

    def test_a_relative_path_is_the_same_place(
        self, folder: Path, store: PredictionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = identify(found(folder), store)
        monkeypatch.chdir(folder.parent)
        again = identify(found(Path(folder.name)), store)
        assert (again.weights, again.function, again.tokens) == (first.weights, first.function, first.tokens)

    def test_changed_weights_of_the_old_size_and_time_are_noticed(
        self, folder: Path, store: PredictionStore, tmp_path: Path
    ) -> None:
        other = copied(folder, tmp_path / "other")
        before = identify(found(other), store)
        file = other / "model.safetensors"
        stamp = file.stat()
        with_weights(other)
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert file.stat().st_size == stamp.st_size
        assert identify(found(other), store).weights != before.weights

    def test_to_verify_is_to_read_every_byte(self, folder: Path, store: PredictionStore, tmp_path: Path) -> None:
        other = copied(folder, tmp_path / "other")
        before = identify(found(other), store)
        with_weights(other)
        # A file system that keeps neither change times nor inodes: the stamp is what it was.
        name = f"files:{other.resolve()}"
        digests = json.loads(store.index.get(name) or "")
        stamp = identify(found(other), store).stamp
        digests["stamp"][0] = stamp
        store.index.set(name, json.dumps(digests))
        assert identify(found(other), store).weights == before.weights
        verified = identify(found(other), store, verify=True)
        assert verified.weights != before.weights
        # And remembered from now on.
        assert identify(found(other), store).weights == verified.weights

    def test_a_lineage_that_is_written_meanwhile_is_no_change(
        self, folder: Path, store: PredictionStore, tmp_path: Path
    ) -> None:
        other = copied(folder, tmp_path / "other")
        one = found(other)
        identity = identify(one, store)
        (other / "lineage.json").write_text('{"key": "k"}')
        check_unchanged(one, identity)

    @pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "added_tokens.json"])
    def test_any_other_file_that_changes_is(
        self, folder: Path, store: PredictionStore, tmp_path: Path, name: str
    ) -> None:
        other = copied(folder, tmp_path / "other")
        one = found(other)
        identity = identify(one, store)
        (other / name).write_bytes((other / name).read_bytes() if (other / name).exists() else b"{}")
        with pytest.raises(CheckpointError, match="other: its files changed while they were read"):
            check_unchanged(one, identity)

    def test_a_file_that_is_gone_is_one_line(self, folder: Path, store: PredictionStore, tmp_path: Path) -> None:
        other = copied(folder, tmp_path / "other")
        one = found(other)
        shutil.rmtree(other)
        with pytest.raises(CheckpointError, match=r"other: cannot be read \(No such file or directory") as caught:
            identify(one, store)
        assert "\n" not in str(caught.value)

    def test_a_link_that_leads_nowhere_is_one_line(self, folder: Path, store: PredictionStore, tmp_path: Path) -> None:
        # As a cache of the Hub looks whose blobs were removed.
        other = copied(folder, tmp_path / "other")
        (other / "spiece.model").symlink_to(tmp_path / "nowhere")
        with pytest.raises(
            CheckpointError, match=r"other: cannot be read \(No such file or directory: .*spiece.model\)"
        ):
            identify(found(other), store)

    def test_a_name_that_is_no_text_is_one_line(self, folder: Path, store: PredictionStore, tmp_path: Path) -> None:
        # Indexes and tables hold text; file systems take any bytes.
        other = copied(folder, tmp_path / os.fsdecode(b"caf\xe9"))
        with pytest.raises(CheckpointError, match="a name that is no UTF-8") as caught:
            identify(found(other), store)
        assert str(caught.value).isprintable()

    def test_what_weights_were_called_last_is_kept_for_people(
        self, folder: Path, store: PredictionStore, tmp_path: Path
    ) -> None:
        first: Identity = identify(found(folder), store)
        assert store.index.get(name_key(first.weights)) == str(folder)
        other = copied(folder, tmp_path / "other")
        identify(found(other), store)
        assert store.index.get(name_key(first.weights)) == str(other)
