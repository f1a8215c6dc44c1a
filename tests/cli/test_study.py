"""`run` and `train` with stages that fail: everything else is done and compared, and then the exit code says so."""

from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.small_study import STUDY, small_mirror, small_model
from xfer_bench.pipeline import Place, prepare
from xfer_bench.sources.source import Sources
from xfer_bench.study import Study
from xfer_bench.training.outcomes import failure_of, record_failure

# Such a decay makes infinities of weights at its second step.
HOPELESS = "recipe = { weight_decay = 1e30 }"
DIVERGING = f"""[[arms]]
name = "diverges"
stages = [{{ task = "siqa", examples = 40, {HOPELESS} }}]
[[targets]]"""
ONE_SEED = ("--set", "seeds.target=[0]", "--set", "seeds.intermediate=[0]")
REASON = "the weights are no longer numbers; lower the learning rate"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    small_mirror(folder / "mirror")
    text = STUDY.format(model=small_model(folder / "model")).replace("[[targets]]", DIVERGING)
    (folder / "study.toml").write_text(text)
    (folder / "hopeless.toml").write_text(text.replace('setting = "CO"', f'setting = "CO"\n{HOPELESS}'))
    return folder


@pytest.fixture
def shell(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.setenv("XFER_BENCH_STORE", str(root / "store"))
    monkeypatch.setenv("XFER_BENCH_DATA", str(root / "mirror"))
    monkeypatch.chdir(root)
    return Shell(root, monkeypatch, capsys)


def test_the_runs_that_are_left_are_compared_and_then_the_failures_are_told(shell: Shell) -> None:
    arguments = ("study.toml", "-o", "out", *ONE_SEED)
    code, out, err = shell.run("run", *arguments)
    assert code == 1
    assert "siqa" in out
    assert "figures in out/figures" in out
    *_, failed, lost, end = err.splitlines()
    key = failed.split()[1]
    assert failed == f"failed {key} intermediate siqa, seed 0: {REASON}"
    assert lost.startswith("lost diverges.xcopa.CO.i0.t0-")
    assert lost.endswith(f": it needs {key}")
    assert end == "error: 1 stage failed, which costs 1 of 3 runs; all else is done; --retry-failed tries again"
    said = shell.said("status", "out")
    assert f"failed {key}: {REASON}" in said
    assert "3 runs: 2 trained, 2 scored in every language" in said
    # The second time nothing is tried; the third time it is, and fails again.
    assert shell.refused("train", *arguments) == end
    code, out, err = shell.run("train", *arguments)
    assert (code, out) == (1, "2 runs trained; checkpoints in out/checkpoints\n")
    assert err.splitlines()[-3] == f"failed {key} intermediate siqa, seed 0 (earlier; not tried again): {REASON}"
    _, _, err = shell.run("train", *arguments, "--retry-failed")
    assert err.splitlines()[-3] == failed


def test_runs_whose_baseline_failed_are_scored_and_not_compared(shell: Shell) -> None:
    file, place = shell.folder / "study.toml", Place(out=shell.folder / "lame")
    study = Study.from_toml(file, changes=[change for change in ONE_SEED if change != "--set"])
    prepared = prepare(study, sources=Sources(data_root=shell.folder / "mirror"))
    for run in prepared.plan.runs:
        if run.arm in {"none", "diverges"}:
            stage = run.stages[0]
            record_failure(place.store.work(stage.key), failure_of(stage, "it was too hot", resumes=False))
    code, _, err = shell.run("run", "study.toml", "-o", "lame", *ONE_SEED)
    assert code == 1
    lines = [line for line in err.splitlines() if not line.startswith(("training ", "evaluation "))]
    assert lines[-6].startswith("not compared: ")
    assert "no arm without an intermediate stage" in lines[-6]
    assert [line.split()[0] for line in lines[-5:]] == ["failed", "failed", "lost", "lost", "error:"]
    assert lines[-1] == "error: 2 stages failed, which costs 2 of 3 runs; all else is done; --retry-failed tries again"
    assert set(place.results.predictions()["arm"]) == {"siqa"}


def test_a_study_of_which_nothing_is_left_says_just_that(shell: Shell) -> None:
    code, out, err = shell.run("run", "hopeless.toml", "-o", "hopeless", *ONE_SEED)
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: 3 stages failed, which costs 3 of 3 runs; all else is done")


@pytest.mark.parametrize("jobs", ["0", "-1", "two", "1.5", "", "9" * 5000])
def test_another_number_of_jobs_is_one_line(shell: Shell, jobs: str) -> None:
    said = shell.refused("train", "study.toml", "-o", "out", "--jobs", jobs)
    assert said == f"error: --jobs {jobs}: give a number from 1 on, or auto"
