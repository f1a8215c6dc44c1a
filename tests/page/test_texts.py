"""Texts are those of the items that were scored, in every language, or there is no report."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.page.subjects import EVIL, ITEMS, answered, texts_in
from tests.page.unpacked import unpacked
from xfer_bench.errors import ResultsError, SourceError
from xfer_bench.frames import DATA
from xfer_bench.page.items import Bench, explorer
from xfer_bench.page.texts import texts
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS

UNTOLD = pl.DataFrame(schema=DATA)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return Sources(data_root=texts_in(tmp_path_factory.mktemp("texts"), languages=("en", "th")))


def _benches(**more: object) -> tuple[Bench, ...]:
    rows = answered(languages=("en", "th"), **more)  # type: ignore[arg-type]
    return explorer(rows, tasks=TASKS, baseline="none").benches


def test_every_item_has_its_text_and_candidates(sources: Sources) -> None:
    found = texts(_benches(), sources, tasks=TASKS, data=UNTOLD)
    known = json.loads(unpacked(found.blobs["texts-0-1"]))
    said = [known["strings"][place] for place in known["text"]]
    assert said[3] == "en premise 3. What was the cause?"
    assert said[7] == f"{EVIL} What was the cause?"
    assert [known["strings"][place] for place in known["candidates"][3]] == ["en first choice 3", "en second choice 3"]
    assert len(said) == ITEMS
    assert len(set(known["strings"])) == len(known["strings"])
    assert not found.non_commercial


def test_a_repaired_bench_has_the_repaired_question(sources: Sources) -> None:
    pages = [
        json.loads(unpacked(texts(_benches(variant=one), sources, tasks=TASKS, data=UNTOLD).blobs["texts-0-0"]))
        for one in ("published", "repaired")
    ]
    asked = [[page["strings"][place].rpartition(". ")[2] for place in page["text"]] for page in pages]
    assert asked[0] != asked[1]


def test_items_that_the_rows_lack_have_no_text(sources: Sources) -> None:
    found = texts(_benches(n_items=ITEMS + 2), sources, tasks=TASKS, data=UNTOLD)
    assert json.loads(unpacked(found.blobs["texts-0-0"]))["text"][-2:] == [-1, -1]


def test_other_rows_than_those_that_were_scored_are_refused(sources: Sources) -> None:
    told = {"task": "xcopa", "variant": "published", "split": "test", "language": "th", "fingerprint": "0" * 64}
    data = pl.DataFrame([{**dict.fromkeys(DATA), **told}], schema=DATA)
    with pytest.raises(ResultsError, match=r"are not those that were scored \(0{12}\)"):
        texts(_benches(), sources, tasks=TASKS, data=data)
    bench = Bench(task="xcopa", variant="published", split="test", languages=("th",), items=("z",), labels=())
    with pytest.raises(ResultsError, match="none of the items of xcopa test in 'th' is in its rows"):
        texts([bench], sources, tasks=TASKS, data=UNTOLD)


def test_rows_that_cannot_be_had_are_named(tmp_path: Path) -> None:
    (tmp_path / "cambridgeltl" / "xcopa").mkdir(parents=True)
    with pytest.raises(SourceError, match="cambridgeltl/xcopa"):
        texts(_benches(), Sources(data_root=tmp_path), tasks=TASKS, data=UNTOLD)
