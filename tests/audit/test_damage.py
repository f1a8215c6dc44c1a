import pytest

from tests.audit.sheets import Rows, found, sheet, texts
from xfer_bench.audit.damage import check_damage


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("The cafÃ© on Valencia street", "warning"),
        ("It isnâ€™t there", "warning"),
        ("Attach\ufffd said so", "warning"),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "warning"),
        ("A bell\x07 rang", "note"),
        ("A break\x85here", "note"),
        ("zero\u200bwidth", "note"),
        ("Tom &amp; Jerry", "note"),
        ("a<br />b", "note"),
    ],
)
def test_damaged_texts_are_found(text: str, grade: str) -> None:
    assert found(check_damage, texts("A plain text", text)) == [(grade, "encoding", ("1",))]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("A tab\tand a line\nare no damage, nor is 3 < 4 & 5", "en"),
        ("São João não está; Ânimo!", "pt"),
        ("Đây là một câu tiếng Việt bình thường", "vi"),
        ("NASA और ISRO ने मिलकर एक नया उपग्रह बनाया है", "hi"),
        ("U2、Quick和Blackbird是三种飞机的名字，他今天说的", "zh"),
        ("Four Rivers 위원회와 Audubon 위원회의 병합으로 협의회가 새로 탄생했습니다", "ko"),
    ],
)
def test_sound_texts_are_not(text: str, language: str) -> None:
    assert found(check_damage, texts(text, language=language)) == []


def test_a_candidate_in_another_script_is_found() -> None:
    romanised = ("वह अभी भी वहाँ थी और मैं घर आ गया", ["Uski maa ne bataya ki wo ghar pahuch gaya", "1"], 0)
    sound = ("वह अभी भी वहाँ थी", ["वह घर पर थी", "वह कहीं और थी"], 1)
    assert found(check_damage, sheet(Rows(rows=[sound, romanised]), language="hi")) == [("warning", "script", ("1",))]


def test_the_question_that_the_reader_puts_in_is_not_the_row_s() -> None:
    assert found(check_damage, texts("ชายคนนั้นเปิดก๊อกน้ำ What happened as a result?", language="th")) == []


def test_of_an_unknown_language_the_script_is_not_asked() -> None:
    assert found(check_damage, texts("ᎣᏏᏲ ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎠᏂᏴᏫᏯ", language="chr")) == []
