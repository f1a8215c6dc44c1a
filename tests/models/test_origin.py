"""A model is found by its name, and its identity is its content."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.toy import tiny_checkpoint
from xfer_bench.errors import CheckpointError
from xfer_bench.models import starter
from xfer_bench.models.origin import content_digest, local_folder, resolve

TEXTS = ["the cat sat on the mat", "der Hund schläft"]
HUB_FILES = {"toy/model": ["config.json", "model.safetensors"], "toy/pickle": ["config.json", "pytorch_model.bin"]}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("toy") / "model", TEXTS)


class Hub(BaseHTTPRequestHandler):
    """A hub with two models: one whose weights are safetensors and one whose weights are pickled."""

    def do_GET(self) -> None:
        repository, _, revision = self.path.removeprefix("/api/models/").partition("/revision/")
        code, error = 200, ""
        if repository not in HUB_FILES:
            code, error = 404, "RepoNotFound"
        elif revision not in {"", "main", "v1"}:
            code, error = 404, "RevisionNotFound"
        files = [{"rfilename": name} for name in HUB_FILES.get(repository, [])]
        body = json.dumps({"id": repository, "sha": COMMIT, "siblings": files}).encode()
        self.send_response(code)
        if error:
            self.send_header("X-Error-Code", error)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def ask(model: str, *, cache: Path, **environment: str) -> str:
    """What resolve says in a process of its own, since the Hub's library reads its settings when it is imported."""
    code = (
        "import sys\n"
        "from xfer_bench.errors import CheckpointError\n"
        "from xfer_bench.models.origin import resolve\n"
        "try:\n"
        "    origin = resolve(sys.argv[1])\n"
        "    print(origin.path, origin.revision, origin.identity, origin.note)\n"
        "except CheckpointError as error:\n"
        "    print(error)\n"
    )
    settings = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code, model], env=settings, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def cached(cache: Path, repository: str, files: dict[str, bytes]) -> None:
    """A Hub cache as the library lays it out, with one commit that main points to."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name, content in files.items():
        (snapshot / name).write_bytes(content)


def test_importing_it_needs_no_torch() -> None:
    code = "import sys, xfer_bench.models.origin; sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_directory_is_known_by_its_content_not_by_its_place(checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(checkpoint, copy)
    (copy / "README.md").write_text("a card", encoding="utf-8")
    here, there = resolve(str(checkpoint)), resolve(str(copy))
    assert here.identity == there.identity
    assert there.path == str(copy)
    assert (there.revision, there.note) == ("", "")
    assert local_folder(there) == copy


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_one_changed_byte_changes_the_identity(checkpoint: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    content = bytearray((copy / name).read_bytes())
    content[-2] ^= 1
    (copy / name).write_bytes(content)
    assert content_digest(copy) != content_digest(checkpoint)


def test_seeds_give_different_weights_and_the_same_seed_the_same(tmp_path: Path) -> None:
    first, again, other = (
        resolve(str(tiny_checkpoint(tmp_path / str(number), TEXTS, seed=seed))).identity
        for number, seed in enumerate((0, 0, 1))
    )
    assert first == again != other


def test_a_relative_directory_becomes_absolute(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkpoint.parent)
    assert resolve("model").path == resolve("./model").path == str(checkpoint)


def test_pickled_weights_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copy(checkpoint / "config.json", tmp_path)
    (tmp_path / "training_args.bin").touch()
    with pytest.raises(CheckpointError, match="holds no weights"):
        resolve(str(tmp_path))
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(CheckpointError, match=r"only pickled weights \(pytorch_model.bin\); only safetensors are read"):
        resolve(str(tmp_path))


def test_a_directory_without_a_configuration_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        resolve(str(tmp_path))


@pytest.mark.parametrize(
    "model", ["./absent", "/absent/model", "~absent/", "runs/one/two", "../absent", "absent/", "." * 9999]
)
def test_what_looks_like_a_path_is_never_asked_of_the_hub(model: str) -> None:
    with pytest.raises(CheckpointError, match="no such directory"):
        resolve(model)


@pytest.mark.parametrize("model", ["a..b/c", "a/b--c", "a b", "", "owner/", "@main", "a/b@../../etc", "a/b@", "-a/b"])
def test_names_that_no_hub_has_are_refused(model: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        resolve(model)
    assert "\n" not in str(caught.value)


def test_only_the_hub_has_revisions(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="not on the Hub"):
        resolve(str(checkpoint), revision="main")
    with pytest.raises(CheckpointError, match="give one of them"):
        resolve("owner/name@v1", revision="v2")


def test_a_hub_model_is_fixed_to_its_commit(hub: str, tmp_path: Path) -> None:
    answer = f"toy/model {COMMIT} toy/model@{COMMIT}"
    assert ask("toy/model", cache=tmp_path, HF_ENDPOINT=hub) == answer
    assert ask("toy/model@v1", cache=tmp_path, HF_ENDPOINT=hub) == answer


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ("toy/absent", "neither a directory nor a Hub model named 'toy/absent'"),
        ("toy/model@v9", "toy/model has no revision 'v9'"),
        ("toy/pickle", "toy/pickle on the Hub holds only pickled weights (pytorch_model.bin)"),
    ],
)
def test_what_the_hub_lacks_is_one_line(hub: str, tmp_path: Path, model: str, complaint: str) -> None:
    answer = ask(model, cache=tmp_path, HF_ENDPOINT=hub)
    assert complaint in answer
    assert "\n" not in answer


def test_a_cached_model_is_found_offline_at_the_same_commit(tmp_path: Path) -> None:
    cached(tmp_path, "toy/model", {"config.json": b"{}", "model.safetensors": b""})
    for name in ("toy/model", f"toy/model@{COMMIT}"):
        assert ask(name, cache=tmp_path, HF_HUB_OFFLINE="1") == f"toy/model {COMMIT} toy/model@{COMMIT}"
    assert "hf download toy/other" in ask("toy/other", cache=tmp_path, HF_HUB_OFFLINE="1")


def test_a_hub_out_of_reach_is_answered_from_the_cache(tmp_path: Path) -> None:
    cached(tmp_path, "toy/model", {"config.json": b"{}", "model.safetensors": b""})
    # Port 9 discards; nothing listens there.
    answer = ask("toy/model", cache=tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert answer == f"toy/model {COMMIT} toy/model@{COMMIT}"


def without_starter(folder: Path) -> dict[str, str]:
    """Settings under which the starter is not there: its package is found without its data, and the cache is empty."""
    info = folder / "site" / f"{starter.PACKAGE}-{starter.VERSION}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {starter.PACKAGE}\nVersion: 0\n", encoding="utf-8")
    (info / "RECORD").write_text("", encoding="utf-8")
    return {"PYTHONPATH": str(info.parent), starter.CACHE_VARIABLE: str(folder / "own")}


def test_without_its_package_the_starter_comes_from_the_hub_and_says_so(tmp_path: Path) -> None:
    cached(tmp_path, starter.UPSTREAM, {"config.json": b"{}", "model.safetensors": b""})
    answer = ask("starter", cache=tmp_path, HF_HUB_OFFLINE="1", **without_starter(tmp_path))
    assert answer.startswith(f"{starter.UPSTREAM} {COMMIT} {starter.UPSTREAM}@{COMMIT} ")
    assert "took the starter's place" in answer


def test_without_its_package_and_the_hub_the_starter_says_what_to_install(tmp_path: Path) -> None:
    answer = ask("starter", cache=tmp_path, HF_HUB_OFFLINE="1", **without_starter(tmp_path))
    assert "pip install xfer-bench[starter]" in answer
    assert "\n" not in answer
