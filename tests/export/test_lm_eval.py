"""The layout of lm-evaluation-harness 0.4.13, as laws: file names, fields, and numbers that follow from the samples."""

import hashlib
import json
import math
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.predictions import make_checkpoints, make_data, make_predictions
from xfer_bench import __version__
from xfer_bench.errors import ResultsError
from xfer_bench.export.lm_eval import Exported, export_lm_eval
from xfer_bench.metrics import accuracy
from xfer_bench.results import Results

TIME = datetime(2031, 2, 3, 14, 5, 6)
DATE = "2031-02-03T14-05-06.000000"
NAME = re.compile(rf"(results|samples_(?P<task>.+))_{DATE}\.jsonl?")
# What a reader may look for in a sample, by the harness's own description of its results.
SAMPLE = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
    "target_hash", "acc",
}  # fmt: skip
PAGE = {
    "results", "groups", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "config",
    "date", "task_hashes", "model_source", "model_name", "model_name_sanitized", "system_instruction",
    "system_instruction_sha", "fewshot_as_multiturn", "chat_template", "chat_template_sha",
}  # fmt: skip


def scored(predictions: pl.DataFrame) -> pl.DataFrame:
    """With scores whose highest is at the prediction."""
    at = pl.col("prediction") == 1
    return predictions.with_columns(
        scores=pl.when(at).then(pl.lit([0.1, 0.7])).otherwise(pl.lit([0.3, -1e-9])).cast(pl.List(pl.Float32))
    )


def exported(tmp_path: Path, predictions: pl.DataFrame) -> Path:
    Results(tmp_path / "results").add(predictions)
    export_lm_eval(Results(tmp_path / "results"), tmp_path / "out", time=TIME)
    return tmp_path / "out"


def page(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / f"results_{DATE}.json").read_text(encoding="utf-8"))
    return content


def samples(folder: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for path in folder.glob("samples_*"):
        match = NAME.fullmatch(path.name)
        assert match is not None
        found[match["task"]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return found


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """XCOPA in five languages and three-item clusters of XNLI, of four runs."""
    both = [make_predictions(seeds=(0,)), make_predictions(seeds=(1,), effects={"none": 0}, n_items=45)]
    both.append(make_predictions(seeds=(0,), task="xnli", items_per_cluster=3, languages=("en", "sw")))
    return exported(tmp_path_factory.mktemp("export"), scored(pl.concat(both)))


def test_each_run_is_a_folder_with_one_results_file_and_one_of_samples_per_task(place: Path) -> None:
    assert {path.name for path in place.iterdir()} == {"english-0", "mixed-0", "none-0", "none-1"}
    for folder in place.iterdir():
        assert all(NAME.fullmatch(path.name) for path in folder.iterdir())
        written = page(folder)
        assert set(written) == PAGE
        tasks = set(written["results"]) - set(written["group_subtasks"])
        per_task = ("configs", "n-samples", "task_hashes")
        assert all(tasks == set(written[part]) for part in per_task)
        assert all(set(written["results"]) == set(written[part]) for part in ("versions", "n-shot", "higher_is_better"))
        assert set(samples(folder)) == tasks


def test_tasks_have_the_harness_s_names(place: Path) -> None:
    assert set(samples(place / "english-0")) == {
        *("copa", "xcopa_et", "xcopa_sw", "xcopa_th", "xcopa_zh"),
        *("xnli_en", "xnli_sw"),
    }
    assert page(place / "english-0")["group_subtasks"] == {
        "xcopa": ["xcopa_et", "xcopa_sw", "xcopa_th", "xcopa_zh"],
        "xnli": ["xnli_en", "xnli_sw"],
    }


def test_accuracies_are_fractions_that_follow_from_the_samples(place: Path) -> None:
    scores = accuracy(Results(place.parent / "results").predictions())
    for folder in place.iterdir():
        results = page(folder)["results"]
        for task, rows in samples(folder).items():
            right = [row["acc"] for row in rows]
            language = rows[0]["doc"]["language"]
            ours = scores.filter(run=folder.name, task="xnli" if "xnli" in task else "xcopa", language=language)
            entry = results[task]
            assert entry["acc,none"] == pytest.approx(statistics.fmean(right), rel=1e-12)
            assert entry["acc,none"] == pytest.approx(ours["accuracy"][0] / 100, rel=1e-12)
            assert entry["acc_stderr,none"] == pytest.approx(statistics.stdev(right) / math.sqrt(len(right)), rel=1e-12)
            assert entry["sample_len"] == len(right)
            assert page(folder)["n-samples"][task] == {"original": len(right), "effective": len(right)}


def test_a_sample_says_what_was_answered(place: Path) -> None:
    for task, rows in samples(place / "english-0").items():
        assert [row["doc_id"] for row in rows] == list(range(60))
        for row in rows:
            assert set(row) == SAMPLE
            assert set(row["doc"]) == {"item", "cluster", "language"}
            assert (row["filter"], row["metrics"]) == ("none", ["acc"])
            scores = [float(response[0][0]) for response in row["resps"]]
            assert [one for (one,) in row["resps"]] == row["filtered_resps"]
            assert list(row["arguments"]) == [f"gen_args_{number}" for number in range(len(scores))]
            assert row["acc"] == float(scores.index(max(scores)) == int(row["target"]))
            assert scores in ([0.1, 0.7], [0.3, -1e-9])
        own = "xnli" if task.startswith("xnli") else "xcopa"
        prompt = f"{own} test {rows[7]['doc']['language']} item 0007"
        assert {one["arg_0"] for one in rows[7]["arguments"].values()} == {prompt}


def test_hashes_are_of_what_is_there(place: Path) -> None:
    written = page(place / "mixed-0")
    for task, rows in samples(place / "mixed-0").items():
        for row in rows:
            assert row["doc_hash"] == sha256(json.dumps(row["doc"], indent=2, ensure_ascii=False))
            assert row["prompt_hash"] == sha256(row["arguments"]["gen_args_0"]["arg_0"])
            assert row["target_hash"] == sha256(row["target"])
        every = "".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows)
        assert written["task_hashes"][task] == sha256(every)


def test_documents_are_the_same_for_every_run(place: Path) -> None:
    assert page(place / "mixed-0")["task_hashes"] == page(place / "english-0")["task_hashes"]


def test_groups_are_means_over_items(place: Path) -> None:
    for folder in place.iterdir():
        written = page(folder)
        rows = samples(folder)
        for group, tasks in written["group_subtasks"].items():
            entry = written["groups"][group]
            assert entry == written["results"][group]
            right = [row["acc"] for task in tasks for row in rows[task]]
            assert entry["acc,none"] == pytest.approx(statistics.fmean(right), rel=1e-12)
            assert entry["sample_len"] == entry["sample_count"]["acc,none"] == len(right)


def test_a_group_s_standard_error_is_the_harness_s(tmp_path: Path) -> None:
    # pooled_sample_stderr of lm_eval 0.4.13 for 31 right of 40 and 7 right of 20.
    one, two = make_predictions(effects={"none": 0}, seeds=(0,), languages=("et", "sw"), n_items=40).partition_by(
        "language", maintain_order=True
    )
    number = pl.int_range(pl.len())
    one = one.with_columns(prediction=pl.when(number < 31).then("label").otherwise(1 - pl.col("label")))
    two = two.head(20).with_columns(prediction=pl.when(number < 7).then("label").otherwise(1 - pl.col("label")))
    results = page(exported(tmp_path, pl.concat([one, two])) / "none-0")["results"]
    assert results["xcopa_et"]["acc_stderr,none"] == pytest.approx(0.06686668711812965, rel=1e-12)
    assert results["xcopa_sw"]["acc_stderr,none"] == pytest.approx(0.10942433098048308, rel=1e-12)
    assert results["xcopa"]["acc_stderr,none"] == pytest.approx(0.057548080847195954, rel=1e-12)
    assert results["xcopa"]["acc,none"] == pytest.approx(38 / 60)


def test_one_item_has_no_standard_error(tmp_path: Path) -> None:
    results = page(exported(tmp_path, make_predictions(n_items=1)) / "none-0")["results"]
    assert {entry["acc_stderr,none"] for entry in results.values()} == {"N/A"}


def test_the_settings_say_what_the_run_was(place: Path) -> None:
    config = page(place / "mixed-0")["config"]
    assert config["xfer_bench"] == {
        "version": __version__,
        "run": "mixed-0",
        "step": None,
        "arm": "mixed",
        "setting": "CO",
        "target": ["xcopa", "xnli"],
        "intermediate_seed": 0,
        "target_seed": 0,
        "precision": "float32",
        "weights": "mixed-0",
        "seen": ["en", "th", "zh"],
    }
    assert config["model_args"] == {"pretrained": "mixed-0", "dtype": "float32"}
    assert (config["model_sha"], config["model_dtype"]) == ("mixed-0", "float32")
    configs = page(place / "mixed-0")["configs"]
    assert configs["xnli_sw"]["metadata"]["clusters"] == 20
    assert configs["xnli_sw"]["metric_list"] == [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]
    assert page(place / "mixed-0")["date"] == TIME.timestamp()


def test_other_splits_and_variants_carry_it_in_their_names(tmp_path: Path) -> None:
    frame = make_predictions(effects={"none": 0}, seeds=(0,), languages=("en", "et"), n_items=5)
    frames = [frame, frame.with_columns(split=pl.lit("validation")), frame.with_columns(variant=pl.lit("fixed/2"))]
    folder = exported(tmp_path, pl.concat(frames)) / "none-0"
    kinds = ("", "_validation", "_fixed_2")
    assert set(samples(folder)) == {f"{name}{kind}" for name in ("copa", "xcopa_et") for kind in kinds}
    assert page(folder)["group_subtasks"] == {}
    assert "groups" not in page(folder)


def test_classes_are_named_where_the_task_is_known(tmp_path: Path) -> None:
    frame = make_predictions(effects={"none": 0}, seeds=(0,), languages=("en",), n_items=5, task="xnli").with_columns(
        scores=pl.lit([0.0, 1.0, 2.0], dtype=pl.List(pl.Float32))
    )
    unknown = frame.with_columns(task=pl.lit("mine"))
    folder = exported(tmp_path, pl.concat([frame, unknown])) / "none-0"

    def named(rows: list[dict[str, Any]]) -> list[str]:
        arguments: Mapping[str, Mapping[str, str]] = rows[0]["arguments"]
        return [one["arg_1"] for one in arguments.values()]

    assert named(samples(folder)["xnli_en"]) == ["entailment", "neutral", "contradiction"]
    assert named(samples(folder)["mine_en"]) == ["0", "1", "2"]


def test_an_item_keeps_its_number_under_a_limit(tmp_path: Path) -> None:
    frame = make_predictions(effects={"none": 0}, seeds=(0,), languages=("et", "sw"), n_items=30)
    frame = frame.with_columns(item=pl.col("item").str.to_integer().cast(pl.String))
    part = frame.filter((pl.col("language") == "et") | pl.col("item").is_in(["12", "3", "20"]))
    rows = samples(exported(tmp_path, part) / "none-0")
    assert [row["doc_id"] for row in rows["xcopa_et"]] == list(range(30))
    assert [(row["doc_id"], row["doc"]["item"]) for row in rows["xcopa_sw"]] == [(3, "3"), (12, "12"), (20, "20")]


@pytest.mark.parametrize("items", [["a", "c", "b"], ["1", "01", "2"], ["-1", "0", "1"], ["1.5", "2", "9" * 30]])
def test_items_without_numbers_are_counted(tmp_path: Path, items: list[str]) -> None:
    frame = make_predictions(effects={"none": 0}, seeds=(0,), languages=("et",), n_items=3)
    rows = samples(exported(tmp_path, frame.with_columns(item=pl.Series(items))) / "none-0")["xcopa_et"]
    assert [(row["doc_id"], row["doc"]["item"]) for row in rows] == list(enumerate(sorted(items)))


def test_odd_names_stay_inside_and_apart(tmp_path: Path) -> None:
    runs = ["..", ".", "../../up", "a/b", "a:b", "a__b", "[x]", "a\nb", "ä", "x" * 400, "~", "owner/name", ""]
    frame = make_predictions(effects={"none": 0}, seeds=(0,), languages=("et",), n_items=3)
    out = exported(tmp_path, pl.concat([frame.with_columns(run=pl.lit(run)) for run in runs]))
    assert {path.name for path in tmp_path.iterdir()} == {"results", "out"}
    assert {page(folder)["model_name"] for folder in out.iterdir()} == set(runs)
    assert all(page(folder)["model_name_sanitized"] == folder.name for folder in out.iterdir())
    assert {"owner__name", "a__b", "__x__"} <= {folder.name for folder in out.iterdir()}


def test_steps_of_one_run_are_models(tmp_path: Path) -> None:
    frame = make_predictions(effects={"none": 0}, seeds=(0,), languages=("et",), n_items=3)
    out = exported(tmp_path, pl.concat([frame.with_columns(step=pl.lit(step, dtype=pl.Int64)) for step in (10, 20)]))
    assert {folder.name for folder in out.iterdir()} == {"none-0@10", "none-0@20"}
    assert page(out / "none-0@20")["config"]["xfer_bench"]["step"] == 20


def test_it_says_what_it_wrote(tmp_path: Path) -> None:
    Results(tmp_path / "results").add(make_predictions())
    done = export_lm_eval(Results(tmp_path / "results"), tmp_path / "out", time=TIME)
    assert done == Exported(models=6, samples=make_predictions().height)


class TestRefused:
    def test_an_output_that_is_there(self, place: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
        with pytest.raises(ResultsError, match="out is there already"):
            export_lm_eval(Results(place.parent / "results"), place, time=TIME)
        assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before

    @pytest.mark.parametrize("column", ["label", "prediction", "cluster", "item"])
    def test_an_answer_that_is_missing(self, tmp_path: Path, column: str) -> None:
        frame = make_predictions(n_items=3)
        with pytest.raises(ResultsError, match=f"has no {column} in a row of xcopa"):
            exported(tmp_path, frame.with_columns(pl.lit(None, dtype=frame.schema[column]).alias(column)))
        assert {path.name for path in tmp_path.iterdir()} == {"results"}

    def test_an_item_twice(self, tmp_path: Path) -> None:
        frame = make_predictions(n_items=3)
        with pytest.raises(ResultsError, match="has an item of copa more than once"):
            exported(tmp_path, pl.concat([frame, frame]))
        assert {path.name for path in tmp_path.iterdir()} == {"results"}

    def test_two_tasks_of_one_name(self, tmp_path: Path) -> None:
        frame = make_predictions(n_items=3, languages=("et",), effects={"none": 0})
        with pytest.raises(ResultsError, match="two tasks of run 'none-0' would both be named 'a_b_et'"):
            exported(tmp_path, pl.concat([frame.with_columns(task=pl.lit(task)) for task in ("a/b", "a:b")]))

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        results = Results(tmp_path / "results")
        results.add(make_predictions())
        last = results.files()[-1]
        last.write_bytes(last.read_bytes()[:-50])
        with pytest.raises(ResultsError, match=f"{last.name} is damaged"):
            export_lm_eval(results, tmp_path / "out", time=TIME)
        assert {path.name for path in tmp_path.iterdir()} == {"results"}


def test_exporting_needs_no_model_library() -> None:
    program = (
        "import sys; import xfer_bench.export.lm_eval, xfer_bench.export.rows, xfer_bench.merge;"
        "print(*{'torch', 'transformers', 'datasets', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_what_stands_behind_the_numbers_goes_along(tmp_path: Path) -> None:
    predictions = scored(make_predictions(seeds=(0,), effects={"none": 0.0}, n_items=9))
    results = Results(tmp_path / "results")
    results.add(predictions, data=make_data(predictions.filter(language="th")))
    results.add_checkpoints(make_checkpoints(predictions))
    export_lm_eval(results, tmp_path / "out", time=TIME)
    told = page(tmp_path / "out" / "none-0")
    thai, chinese = (told["configs"][f"xcopa_{language}"] for language in ("th", "zh"))
    assert thai["dataset_path"] == "some/rows"
    assert {name: thai["metadata"][name] for name in ("repository", "revision", "rows", "license")} == {
        "repository": "some/rows", "revision": "0" * 40, "rows": 9, "license": "CC BY 4.0",
    }  # fmt: skip
    assert thai["metadata"]["fingerprint"].startswith("tha")
    assert "dataset_path" not in chinese
    assert "fingerprint" not in chinese["metadata"]
    assert told["config"]["xfer_bench"]["model"] == "starter"
    assert told["config"]["xfer_bench"]["lineage"] == {"key": "k"}
