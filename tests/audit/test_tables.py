import json

from xfer_bench.audit.audit import Entry
from xfer_bench.audit.findings import Finding, Size
from xfer_bench.audit.tables import render_audit

SIZE = Size(
    task="xcopa",
    language="th",
    split="test",
    rows=1500,
    unusable=2,
    in_repository=1502,
    published=1502,
    shares=(0.5, 0.5),
    repeated=3,
    characters=(69, 101, 113),
    truncated={"tiny": 0.015},
)
ERROR = Finding(
    grade="error",
    check="parallel",
    task="xcopa",
    language="th",
    split="test",
    message="wrong",
    items=tuple(str(place) for place in range(20)),
    example="the text of a row",
)
NOTES = tuple(
    Finding(grade="note", check="premises", task="xnli", language=language, split="test", message="same")
    for language in ("de", "en")
)
ENTRIES: list[Entry] = [NOTES[0], SIZE, ERROR, NOTES[1]]


def test_the_table_has_sizes_then_findings_gravest_first_alike_ones_together() -> None:
    assert render_audit(ENTRIES, as_json=False).splitlines() == [
        "xcopa",
        "  split  language   rows  published  unusable  repeated  answers %  characters (median/p99/max)  cut % (tiny)",
        "  test   th        1,500      1,502         2         3      50/50                   69/101/113           1.5",
        "",
        "error: xcopa test th: parallel: wrong",
        "    items 0, 1, 2, 3, 4, 5, 6, 7, … (20 in all)",
        "    such as the text of a row",
        "note: xnli test de, en: premises: same",
        "1 error, 0 warnings, 2 notes",
    ]


def test_less_grave_findings_can_be_left_out_but_are_counted() -> None:
    text = render_audit(ENTRIES, as_json=False, least="warning")
    assert "xnli" not in text
    assert text.endswith("1 error, 0 warnings, 2 notes")


def test_without_examples_no_text_of_a_row_is_shown() -> None:
    for as_json in (False, True):
        assert "the text of a row" not in render_audit(ENTRIES, as_json=as_json, examples=False)
        assert "the text of a row" in render_audit(ENTRIES, as_json=as_json)


def test_json_has_every_item() -> None:
    read = json.loads(render_audit(ENTRIES, as_json=True))
    assert [one["grade"] for one in read["findings"]] == ["error", "note", "note"]
    assert len(read["findings"][0]["items"]) == 20
    assert read["sizes"][0]["characters"] == [69, 101, 113]


def test_nothing_audited_is_nothing_found() -> None:
    assert render_audit([], as_json=False) == "0 errors, 0 warnings, 0 notes"
