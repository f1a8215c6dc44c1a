"""Every key of a TOML text is found on the line where it stands."""

import tomllib
from typing import Any

import pytest

from xfer_bench.errors import StudyError
from xfer_bench.toml_lines import Path, line_of, put_over

TEXT = """\
a = 1  # line 1
"b" = [
  { c = 1, d = { e = 2 } },
  { c = 3 },
]
f.g = 6

[h]  # line 8
i = 9
[h.j]
k = [1, 2]

[[m]]  # line 13
n = 14
[m.o]
p = 16
[[m.q]]
r = 18
[[m.q]]
r = 20

[[m]]
n = 23
  [ m . o ]
  'p' = 25
[[m.q]]
r = 27
"""

LINES: dict[Path, int] = {
    ("a",): 1,
    ("b",): 2,
    ("b", 0, "c"): 3,
    ("b", 0, "d", "e"): 3,
    ("b", 1, "c"): 4,
    ("f", "g"): 6,
    ("h",): 8,
    ("h", "i"): 9,
    ("h", "j"): 10,
    ("h", "j", "k"): 11,
    ("h", "j", "k", 1): 11,
    ("m",): 13,
    ("m", 0): 13,
    ("m", 0, "n"): 14,
    ("m", 0, "o", "p"): 16,
    ("m", 0, "q"): 17,
    ("m", 0, "q", 0): 17,
    ("m", 0, "q", 0, "r"): 18,
    ("m", 0, "q", 1): 19,
    ("m", 0, "q", 1, "r"): 20,
    ("m", 1): 22,
    ("m", 1, "n"): 23,
    ("m", 1, "o"): 24,
    ("m", 1, "o", "p"): 25,
    ("m", 1, "q", 0, "r"): 27,
}


@pytest.mark.parametrize(("path", "line"), LINES.items(), ids=str)
def test_a_key_is_found_on_its_line(path: Path, line: int) -> None:
    value: Any = tomllib.loads(TEXT)
    for part in path:
        value = value[part]  # the path exists
    assert line_of(TEXT, path) == line


def test_what_is_absent_is_found_where_it_should_have_been() -> None:
    assert line_of(TEXT, ("m", 1, "absent")) == 22
    assert line_of(TEXT, ("h", "j", "absent")) == 10
    assert line_of(TEXT, ("b", 1, "absent")) == 2


def test_what_stands_nowhere_has_no_line() -> None:
    assert line_of(TEXT, ("absent",)) is None
    assert line_of(TEXT, ()) is None
    assert line_of("", ("a",)) is None


def test_comments_and_elements_of_arrays_are_no_headers_or_keys() -> None:
    text = "# x = 1\nlist = [\n  [1, 2],\n  ['a'],\n]\nx = 6\n"
    assert line_of(text, ("x",)) == 6
    assert line_of(text, ("list", 1)) == 2


def changed(text: str, *changes: str) -> dict[str, Any]:
    content = tomllib.loads(text)
    for change in changes:
        put_over(content, change)
    return content


STUDY = 'name = "a"\n[seeds]\ntarget = [0]\n[[arms]]\nname = "x"\nstages = [{ task = "siqa" }]\n'


def test_a_change_is_put_over_what_is_there_or_added() -> None:
    assert changed(STUDY, "seeds.target=[0, 1]")["seeds"] == {"target": [0, 1]}
    assert changed(STUDY, 'name = "b"')["name"] == "b"
    assert changed(STUDY, "arms.0.stages.0.examples = 500")["arms"][0]["stages"] == [{"task": "siqa", "examples": 500}]
    assert changed(STUDY, "seeds.target.0=7")["seeds"]["target"] == [7]
    assert changed(STUDY, "recipe.epochs=2", "recipe.warmup=0.0")["recipe"] == {"epochs": 2, "warmup": 0.0}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("seeds", "write KEY=VALUE"),
        ("=3", "write KEY=VALUE"),
        ("name=b", "text stands in quotes"),
        ("name.more=1", "name is a value, which has no 'more' in it"),
        ("arms.3.name='y'", "arms has the entries 0 to 0, no '3'"),
        ("arms.x.name='y'", "no 'x'"),
        ("seeds.target.5=1", "seeds.target has the entries 0 to 0, no '5'"),
    ],
)
def test_a_change_that_cannot_be_is_refused(change: str, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        changed(STUDY, change)
