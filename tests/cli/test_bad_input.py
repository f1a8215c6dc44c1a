"""Bad input is one line that says what, got and allowed, and exit code 1; never a traceback."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
import torch
from transformers import AutoModelForMultipleChoice

from tests.small_study import STUDY, small_mirror, small_model
from xfer_bench.cli import main


def refused(arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on the error stream of a command that must fail."""
    monkeypatch.setattr("sys.argv", ["xfer-bench", *arguments])
    capsys.readouterr()  # what making the input said
    with pytest.raises(SystemExit) as stop:
        main()
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert stop.value.code == 1
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XFER_BENCH_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    base = small_model(tmp_path / "base")
    model = AutoModelForMultipleChoice.from_pretrained(base)
    folder = tmp_path / "checkpoint"
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((base / name).read_bytes())
    return folder


def study(tmp_path: Path, text: str = STUDY) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text.format(model=small_model(tmp_path / "model")))
    return path


class TestTyping:
    """What was typed wrong is said like everything else, with what is right and where the help is."""

    @pytest.mark.parametrize(
        ("typed", "says"),
        [
            ("evall x", "no such command 'evall'. Did you mean 'eval'? see xfer-bench --help"),
            (
                "data nosuch",
                "no such command 'nosuch'; choose one of list, prefetch, provenance, audit; see xfer-bench data --help",
            ),
            ("eval", "missing argument 'CKPT...'; see xfer-bench eval --help"),
            ("run quickstart", "missing option '-o' / '--out'; see xfer-bench run --help"),
            ("tasks more", "got unexpected extra argument(s) (more); see xfer-bench tasks --help"),
            ("--nope", "no such option: --nope; see xfer-bench --help"),
            (
                "eval x --lmit 3",
                "no such option: --lmit (Possible options: --limit, --split); see xfer-bench eval --help",
            ),
            ("data audit --data-root", "option '--data-root' requires an argument; see xfer-bench data audit --help"),
            ("eval x --dry-run=yes", "option '--dry-run' does not take a value; see xfer-bench eval --help"),
            (
                "eval x --split trian",
                "invalid value for '--split': 'trian' is not one of 'validation', 'test'; see xfer-bench eval --help",
            ),
        ],
    )
    def test_it_is_one_line(
        self, typed: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert refused(typed.split(), monkeypatch, capsys) == f"error: {says}"

    @pytest.mark.parametrize(("value", "wants"), [("many", "a valid integer"), ("0", "greater than or equal to 1")])
    def test_a_value_is_named_with_what_it_should_be(
        self, value: str, wants: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = refused(["eval", "x", "--limit", value], monkeypatch, capsys)
        assert line.startswith("error: invalid value for '--limit': ")
        assert wants in line
        assert line.endswith(f"got '{value}'; see xfer-bench eval --help")

    def test_a_name_of_several_lines_stays_on_one(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "--limit" in refused(["eval", "x", "--limit", "one\n\x1b[31mtwo"], monkeypatch, capsys)
        assert "--o" in refused(["eval", "x", "--o\nther"], monkeypatch, capsys)

    @pytest.mark.parametrize(
        ("typed", "code", "says"),
        [((), 2, "Usage: xfer-bench "), (("data",), 2, "prefetch"), (("--version",), 0, "xfer-bench "),
         (("eval", "-h"), 0, "--batch-tokens")],
    )  # fmt: skip
    def test_help_and_version_are_answers(
        self,
        typed: Sequence[str],
        code: int,
        says: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr("sys.argv", ["xfer-bench", *typed])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert (stop.value.code or 0) == code
        assert says in said.out
        assert said.err == ""


class TestEvaluating:
    def test_a_missing_checkpoint(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        assert "no such directory: ./nowhere" in refused(["eval", "./nowhere"], monkeypatch, capsys)

    def test_a_checkpoint_of_pickles(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / "pickled"
        folder.mkdir()
        (folder / "config.json").write_text(
            json.dumps({"model_type": "bert", "architectures": ["BertForMultipleChoice"]})
        )
        torch.save({}, folder / "pytorch_model.bin")
        line = refused(["eval", str(folder)], monkeypatch, capsys)
        assert "holds only pickled weights (pytorch_model.bin); only safetensors are read" in line

    def test_an_unknown_task(
        self, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = refused(["eval", str(checkpoint), "-t", "xcoba"], monkeypatch, capsys)
        assert "no task named 'xcoba'; choose one of" in line
        assert "xcopa" in line

    def test_an_unknown_language(
        self, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = refused(["eval", str(checkpoint), "-t", "xcopa", "-l", "xx"], monkeypatch, capsys)
        assert "no language 'xx' in xcopa; there are et, ht" in line

    def test_a_truncated_file_in_the_mirror(
        self, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        root = small_mirror(tmp_path / "mirror")
        file = root / "cambridgeltl" / "xcopa" / "sw" / "test-00000-of-00001.parquet"
        file.write_bytes(file.read_bytes()[:-40])
        line = refused(["eval", str(checkpoint), "-t", "xcopa", "--data-root", str(root)], monkeypatch, capsys)
        assert "cambridgeltl/xcopa" in line
        assert "test-00000-of-00001.parquet" in line

    def test_a_label_outside_the_range(
        self, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        root = small_mirror(tmp_path / "mirror")
        file = root / "cambridgeltl" / "xcopa" / "sw" / "test-00000-of-00001.parquet"
        pl.read_parquet(file).with_columns(label=pl.lit(2)).write_parquet(file)
        line = refused(["eval", str(checkpoint), "-t", "xcopa", "--data-root", str(root)], monkeypatch, capsys)
        assert "row 0: the column 'label' holds 2; allowed are 0 to 1" in line

    def test_a_damaged_weights_file(
        self, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        root = small_mirror(tmp_path / "mirror")
        file = checkpoint / "model.safetensors"
        file.write_bytes(file.read_bytes()[:1000])
        line = refused(["eval", str(checkpoint), "-t", "xcopa", "--data-root", str(root)], monkeypatch, capsys)
        assert "damaged safetensors" in line


class TestStudies:
    def test_a_typo_names_the_line_and_the_key(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = study(tmp_path, STUDY.replace("examples =", "exampels ="))
        line = refused(["run", str(path), "-o", "out"], monkeypatch, capsys)
        assert "study.toml:18: arms.1.stages.0.exampels: unknown key; allowed here: cap, ex" in line
        assert not (tmp_path / "out").exists()

    def test_an_unknown_study(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        line = refused(["run", "quikstart", "-o", "out"], monkeypatch, capsys)
        assert "no study file quikstart; give a path, or one that comes along:" in line
        assert "quickstart" in line

    def test_a_barred_intermediate_task(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        root = small_mirror(tmp_path / "mirror")
        path = study(tmp_path, STUDY.replace('task = "siqa"', 'task = "kobest_copa"'))
        line = refused(["run", str(path), "-o", "out", "--data-root", str(root)], monkeypatch, capsys)
        assert "may not come before xcopa: its training set holds" in line

    def test_a_task_without_training_rows_here(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        root = small_mirror(tmp_path / "mirror")
        there = root / "Rowan" / "hellaswag" / "default"
        there.mkdir(parents=True)
        pl.DataFrame({"ctx": ["a"], "endings": [["b", "c"]], "label": ["0"]}).write_parquet(
            there / "validation-00000-of-00001.parquet"
        )
        path = study(tmp_path, STUDY.replace('task = "siqa"', 'task = "hellaswag"'))
        line = refused(["run", str(path), "-o", "out", "--data-root", str(root)], monkeypatch, capsys)
        assert "Rowan/hellaswag" in line
        assert "train" in line


def test_a_link_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loop").symlink_to("loop")
    line = refused(["tasks", "--data-root", "loop"], monkeypatch, capsys)
    assert str(tmp_path / "loop") in line


class TestResults:
    @pytest.mark.parametrize("command", ["compare", "figures"])
    def test_an_empty_results_folder(
        self, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "empty").mkdir()
        assert "no predictions in empty; run" in refused([command, "empty"], monkeypatch, capsys)

    def test_an_unknown_baseline(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from tests.predictions import make_predictions
        from xfer_bench.results import Results

        Results(tmp_path / "results").add(make_predictions())
        line = refused(["compare", "--baseline", "nobody"], monkeypatch, capsys)
        assert "no arm named 'nobody'" in line
