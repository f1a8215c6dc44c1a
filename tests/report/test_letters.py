import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer_bench.report.letters import escape, width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b", r"a\_\allowbreak{}b"),
        ("50 % & #1", r"50 \% \& \#1"),
        ("$x^2$", r"\$x\textasciicircum{}2\$"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/\allowbreak{}etc/\allowbreak{}passwd\}"),
        ("~`|<>", r"\textasciitilde{}\textasciigrave{}\textbar{}\textless{}\textgreater{}"),
        ('"x"', r"{\char34}x{\char34}"),
        ("a--b", "a-{}-b"),
        ("it''s", "it'{}'s"),
        ("[1] *", "{[}1{]} {*}"),
        ("a\n\n\tb", "a b"),
        ("\x00", "U+0000"),
        ("é", r"\'{e}"),
        ("e\u0301", r"\'{e}"),
        ("ế", r"\'{\^{e}}"),
        ("Straße", r"Stra\ss{}e"),
        ("語", r"\xferchar{語}{U+8A9E}"),
        ("ą", r"\xferchar{ą}{U+0105}"),
        ("−1", r"\textminus{}1"),
    ],
)
def test_nothing_begins_in_a_text(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_a_line_may_end_in_a_very_long_word() -> None:
    assert escape("x" * 45).split(r"\allowbreak{}") == ["x" * 20, "x" * 20, "x" * 5]


@given(st.text())
def test_braces_are_balanced_and_no_special_letter_is_left(text: str) -> None:
    shown = escape(text)
    bare = shown.replace(r"\{", "").replace(r"\}", "")
    depth = 0
    for letter in bare:
        depth += (letter == "{") - (letter == "}")
        assert depth >= 0
    assert depth == 0
    for special in "$&%#_":
        assert bare.count(special) == bare.count(f"\\{special}")
    assert "\n" not in shown
    assert r"\^" not in bare or any(letter not in "^\\" for letter in text)


def test_wide_letters_are_wider() -> None:
    assert width("mmm") > width("iii")
    assert width("語") > width("a")
