import polars as pl
import pytest

from tests.sources.small_mirror import HAS_REAL_MIRROR, REAL_MIRROR
from xfer_bench.errors import SourceError
from xfer_bench.frames import ITEMS
from xfer_bench.sources.findings import Reviewed, published_rows, reviewed, without_reviewed
from xfer_bench.sources.items import fingerprint
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS


def rows(count: int, language: str = "ko") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item": [str(place) for place in range(count)],
            "cluster": [str(place) for place in range(count)],
            "language": [language] * count,
            "text": [f"text {place}" for place in range(count)],
            "candidates": [["a", "b"]] * count,
            "label": [0] * count,
        },
        schema=ITEMS,
    )


def review(items: pl.DataFrame, *found: str) -> Reviewed:
    return Reviewed(
        task="some",
        language="ko",
        split="train",
        target="other",
        reason="they are its items",
        rows=items.height,
        fingerprint=fingerprint(items),
        items=frozenset(found),
    )


def test_what_was_found_is_left_out_and_nothing_else() -> None:
    kept = without_reviewed(rows(5), (review(rows(5), "1", "3"),))
    assert kept["item"].to_list() == ["0", "2", "4"]


def test_rows_of_other_languages_stay() -> None:
    both = pl.concat([rows(3, "de"), rows(3)])
    kept = without_reviewed(both, (review(rows(3), "0"),))
    assert kept.select("language", "item").rows() == [("de", "0"), ("de", "1"), ("de", "2"), ("ko", "1"), ("ko", "2")]
    assert without_reviewed(rows(3, "de"), (review(rows(3), "0"),)).height == 3


def test_other_rows_than_those_reviewed_are_refused() -> None:
    with pytest.raises(SourceError, match="the items to leave out before other were found in 5 rows of fingerprint"):
        without_reviewed(rows(6), (review(rows(5), "1"),))


def test_of_a_task_that_nobody_reviewed_nothing_is_known() -> None:
    assert reviewed("siqa", target="xcopa") == ()
    assert reviewed("kobest_copa", target="xnli") == ()


def test_the_committed_finding_names_items_and_no_text() -> None:
    (found,) = reviewed("kobest_copa", target="xcopa")
    assert (found.language, found.split, found.rows) == ("ko", "train", 3076)
    assert all(item.isdigit() and int(item) < found.rows for item in found.items)
    assert {"1609", "204", "2290"} <= found.items


def test_published_counts_are_of_the_registry_s_repositories() -> None:
    known = {part.repository for task in TASKS.values() for part in task.parts}
    published = published_rows()
    assert {repository for repository, _, _ in published} <= known
    assert published["cambridgeltl/xcopa", "*", "test"] == 500


@pytest.mark.mirror
@pytest.mark.skipif(not HAS_REAL_MIRROR, reason="needs the mirror: set XFER_BENCH_DATA")
def test_the_reviewed_rows_are_those_of_the_mirror() -> None:
    training = Sources(data_root=REAL_MIRROR).rows(TASKS["kobest_copa"], language="ko", split="train").frame
    (found,) = reviewed("kobest_copa", target="xcopa")
    assert without_reviewed(training, (found,)).height == found.rows - len(found.items)
