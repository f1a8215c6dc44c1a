"""A request is resolved before anything is scored, and what is stored is never scored again."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from tests.evaluation.small_checkpoints import ALL, MIXED, XNLI_LANGUAGES, choosing, classifying, rows
from tests.toy import tiny_checkpoint
from xfer_bench.errors import CheckpointError, TaskError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.discovery import discover
from xfer_bench.evaluation.request import Ask, Request, limited, request, score
from xfer_bench.pipeline import evaluate
from xfer_bench.progress import Progress, Update, silent
from xfer_bench.results import Results
from xfer_bench.sources.source import Sources

XCOPA = Ask(tasks=("xcopa",), languages=("et", "zh", "en"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror, and checkpoints that choose, that classify and that have no head."""
    root = tmp_path_factory.mktemp("place")
    rows(root / "mirror")
    choosing(root / "choosing")
    classifying(root / "classifying")
    tiny_checkpoint(root / "encoder", ["abc"])
    return root


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PredictionStore]:
    with PredictionStore(tmp_path / "store") as opened:
        yield opened


def resolved(place: Path, store: PredictionStore, ask: Ask, *names: str) -> Request:
    found = discover(str(place / name) for name in names or ("choosing",))
    return request(found, ask, tasks=ALL, sources=Sources(data_root=place / "mirror"), store=store)


def scored(asked: Request, store: PredictionStore) -> tuple[pl.DataFrame, list[str]]:
    """The predictions, and what was computed for them."""
    pieces: list[str] = []
    frame = pl.concat(score(asked, store, lambda update: pieces.append(update.piece)))
    return frame, list(dict.fromkeys(pieces))


def test_a_second_request_computes_nothing(place: Path, store: PredictionStore) -> None:
    first, computed = scored(resolved(place, store, XCOPA), store)
    assert computed == [f"xcopa {language} (choosing)" for language in ("et", "zh", "en")]
    again = resolved(place, store, XCOPA)
    assert again.missing(store) == ()
    second, computed = scored(again, store)
    assert computed == []
    assert second.equals(first)
    assert first.group_by("language").len()["len"].to_list() == [20, 20, 20]


def test_only_what_is_new_is_computed(place: Path, store: PredictionStore, tmp_path: Path) -> None:
    scored(resolved(place, store, XCOPA), store)
    more = Ask(tasks=("xcopa",), languages=("et", "tr"))
    assert scored(resolved(place, store, more), store)[1] == ["xcopa tr (choosing)"]
    other = Ask(tasks=("xcopa",), languages=("et",), precision="bf16")
    assert len(resolved(place, store, other).missing(store)) == 1
    # How the batches are cut decides nothing.
    assert resolved(place, store, Ask(tasks=("xcopa",), languages=("et",), batch_tokens=64)).missing(store) == ()


def test_two_runs_with_equal_weights_share_their_blocks(place: Path, store: PredictionStore, tmp_path: Path) -> None:
    twin = shutil.copytree(place / "choosing", tmp_path / "twin")
    config = json.loads((twin / "config.json").read_text())
    (twin / "config.json").write_text(json.dumps({**config, "transformers_version": "0"}))
    asked = resolved(place, store, XCOPA, "choosing", str(twin))
    frame, computed = scored(asked, store)
    assert computed == [f"xcopa {language} (choosing)" for language in ("et", "zh", "en")]
    assert frame["run"].n_unique() == 2
    assert frame["weights"].n_unique() == 1


def test_a_copy_under_the_same_name_is_left_out(place: Path, store: PredictionStore, tmp_path: Path) -> None:
    copy = shutil.copytree(place / "choosing", tmp_path / "choosing")
    asked = resolved(place, store, XCOPA, "choosing", str(copy))
    assert len(asked.cells) == 3
    (reason,) = asked.skipped
    assert reason.startswith(f"{copy}: {place / 'choosing'} has the same run choosing-")


def test_changed_weights_under_the_same_path_are_noticed(place: Path, store: PredictionStore, tmp_path: Path) -> None:
    folder = shutil.copytree(place / "choosing", tmp_path / "changing")
    before, _ = scored(resolved(place, store, XCOPA, str(folder)), store)
    file = folder / "model.safetensors"
    stamp = file.stat()
    weights = load_file(file)
    weights["classifier.weight"] *= -1
    save_file(weights, file, metadata={"format": "pt"})
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert file.stat().st_size == stamp.st_size
    after, computed = scored(resolved(place, store, XCOPA, str(folder)), store)
    assert len(computed) == 3
    assert not after["scores"].equals(before["scores"])


def test_changed_rows_are_noticed(place: Path, store: PredictionStore, tmp_path: Path) -> None:
    mirror = shutil.copytree(place / "mirror", tmp_path / "mirror")
    shutil.copytree(place / "choosing", tmp_path / "choosing")
    scored(resolved(tmp_path, store, XCOPA), store)
    file = mirror / "cambridgeltl" / "xcopa" / "et" / "test-00000-of-00001.parquet"
    pl.read_parquet(file).with_columns(pl.col("premise") + " again").write_parquet(file)
    assert scored(resolved(tmp_path, store, XCOPA), store)[1] == ["xcopa et (choosing)"]


def test_what_does_not_fit_is_left_out_with_its_reason(place: Path, store: PredictionStore) -> None:
    asked = resolved(place, store, XCOPA, "choosing", "classifying", "encoder")
    assert {cell.checkpoint.name for cell in asked.cells} == {str(place / "choosing")}
    assert asked.skipped == (
        f"{place / 'classifying'}: its sequence_classification head does not fit xcopa",
        f"{place / 'encoder'}: its architecture BertModel has no head that a task here is scored with",
    )


def test_without_tasks_every_target_at_hand_that_fits_is_scored(place: Path, store: PredictionStore) -> None:
    asked = resolved(place, store, Ask(), "choosing", "classifying")
    cells = {(Path(cell.checkpoint.name).name, cell.task.name, cell.language) for cell in asked.cells}
    assert {cell[:2] for cell in cells} == {("choosing", "xcopa"), ("classifying", "xnli")}
    assert {language for _, task, language in cells if task == "xnli"} == set(XNLI_LANGUAGES)
    # Twelve of XNLI's languages are not in the mirror.
    assert len([reason for reason in asked.skipped if reason.startswith("xnli in ")]) == 12


def test_a_language_that_a_target_lacks_leaves_it_out(place: Path, store: PredictionStore) -> None:
    asked = resolved(place, store, Ask(languages=("qu",)), "choosing", "classifying")
    assert [(cell.task.name, cell.language) for cell in asked.cells] == [("xcopa", "qu")]
    assert "xnli is in none of the languages asked for" in asked.skipped


def test_a_trimmed_vocabulary_scores_only_what_it_was_made_for(
    place: Path, store: PredictionStore, tmp_path: Path
) -> None:
    folder = shutil.copytree(place / "choosing", tmp_path / "trimmed")
    sources = Sources(data_root=place / "mirror")
    covered = sources.rows(ALL["xcopa"], language="et", split="test").fingerprint
    (folder / "vocabulary.json").write_text(json.dumps({"covers": [covered]}))
    found = discover([str(folder)])
    asked = request(found, XCOPA, tasks=ALL, sources=sources, store=store)
    assert [cell.language for cell in asked.cells] == ["et"]
    assert asked.skipped == (f"{folder}: its vocabulary was trimmed to other texts than xcopa test in zh, en",)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (Ask(tasks=("xcopas",)), "no task named 'xcopas'"),
        (Ask(tasks=("xcopa",), languages=("et", "de")), "no language 'de' in xcopa; there are et, ht, id"),
        (Ask(languages=("xx",)), "no language 'xx' in any target; there are ar, bg"),
        (Ask(tasks=("xcopa", "siqa")), "siqa has no split 'test'; it has train, validation"),
        (Ask(split="train"), "no target has a split 'train'"),
    ],
)
def test_what_does_not_exist_is_said_on_one_line(place: Path, store: PredictionStore, ask: Ask, says: str) -> None:
    with pytest.raises(TaskError, match=says) as caught:
        resolved(place, store, ask)
    assert "\n" not in str(caught.value)


def test_labels_that_mean_something_else_are_refused(place: Path, store: PredictionStore, tmp_path: Path) -> None:
    odd = classifying(tmp_path / "odd", id2label={0: "yes", 1: "no", 2: "maybe"})
    with pytest.raises(
        CheckpointError, match=r"odd: the head's labels are \{0=yes, 1=no, 2=maybe\}; the task's are \{"
    ):
        resolved(place, store, Ask(tasks=("xnli",), languages=("en",)), str(odd))


def test_a_limit_keeps_whole_clusters(place: Path, store: PredictionStore) -> None:
    asked = resolved(place, store, Ask(tasks=("xnli",), languages=("en", "sw"), limit=4), "classifying")
    for cell in asked.cells:
        assert cell.items["item"].to_list() == ["0", "1", "2", "3", "4", "5"]
        assert cell.items["cluster"].n_unique() == 2
    items = asked.cells[0].items
    assert limited(items, 3).height == 3
    assert limited(items, 100).equals(items)
    assert limited(items, None).equals(items)


def test_a_task_named_twice_is_scored_once(place: Path, store: PredictionStore) -> None:
    asked = resolved(place, store, Ask(tasks=("mixed", "mixed"), languages=("sw", "sw")))
    assert [(cell.task, cell.language) for cell in asked.cells] == [(MIXED, "sw")]


def run(place: Path, folder: Path, progress: Progress = silent) -> pl.DataFrame:
    with PredictionStore(folder / "store") as store:
        return evaluate(
            discover([str(place / "choosing")]),
            Ask(tasks=("xcopa",)),
            sources=Sources(data_root=place / "mirror"),
            tasks=ALL,
            store=store,
            results=Results(folder / "results"),
            progress=progress,
        )[0]


def stored(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (folder / "store" / "blocks").rglob("[!.]*.parquet")}


def run_until_a_block_is_stored(place: Path, folder: Path) -> None:
    def hang(update: Update) -> None:
        if stored(folder):
            time.sleep(600)

    run(place, folder, hang)


def test_a_killed_evaluation_goes_on_where_it_was(place: Path, tmp_path: Path) -> None:
    whole = run(place, tmp_path / "whole")
    killed = tmp_path / "killed"
    # Not forked: neither torch's threads nor polars' survive that.
    process = get_context("spawn").Process(target=run_until_a_block_is_stored, args=(place, killed))
    process.start()
    while process.is_alive() and not stored(killed):
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    finished = stored(killed)
    assert len(finished) == 1
    pieces: set[str] = set()
    again = run(place, killed, lambda update: pieces.add(update.piece))
    assert len(pieces) == 11
    assert again.equals(whole)
    assert finished.items() <= stored(killed).items()
    assert Results(killed / "results").predictions().equals(Results(tmp_path / "whole" / "results").predictions())
