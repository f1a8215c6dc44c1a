"""Checkpoints on the Hub, whole ones and adapters, by name and revision; offline only what is on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig
from safetensors.torch import load_file

from tests.evaluation.small_checkpoints import adapted, choosing
from tests.models.model_hub import COMMITS, model_hub

# In a process of its own, since the Hub's library reads its settings when it is imported.
ASKING = """
import json, sys
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import discover
try:
    for one in discover(sys.argv[1:]):
        places = {"path": str(one.path), "base": one.base and str(one.base)}
        print(json.dumps({"head": one.head, "reason": one.reason, "name": one.name, **places}))
except CheckpointError as error:
    print(json.dumps(str(error)))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("hub")
    choosing(root / "main")
    choosing(root / "v1", seed=1)
    adapted(root / "adapter", root / "v1", LoraConfig(r=2, target_modules=["query"]))
    file = root / "adapter" / "adapter_config.json"
    file.write_text(
        json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": "toy/choosing", "revision": "v1"})
    )
    return {
        "toy/choosing@main": root / "main",
        "toy/choosing@v1": root / "v1",
        "toy/adapter@main": root / "adapter",
    }


def ask(*places: str, cache: Path, **environment: str) -> list[Any]:
    """What discover finds, or the one line that it says."""
    settings = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", ASKING, *places],
        env=settings, cwd=cache, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_revision_is_scored_as_it_was_named_and_offline_from_the_cache(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    with model_hub(folders) as address:
        newest, named = ask("toy/choosing", "toy/choosing@v1", cache=tmp_path, HF_ENDPOINT=address)
        assert "has no revision 'v9'" in ask("toy/choosing@v9", cache=tmp_path, HF_ENDPOINT=address)[0]
    assert (newest["head"], newest["name"], named["name"]) == ("multiple_choice", "toy/choosing", "toy/choosing@v1")
    assert [Path(one["path"]).name for one in (newest, named)] == [COMMITS["main"], COMMITS["v1"]]
    weights = [load_file(Path(one["path"]) / "model.safetensors")["classifier.weight"] for one in (newest, named)]
    assert not weights[0].equal(weights[1])
    assert ask("toy/choosing@v1", cache=tmp_path, HF_HUB_OFFLINE="1") == [named]
    (elsewhere := tmp_path / "elsewhere").mkdir()
    assert "its cache does not hold toy/choosing" in ask("toy/choosing@v1", cache=elsewhere, HF_HUB_OFFLINE="1")[0]


def test_an_adapter_on_the_hub_brings_its_base_model_at_its_revision(folders: dict[str, Path], tmp_path: Path) -> None:
    with model_hub(folders) as address:
        (one,) = ask("toy/adapter", cache=tmp_path, HF_ENDPOINT=address)
    assert (one["head"], one["reason"], Path(one["base"]).name) == ("multiple_choice", "", COMMITS["v1"])
    # The cache keeps files as links to where their content lies.
    assert (Path(one["path"]) / "adapter_model.safetensors").is_symlink()
    assert ask("toy/adapter", cache=tmp_path, HF_HUB_OFFLINE="1") == [one]


@pytest.mark.parametrize("offline", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_a_base_model_is_never_fetched_offline(folders: dict[str, Path], tmp_path: Path, offline: str) -> None:
    with model_hub(folders) as address:
        settings = {"HF_HUB_OFFLINE": "", offline: "1"}
        (one,) = ask(str(folders["toy/adapter@main"]), cache=tmp_path, HF_ENDPOINT=address, **settings)
    assert (one["head"], one["base"]) == (None, None)
    assert "its base model 'toy/choosing' cannot be had" in one["reason"]
    assert list(tmp_path.glob("models--*")) == []
