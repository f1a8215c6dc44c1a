from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.audit.sheets import copa_rows, copa_task
from tests.sources.small_mirror import HAS_REAL_MIRROR, REAL_MIRROR, nli_task, pairs, write
from xfer_bench.audit.audit import Request, audit
from xfer_bench.audit.findings import Finding, Size, exit_code, worst
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS, Task

TARGET = copa_task(
    name="target",
    languages=("en", "de"),
    splits=("validation", "test"),
    settings=MappingProxyType({"CO": ("training",)}),
)


def training(name: str = "training", **fields: Any) -> Task:
    made = copa_task(name=name, splits=("train",), **fields)
    return replace(made, parts=tuple(replace(part, repository="some/training") for part in made.parts))


def mirror(root: Path, *, train: dict[str, list[Any]] | None = None) -> Sources:
    files = {
        f"{language}/{split}.parquet": copa_rows(20, language=f"{language} {split}")
        for language in ("en", "de")
        for split in ("validation", "test")
    }
    write(root, "some/choices", files)
    write(root, "some/training", {"en/train.parquet": train or copa_rows(20, language="en train")})
    return Sources(data_root=root)


def findings(sources: Sources, *names: str, tasks: dict[str, Task] | None = None) -> list[Finding]:
    known = tasks or {"target": TARGET, "training": training()}
    return checked(audit(Request(names=names), tasks=known, sources=sources))


def checked(entries: Iterable[Size | Finding]) -> list[Finding]:
    """All findings but those about pins: of invented rows none are pinned."""
    return [one for one in entries if isinstance(one, Finding) and one.check != "pins"]


def test_sound_rows_give_sizes_and_nothing_graver_than_a_note(tmp_path: Path) -> None:
    known = {"target": TARGET, "training": training()}
    entries = [*audit(Request(names=("target", "training")), tasks=known, sources=mirror(tmp_path))]
    sizes = [entry for entry in entries if isinstance(entry, Size)]
    assert [(one.task, one.split, one.language) for one in sizes] == [
        ("target", "validation", "en"),
        ("target", "validation", "de"),
        ("target", "test", "en"),
        ("target", "test", "de"),
        ("training", "train", "en"),
    ]
    assert {(one.rows, one.unusable, one.repeated, one.shares) for one in sizes} == {(20, 0, 0, (0.5, 0.5))}
    assert checked(entries) == []
    # Nobody has pinned what was invented.
    assert worst(entry for entry in entries if isinstance(entry, Finding)) == "note"


def test_training_rows_that_are_a_target_s_items_are_an_error_also_when_only_the_training_set_is_asked_for(
    tmp_path: Path,
) -> None:
    rows = copa_rows(20, language="en train")
    test = copa_rows(20, language="en test")
    for name in ("premise", "choice1", "choice2", "question", "label"):
        rows[name][3] = test[name][5]
    sources = mirror(tmp_path, train=rows)
    (found,) = findings(sources, "training")
    assert (found.grade, found.check, found.items) == ("error", "overlap", ("3=5",))
    assert found.message == "1 of 20 rows equal to target test rows"
    assert "en test premise" in found.example


def test_what_is_barred_already_is_a_note(tmp_path: Path) -> None:
    sources = mirror(tmp_path, train=copa_rows(20, language="en test"))
    barred = training(barred=MappingProxyType({"target": "it is the test set"}))
    (found,) = findings(sources, "training", tasks={"target": TARGET, "training": barred})
    assert found.grade == "note"
    assert found.message.endswith("(barred before it: it is the test set)")


def test_validation_rows_that_are_test_rows_are_a_warning(tmp_path: Path) -> None:
    sources = mirror(tmp_path)
    write(tmp_path, "some/choices", {"de/validation.parquet": copa_rows(20, language="de test")})
    assert {(one.grade, one.check, one.language) for one in findings(sources, "target")} == {
        ("warning", "overlap", "de")
    }


def test_a_split_that_is_not_here_is_a_note_and_a_damaged_one_an_error(tmp_path: Path) -> None:
    sources = mirror(tmp_path)
    (tmp_path / "some/choices/de/test.parquet").unlink()
    (tmp_path / "some/training/en/train.parquet").write_bytes(b"PAR1 and no more")
    found = findings(sources, "target", "training")
    assert [(one.grade, one.check, one.task, one.language) for one in found] == [
        ("note", "reading", "target", "de"),
        ("error", "reading", "training", "en"),
    ]


def test_nothing_is_fetched_unless_asked(tmp_path: Path) -> None:
    (found,) = findings(Sources(data_root=tmp_path), "training")
    assert (found.grade, found.message) == ("note", "not read: it is not on this machine")


def test_neighbours_are_looked_for_in_other_languages_only(tmp_path: Path) -> None:
    import numpy as np

    asked: list[int] = []

    def vectors(texts: Any) -> Any:
        asked.append(len(texts))
        return np.eye(max(len(texts), 20), dtype=np.float32)[: len(texts)]

    korean = training(languages=("ko",))
    sources = mirror(tmp_path)
    write(tmp_path, "some/training", {"ko/train.parquet": copa_rows(10, language="ko")})
    known = {"target": TARGET, "training": korean}
    request = Request(names=("training",), vectors=vectors)
    found = [one for one in audit(request, tasks=known, sources=sources) if isinstance(one, Finding)]
    near = [one for one in found if one.check == "neighbours"]
    # English test and validation, each against the Korean rows, whose vectors are made once.
    assert [len(one.items) for one in near] == [10, 10]
    assert asked == [10, 20, 20]
    english = {"target": TARGET, "training": training()}
    assert not [
        one
        for one in audit(Request(names=("training",), vectors=vectors), tasks=english, sources=sources)
        if isinstance(one, Finding) and one.check == "neighbours"
    ]


def test_tokens_that_are_cut_are_in_the_sizes(tmp_path: Path) -> None:
    from tests.toy import tiny_tokenizer
    from xfer_bench.models.token_counts import TokenCounts

    tiny_tokenizer(["premise end"]).save_pretrained(tmp_path / "tokenizer")
    counter = TokenCounts.of(tmp_path / "tokenizer", name="tiny")
    request = Request(names=("training",), counters=(counter,), max_length=8)
    entries = [*audit(request, tasks={"training": training()}, sources=mirror(tmp_path))]
    (size,) = (entry for entry in entries if isinstance(entry, Size))
    assert size.truncated == {"tiny": 1.0}
    assert [one.check for one in checked(entries)] == ["truncation"]


def test_an_nli_task_is_audited_too(tmp_path: Path) -> None:
    write(tmp_path, "some/pairs", {"en/train.parquet": pairs(90)})
    found = findings(Sources(data_root=tmp_path), "pairs", tasks={"pairs": nli_task()})
    assert [(one.grade, one.check) for one in found] == [("note", "premises")]


@pytest.mark.parametrize(("grades", "code"), [((), 0), (("note",), 0), (("note", "warning"), 3), (("error",), 4)])
def test_the_exit_code_is_the_gravest_grade_s(grades: tuple[Any, ...], code: int) -> None:
    assert exit_code(Finding(grade=grade, check="c", task="t", message="m") for grade in grades) == code


@pytest.mark.mirror
@pytest.mark.skipif(not HAS_REAL_MIRROR, reason="needs the mirror: set XFER_BENCH_DATA")
def test_the_question_defect_of_xcopa_is_found_by_the_consensus_rule() -> None:
    """The counts of the reference: rows that differ from the consensus of the clean languages, counted elsewhere."""
    entries = audit(Request(names=("xcopa",)), tasks=TASKS, sources=Sources(data_root=REAL_MIRROR))
    counts = {
        (one.split, one.language): len(one.items)
        for one in entries
        if isinstance(one, Finding) and one.check == "parallel" and one.message.startswith("the question")
    }
    test, validation = (
        {"th": 250, "tr": 51, "sw": 37, "id": 4, "it": 4},
        {"th": 52, "tr": 52, "sw": 6, "id": 5, "it": 5},
    )
    assert {language: count for (split, language), count in counts.items() if split == "test"} == test
    assert {language: count for (split, language), count in counts.items() if split == "validation"} == validation
