"""A request is resolved before anything is scored: what it holds, what is missing, what does not fit and why."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evaluation.small_checkpoints import ALL, MIXED, XNLI_LANGUAGES, classifying, small_place
from xfer_bench.errors import CheckpointError, SourceError, TaskError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.discovery import discover
from xfer_bench.evaluation.request import Ask, Request, request
from xfer_bench.progress import Update
from xfer_bench.sources.source import Sources

PUBLISHED = ("published",)  # Both variants are asked for in test_variants.py.
XCOPA = Ask(tasks=("xcopa",), languages=("et", "zh", "en"), variants=PUBLISHED)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_place(tmp_path_factory.mktemp("place"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PredictionStore]:
    with PredictionStore(tmp_path / "store") as opened:
        yield opened


def resolved(place: Path, store: PredictionStore, ask: Ask, *names: str) -> Request:
    found = discover(str(place / name) for name in names or ("choosing",))
    return request(found, ask, tasks=ALL, sources=Sources(data_root=place / "mirror"), store=store)


def languages(asked: Request) -> list[str]:
    return [cell.column.language for cell in asked.cells]


def test_nothing_is_cached_at_first(place: Path, store: PredictionStore) -> None:
    asked = resolved(place, store, XCOPA)
    assert [(cell.column.language, cell.missing, cell.sequences) for cell in asked.cells] == [
        (language, 20, 40) for language in ("et", "zh", "en")
    ]
    assert asked.missing == asked.cells
    assert asked.by_scorer() == [asked.cells]
    assert (asked.skipped, asked.failed) == ((), ())
    assert {cell.precision for cell in asked.cells} == {"fp32"}


def test_planning_is_told_checkpoint_by_checkpoint(place: Path, store: PredictionStore) -> None:
    told: list[Update] = []
    found = discover(str(place / name) for name in ("choosing", "encoder"))
    sources = Sources(data_root=place / "mirror")
    request(found, XCOPA, tasks=ALL, sources=sources, store=store, progress=told.append)
    assert [(one.whole, one.finished, one.pieces, one.piece) for one in told] == [
        ("planning", 0, 2, "choosing"),
        ("planning", 1, 2, "encoder"),
    ]


def test_a_request_without_checkpoints_is_empty(place: Path, store: PredictionStore) -> None:
    asked = request([], XCOPA, tasks=ALL, sources=Sources(data_root=place / "mirror"), store=store)
    assert (asked.cells, asked.missing, asked.by_scorer()) == ((), (), [])


def test_cells_that_equal_weights_share_are_missing_once(place: Path, store: PredictionStore, tmp_path: Path) -> None:
    twin = shutil.copytree(place / "choosing", tmp_path / "twin")
    config = json.loads((twin / "config.json").read_text())
    (twin / "config.json").write_text(json.dumps({**config, "transformers_version": "0"}))
    asked = resolved(place, store, XCOPA, "choosing", str(twin))
    assert len(asked.cells) == 6
    assert {cell.checkpoint.name for cell in asked.missing} == {str(place / "choosing")}
    assert len({cell.scorer for cell in asked.cells}) == 1
    assert [len(cells) for cells in asked.by_scorer()] == [3, 3]


def test_a_copy_under_the_same_name_is_left_out(place: Path, store: PredictionStore, tmp_path: Path) -> None:
    copy = shutil.copytree(place / "choosing", tmp_path / "choosing")
    asked = resolved(place, store, XCOPA, "choosing", str(copy))
    assert len(asked.cells) == 3
    (reason,) = asked.skipped
    assert reason.startswith(f"{copy}: {place / 'choosing'} has the same run choosing-")


def test_precision_decides_the_scorer_and_nothing_else_does(place: Path, store: PredictionStore) -> None:
    ask = Ask(tasks=("xcopa",), languages=("et",))
    scorers = {
        name: {cell.scorer for cell in resolved(place, store, asked).cells}
        for name, asked in {
            "auto": ask,
            "fp32": Ask(tasks=("xcopa",), languages=("et",), precision="fp32"),
            "bf16": Ask(tasks=("xcopa",), languages=("et",), precision="bf16"),
            "limit": Ask(tasks=("xcopa",), languages=("et",), limit=3),
            "all": Ask(tasks=("xcopa", "mixed")),
        }.items()
    }
    assert all(len(found) == 1 for found in scorers.values())
    assert scorers["auto"] == scorers["fp32"] == scorers["limit"] == scorers["all"] != scorers["bf16"]


def test_what_does_not_fit_is_left_out_with_its_reason(place: Path, store: PredictionStore) -> None:
    asked = resolved(place, store, XCOPA, "choosing", "classifying", "encoder")
    assert {cell.checkpoint.name for cell in asked.cells} == {str(place / "choosing")}
    assert len(asked.skipped) == 2
    assert asked.skipped[0] == f"{place / 'classifying'}: its sequence_classification head does not fit xcopa"
    assert asked.skipped[1].startswith(f"{place / 'encoder'}: its architecture BertModel has no head")


def test_without_tasks_every_target_at_hand_that_fits_is_scored(place: Path, store: PredictionStore) -> None:
    asked = resolved(place, store, Ask(), "choosing", "classifying")
    cells = {(Path(one.checkpoint.name).name, one.column.task.name, one.column.language) for one in asked.cells}
    assert {cell[:2] for cell in cells} == {("choosing", "xcopa"), ("classifying", "xnli")}
    assert {language for _, task, language in cells if task == "xnli"} == set(XNLI_LANGUAGES)
    # Twelve of XNLI's languages are not in the mirror.
    assert len([reason for reason in asked.skipped if reason.startswith("xnli in ")]) == 12


def test_a_language_that_a_target_lacks_leaves_it_out(place: Path, store: PredictionStore) -> None:
    asked = resolved(place, store, Ask(languages=("qu",), variants=PUBLISHED), "choosing", "classifying")
    assert [(one.column.task.name, one.column.language) for one in asked.cells] == [("xcopa", "qu")]
    assert "xnli is in none of the languages asked for" in asked.skipped


def test_rows_that_were_asked_for_by_name_and_cannot_be_had_are_an_error(place: Path, store: PredictionStore) -> None:
    with pytest.raises(SourceError, match=r"facebook/xnli \(fr\)"):
        resolved(place, store, Ask(tasks=("xnli",), languages=("en", "fr")), "classifying")


def test_a_trimmed_vocabulary_scores_only_what_it_was_made_for(
    place: Path, store: PredictionStore, tmp_path: Path
) -> None:
    folder = shutil.copytree(place / "choosing", tmp_path / "trimmed")
    sources = Sources(data_root=place / "mirror")
    covered = sources.rows(ALL["xcopa"], language="et", split="test").fingerprint
    (folder / "vocabulary.json").write_text(json.dumps({"covers": [covered]}))
    found = discover([str(folder)])
    for ask in (XCOPA, replace(XCOPA, limit=3)):
        asked = request(found, ask, tasks=ALL, sources=sources, store=store)
        assert languages(asked) == ["et"]
        assert asked.skipped == (f"{folder}: its vocabulary was trimmed to other texts than xcopa test in zh, en",)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (Ask(tasks=("xcopas",)), "no task named 'xcopas'"),
        (Ask(tasks=("xcopa",), languages=("et", "de")), "no language 'de' in xcopa; there are et, ht, id"),
        (Ask(languages=("xx",)), "no language 'xx' in any target; there are ar, bg"),
        (Ask(tasks=("xcopa", "siqa")), "siqa has no split 'test'; it has train, validation"),
        (Ask(split="train"), "no target has a split 'train'"),
        (Ask(limit=0), "a limit of 0 items; it must be 1 or more"),
        (Ask(limit=-5), "a limit of -5 items"),
    ],
)
def test_what_does_not_exist_is_said_on_one_line(place: Path, store: PredictionStore, ask: Ask, says: str) -> None:
    with pytest.raises(TaskError, match=says) as caught:
        resolved(place, store, ask)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_cannot_be_scored_fails_and_the_others_go_on(
    place: Path, store: PredictionStore, tmp_path: Path
) -> None:
    odd = classifying(tmp_path / "odd", id2label={0: "yes", 1: "no", 2: "maybe"})
    cut = Path(shutil.copytree(place / "classifying", tmp_path / "cut"))
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:-9])
    ask = Ask(tasks=("xnli",), languages=("en",))
    asked = resolved(place, store, ask, str(odd), str(cut), "classifying")
    assert [cell.checkpoint.name for cell in asked.cells] == [str(place / "classifying")]
    labels, damaged = asked.failed
    assert labels.startswith(f"{odd}: the head's labels are {{0=yes, 1=no, 2=maybe}}; the task's are {{")
    assert damaged.startswith(f"{cut}/model.safetensors: damaged safetensors")


class TestStrict:
    @pytest.mark.parametrize(
        ("ask", "names", "kind", "says"),
        [
            (Ask(strict=True), ("encoder",), CheckpointError, "has no head"),
            (Ask(tasks=("xcopa",), strict=True), ("choosing", "classifying"), CheckpointError, "does not fit xcopa"),
            (Ask(languages=("qu",), strict=True), ("classifying",), TaskError, "none of the languages asked for"),
            (Ask(strict=True), ("classifying",), SourceError, "xnli in ar is unavailable"),
        ],
    )
    def test_what_would_be_skipped_is_an_error(
        self, place: Path, store: PredictionStore, ask: Ask, names: tuple[str, ...], kind: type[Exception], says: str
    ) -> None:
        with pytest.raises(kind, match=says) as caught:
            resolved(place, store, ask, *names)
        assert "\n" not in str(caught.value)

    def test_so_is_a_copy(self, place: Path, store: PredictionStore, tmp_path: Path) -> None:
        copy = shutil.copytree(place / "choosing", tmp_path / "choosing")
        ask = Ask(tasks=("xcopa",), languages=("et",), strict=True)
        with pytest.raises(CheckpointError, match="has the same run"):
            resolved(place, store, ask, "choosing", str(copy))

    def test_so_is_a_checkpoint_that_fails(self, place: Path, store: PredictionStore, tmp_path: Path) -> None:
        odd = classifying(tmp_path / "odd", id2label={0: "yes", 1: "no", 2: "maybe"})
        with pytest.raises(CheckpointError, match="odd: the head's labels"):
            resolved(place, store, Ask(tasks=("xnli",), languages=("en",), strict=True), str(odd))

    def test_what_fits_is_no_error(self, place: Path, store: PredictionStore) -> None:
        ask = Ask(tasks=("xcopa",), languages=("et", "en"), variants=PUBLISHED, strict=True)
        assert languages(resolved(place, store, ask)) == ["et", "en"]


def test_a_limit_keeps_whole_clusters(place: Path, store: PredictionStore) -> None:
    asked = resolved(place, store, Ask(tasks=("xnli",), languages=("en", "sw"), limit=4), "classifying")
    assert [(cell.column.items, cell.missing) for cell in asked.cells] == [(6, 6), (6, 6)]


def test_a_task_named_twice_is_scored_once(place: Path, store: PredictionStore) -> None:
    asked = resolved(place, store, Ask(tasks=("mixed", "mixed"), languages=("sw", "sw")))
    assert [(cell.column.task, cell.column.language) for cell in asked.cells] == [(MIXED, "sw")]
