"""Equal content has one digest; different content has different ones."""

import hashlib
from pathlib import Path

import pytest

from xfer_bench.digest import file_digest, source_digest, value_digest


def test_the_order_of_keys_does_not_matter_and_that_of_lists_does() -> None:
    assert value_digest({"a": 1, "b": [1, {"c": 2, "d": 3}]}) == value_digest({"b": [1, {"d": 3, "c": 2}], "a": 1})
    assert value_digest([1, 2]) != value_digest([2, 1])


def test_values_that_look_alike_differ() -> None:
    values = [1, 1.5, "1", True, None, "", [], {}, [1], ["1"], {"a": 1}, {"a": "1"}, ["a", 1], "é", "e\u0301"]
    assert len({value_digest(value) for value in values}) == len(values)


def test_a_digest_is_the_sha_256_of_compact_json() -> None:
    # `printf '{"a":[1,"é"]}' | sha256sum` gives the same.
    assert value_digest({"a": [1, "é"]}) == hashlib.sha256('{"a":[1,"é"]}'.encode()).hexdigest()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("nan")]}])
def test_what_is_no_number_has_no_digest(value: object) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        value_digest(value)


def test_a_file_is_its_bytes_alone(tmp_path: Path) -> None:
    payload = bytes(range(256)) * 20_000  # beyond one chunk
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(payload)
    second.write_bytes(payload)
    assert file_digest(first) == file_digest(second) == hashlib.sha256(payload).hexdigest()
    second.write_bytes(payload[:-1] + b"x")
    assert file_digest(first) != file_digest(second)


def test_source_changes_with_content_and_name_but_not_with_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("a = 1\n")
    two.write_text("b = 1\n")
    before = source_digest(one, two)
    assert source_digest(two, one) == before
    one.write_text("a = 2\n")
    assert source_digest(one, two) != before
    one.write_text("a = 1\n")
    assert source_digest(one, two) == before
    assert source_digest(one, two.rename(tmp_path / "three.py")) != before
