"""A repair sets the values that are wrong and no others, can be taken back, and lists what the audit counted."""

import importlib.util
import tomllib
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.small_study import LANGUAGES, small_mirror
from tests.sources.small_mirror import HAS_REAL_MIRROR, REAL_MIRROR
from xfer_bench.errors import SourceError
from xfer_bench.sources.repairs import Repair, in_variant, repair_of
from xfer_bench.sources.source import Sources, part_of
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import PUBLISHED, REPAIRED, Split

ROOT = Path(__file__).parents[2]
XCOPA = TASKS["xcopa"]
PLACE = {"repository": "cambridgeltl/xcopa", "split": "test", "language": "th"}
# `question` differing from the six clean translations: counted in cambridgeltl/xcopa @ e2e9d7f, both splits.
AUDITED = {
    "test": {"th": 250, "tr": 51, "sw": 37, "id": 4, "it": 4},
    "validation": {"th": 52, "tr": 52, "sw": 6, "id": 5, "it": 5},
}


def known() -> Repair:
    found = repair_of(XCOPA)
    assert found is not None
    return found


def made(count: int = 500, question: str = "effect") -> pl.DataFrame:
    return pl.DataFrame({"idx": range(count), "premise": [f"p {row}" for row in range(count)], "question": question})


def test_as_many_items_are_listed_as_the_audit_counted() -> None:
    listed: dict[str, dict[str, int]] = {}
    for (split, language), right in known().items.items():
        listed.setdefault(split, {})[language] = len(right)
        assert all(0 <= item < {"test": 500, "validation": 100}[split] for item in right)
    assert listed == AUDITED
    # Thai has no "cause" at all as published, so that every wrong one is one.
    assert set(known().items["test", "th"].values()) == {"cause"}


def test_the_file_holds_numbers_and_two_words_only() -> None:
    content = tomllib.loads((ROOT / "data" / "repairs" / "xcopa.toml").read_text(encoding="utf-8"))
    for languages in content["items"].values():
        for right in languages.values():
            assert right.keys() <= {"cause", "effect"}
            assert all(isinstance(item, int) for items in right.values() for item in items)
            assert not set(right.get("cause", ())) & set(right.get("effect", ()))


def test_listed_items_get_their_value_and_all_else_stays() -> None:
    raw, repair = made(), known()
    mended = repair.repaired(raw, split="test", language="th")
    assert mended.filter(pl.col("question") == "cause")["idx"].to_list() == sorted(repair.items["test", "th"])
    assert mended.drop("question").equals(raw.drop("question"))
    assert mended.columns == raw.columns


def test_to_repair_twice_is_to_repair_once() -> None:
    once = known().repaired(made(), split="test", language="tr")
    assert known().repaired(once, split="test", language="tr").equals(once)


@pytest.mark.parametrize("language", ["th", "tr", "sw", "id", "it", "et"])
def test_it_can_be_taken_back(language: str) -> None:
    repair = known()
    published = repair.published(made(), split="test", language=language)
    mended = repair.repaired(published, split="test", language=language)
    assert repair.published(mended, split="test", language=language).equals(published)
    changed = (mended["question"] != published["question"]).sum()
    assert changed == len(repair.items.get(("test", language), {}))


def test_only_the_variant_that_is_repaired_is() -> None:
    raw = made()
    assert in_variant(raw, XCOPA, **PLACE) is raw
    assert in_variant(raw, XCOPA.as_variant(REPAIRED), **PLACE)["question"].to_list().count("cause") == 250
    elsewhere = {**PLACE, "repository": "extra/copa_test_gold"}
    assert in_variant(raw, XCOPA.as_variant(REPAIRED), **elsewhere) is raw


def test_rows_that_a_repair_does_not_know_are_one_line() -> None:
    repaired = XCOPA.as_variant(REPAIRED)
    with pytest.raises(SourceError, match=r"cambridgeltl/xcopa \(th, test\): row 0: the column 'question' holds 'why'"):
        in_variant(made(question="why"), repaired, **PLACE)
    with pytest.raises(SourceError, match=r"the column 'idx' is String; the repair of xcopa needs whole numbers"):
        in_variant(made().with_columns(idx=pl.lit("first")), repaired, **PLACE)


def test_a_repair_that_is_not_there_is_one_line() -> None:
    with pytest.raises(SourceError, match=r"nothing\.toml: not a list of repaired items .*; install again"):
        repair_of(replace(XCOPA, repair="nothing"))


class TestRows:
    """Through the door to rows."""

    def test_they_differ_in_the_listed_items_and_the_repair_is_in_the_stamp(self, tmp_path: Path) -> None:
        sources = Sources(data_root=small_mirror(tmp_path))
        repaired = XCOPA.as_variant(REPAIRED)
        for language in (*LANGUAGES, "en"):
            before = sources.rows(XCOPA, language=language, split="test")
            after = sources.rows(repaired, language=language, split="test")
            right = known().items.get(("test", language), {})
            asked = "What was the cause?"
            differing = [
                int(item)
                for item, text, new in zip(before.frame["item"], before.frame["text"], after.frame["text"], strict=True)
                if text != new
            ]
            # The invented rows ask for the cause in every other row.
            assert differing == [
                row for row in range(20) if row in right and right[row] != ("cause", "effect")[row % 2]
            ]
            assert (before.fingerprint == after.fingerprint) == (not differing)
            assert before.frame.drop("text").equals(after.frame.drop("text"))
            assert all(asked in after.frame["text"][row] for row in differing if right[row] == "cause")
        stamps = [sources.stamp(task, language="th", split="test") for task in (XCOPA, repaired)]
        assert stamps[0] is not None
        assert stamps[1] == [*stamps[0], known().digest]


@pytest.mark.mirror
@pytest.mark.skipif(not HAS_REAL_MIRROR, reason="needs the mirror: set XFER_BENCH_DATA")
class TestRealMirror:
    SOURCES = Sources(data_root=REAL_MIRROR)

    def questions(self, split: Split, language: str, *, variant: str = PUBLISHED) -> dict[int, str]:
        raw, _ = self.SOURCES.raw(part_of(XCOPA, language, split), language)
        repository = part_of(XCOPA, language, split).repository
        task = XCOPA.as_variant(variant)
        mended = in_variant(raw, task, repository=repository, split=split, language=language)
        return dict(mended.select("idx", "question").iter_rows())

    @pytest.mark.parametrize("split", ["test", "validation"])
    def test_repaired_questions_are_the_consensus_of_the_clean_languages(self, split: Split) -> None:
        clean = [self.questions(split, language) for language in ("en", "et", "ht", "qu", "ta", "vi", "zh")]
        assert all(one == clean[0] for one in clean)
        assert len(clean[0]) == {"test": 500, "validation": 100}[split]
        for language in LANGUAGES:
            assert self.questions(split, language, variant=REPAIRED) == clean[0]
            raw, _ = self.SOURCES.raw(part_of(XCOPA, language, split), language)
            mended = known().repaired(raw, split=split, language=language)
            assert known().published(mended, split=split, language=language).equals(raw)

    def test_the_file_is_what_the_program_writes(self) -> None:
        file = ROOT / "data" / "repairs.py"
        spec = importlib.util.spec_from_file_location("repairs_program", file)
        assert spec is not None
        assert spec.loader is not None
        program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(program)
        assert (ROOT / "data" / "repairs" / "xcopa.toml").read_text(encoding="utf-8") == program.text(self.SOURCES)
