"""`data prefetch` against a Hub on this machine, over real HTTP."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.sources.local_hub import ASKED, COMMIT, COPY_COMMIT, CUT, MODELS, REPOSITORIES, local_hub, told
from tests.sources.small_mirror import pairs, write
from tests.sources.upstream_files import farstail, jsick
from xfer_bench.cli import data_prefetch
from xfer_bench.sources.pins import ACCEPT
from xfer_bench.sources.source import Rows, Sources
from xfer_bench.tasks.own import load_tasks

TASK = """name = "{name}"
format = "nli"
repository = "{repository}"
config = "{{language}}"
languages = ["en"]
licence = "none"
splits = {{ test = "test" }}
columns = {{ premise = "premise", hypothesis = "hypothesis", label = "label" }}
settings = {{ NLI = ["mnli"] }}
"""
STUDY = """name = "study"
model = "some/model"
[[arms]]
name = "none"
[[targets]]
task = "some_pairs"
setting = "NLI"
train = ["quickstart_nli"]
"""
ROWS = [{"premise": "a", "hypothesis": "b", "label": 1}]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with local_hub() as address:
        yield address


class Place(Shell):
    """A folder with tasks in it, from which the Hub can be reached, and a shell in it."""

    @property
    def root(self) -> Path:
        return self.folder / "data"

    def prefetch(self, *arguments: str) -> str:
        """What the command says that succeeds."""
        return self.said("data", "prefetch", *arguments, *self._tasks)

    def fails(self, *arguments: str) -> str:
        """The last line of the command that fails."""
        return self.refused("data", "prefetch", *arguments, *self._tasks)

    @property
    def _tasks(self) -> list[str]:
        return [f"--tasks={path}" for path in sorted(self.folder.glob("*.toml")) if path.stem != "study"]

    def rows(self, name: str) -> Rows:
        task = load_tasks([self.folder / f"{name}.toml"])[f"some_{name}"]
        return Sources(data_root=self.root).rows(task, language="en", split="test")


@pytest.fixture
def place(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("XFER_BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    for name in ("pairs", "script", "absent"):
        (tmp_path / f"{name}.toml").write_text(TASK.format(name=f"some_{name}", repository=f"some/{name}"))
    ASKED.clear()
    CUT.clear()
    return Place(tmp_path, monkeypatch, capsys)


def _downloads() -> list[tuple[str, str]]:
    return [(path, asked) for path, asked in ASKED if "/resolve/" in path and "README" not in path]


def test_a_task_comes_into_a_mirror_that_needs_no_network(place: Place) -> None:
    said = place.prefetch("some_pairs")
    assert f"some/pairs @ {COMMIT[:8]}: 2 files, " in said
    assert "to download" in said
    assert place.rows("pairs").frame["text"].to_list() == pairs(6)["premise"]
    assert place.rows("pairs").revision == COMMIT
    ASKED.clear()
    again = place.prefetch("some_pairs")
    assert "there already" in again
    assert "to download: 0.0 kB" in again
    assert _downloads() == []


def test_a_loading_script_s_rows_come_from_the_parquet_copy(place: Place) -> None:
    assert f"some/script @ {COPY_COMMIT[:8]}: 1 files" in place.prefetch("some_script")
    assert place.rows("script").frame.height == 9
    assert not list(place.root.rglob("*.py"))


def test_what_was_cut_goes_on_where_it_stopped(place: Place) -> None:
    name = "en/test-00000-of-00001.parquet"
    content = REPOSITORIES["some/pairs"][name]
    digest = hashlib.sha256(content).hexdigest()
    part = place.root / "some/pairs/.cache/huggingface/download" / f"{name}.{digest[:16]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content[:700])
    said = place.prefetch("some_pairs")
    assert f"{(len(content) - 700 + len(REPOSITORIES['some/pairs']['README.md'])) / 1e3:.1f} kB of" in said
    assert [asked for path, asked in _downloads()] == ["bytes=700-"]
    assert (place.root / "some/pairs" / name).read_bytes() == content
    assert not part.exists()


def test_a_connection_that_breaks_is_taken_up_again(place: Place) -> None:
    CUT["en/test-00000-of-00001.parquet"] = 600
    place.prefetch("some_pairs")
    assert len(_downloads()) == 2
    assert place.rows("pairs").frame.height == 6


def test_what_came_damaged_is_refused_and_nothing_lies_under_its_name(place: Place) -> None:
    name = "en/test-00000-of-00001.parquet"
    content = REPOSITORIES["some/pairs"][name]
    part = (
        place.root
        / "some/pairs/.cache/huggingface/download"
        / f"{name}.{hashlib.sha256(content).hexdigest()[:16]}.part"
    )
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 700)
    assert "came damaged: its digest is not the Hub's; try again" in place.fails("some_pairs")
    assert not list(place.root.rglob("*.parquet"))
    place.prefetch("some_pairs")
    assert place.rows("pairs").frame.height == 6


def test_much_is_asked_for_or_needs_yes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_prefetch, "ASK_ABOVE", 10)
    assert place.fails("some_pairs").endswith("pass --yes, or name fewer tasks or languages")
    assert _downloads() == []
    place.prefetch("some_pairs", "--yes")
    assert place.rows("pairs").frame.height == 6


def test_a_study_s_rows_and_model(place: Place) -> None:
    (place.folder / "tasks").mkdir()
    (place.folder / "pairs.toml").rename(place.folder / "tasks" / "pairs.toml")
    (place.folder / "study.toml").write_text(STUDY)
    assert "some/model" not in place.prefetch("study.toml")
    said = place.prefetch("study.toml", "--models")
    folder = place.root / "models" / "some" / "model"
    assert f"""--set 'model="{folder}"'""" in said
    # Safetensors only, and no code.
    assert {path.name for path in folder.iterdir()} == {"config.json", "tokenizer.json", "model.safetensors", ".cache"}
    assert (folder / "model.safetensors").read_bytes() == MODELS["some/model"]["model.safetensors"]
    assert not list((place.root / "xfer-bench").rglob("*"))


def test_a_model_of_pickles_is_refused(place: Place) -> None:
    text = STUDY.replace("some/model", "some/pickled").replace("some_pairs", "quickstart_xnli")
    (place.folder / "study.toml").write_text(text)
    assert "holds only pickled weights" in place.fails("study.toml", "--models")


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_with_the_network_switched_off_nothing_is_asked(
    place: Place, switch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(switch, "1")
    assert place.fails("some_pairs") == (f"error: the network is switched off by {switch}; nothing can be downloaded")
    assert ASKED == []


def test_what_the_hub_does_not_have_is_one_line(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "some/absent cannot be had from the Hub: there is no such repository" in place.fails("some_absent")
    assert place.fails("nothing").startswith("error: nothing is neither a task nor a study")
    monkeypatch.delenv("XFER_BENCH_DATA")
    assert "give --data-root DIR" in place.fails("some_pairs")


def test_a_hub_out_of_reach_is_one_line(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    message = place.fails("some_pairs")
    assert message.startswith("error: some/pairs cannot be had from the Hub: ")


def test_what_somebody_made_is_not_overwritten(place: Place) -> None:
    write(place.root, "some/pairs", {"en/test.parquet": pairs(3)})
    assert "some/pairs: there already, not from the Hub" in place.prefetch("some_pairs")
    assert place.rows("pairs").frame.height == 3
    write(place.root, "some/script", {"en/train.parquet": pairs(3)})
    assert "it did not come from the Hub, so nothing is put beside it" in place.fails("some_script")
    assert ASKED == []


def test_an_upstream_is_named_with_its_files_and_converted_from_them(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, told = place.run("data", "prefetch", "jsick")
    assert code == 1
    assert "https://github.com/verypluming/JSICK @ b3034994192fae2f41b5937bcf69544e4282fc39" in told
    assert "jsick/train.tsv" in told
    (file,) = jsick(place.folder, ROWS, "train")
    with monkeypatch.context() as strict:
        strict.delenv(ACCEPT)
        assert "the rows have changed" in place.fails("jsick", "--from", str(file))
    assert "extra/jsick (train): 1 rows in " in place.prefetch("jsick", "--from", str(file))
    assert "extra/jsick: there already" in place.prefetch("jsick")
    (validation, train) = (farstail(place.folder, ROWS, split)[0] for split in ("validation", "train"))
    assert "extra/farstail (train): 1 rows" in place.prefetch("farstail", "--from", str(validation), str(train))
    assert "--from goes with a task of one repository" in place.fails("xnli", "--from", str(file))


def test_git_objects_of_the_small_files_are_what_the_local_hub_tells() -> None:
    # As `git hash-object` gives it for these bytes.
    assert told(b"hello\n")["blobId"] == "ce013625030ba8dba906f756967f9e9ca394464a"
