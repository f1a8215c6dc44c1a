import numpy as np
import polars as pl
import pytest
from numpy.typing import ArrayLike, NDArray

from tests.audit.sheets import Rows, sheet
from xfer_bench.audit.neighbours import check_neighbours, nearest, spoken
from xfer_bench.audit.sheet import Sheet
from xfer_bench.tasks import TASKS


def unit(rows: ArrayLike) -> NDArray[np.float32]:
    made = np.asarray(rows, np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True))


def test_the_margin_is_twice_the_cosine_less_what_is_usual() -> None:
    rng = np.random.default_rng(0)
    left, right = unit(rng.normal(size=(30, 8))), unit(rng.normal(size=(25, 8)))
    found = nearest(left, right)
    cosines = left @ right.T
    for row in range(30):
        usual = np.sort(cosines[row])[-10:].mean()
        margins = [2 * cosines[row, one] - usual - np.sort(cosines[:, one])[-10:].mean() for one in range(25)]
        assert found.position[row] == int(np.argmax(margins))
        assert found.margin[row] == pytest.approx(max(margins), abs=1e-6)
        assert found.cosine[row] == pytest.approx(cosines[row, found.position[row]])


def test_fewer_rows_than_neighbours_are_enough() -> None:
    found = nearest(unit([[1, 0], [0, 1]]), unit([[1, 0.1]]))
    assert found.position.tolist() == [0, 0]


def test_premise_and_right_answer_are_compared_not_the_question() -> None:
    rows = Rows(rows=[("premise question", ["no", "yes"], 1), ("left out", ["a", "b"], 0)], unusable=frozenset({1}))
    assert spoken(sheet(rows, columns=pl.DataFrame({"premise": ["premise", "left out"]}))) == ["premise yes"]
    assert spoken(sheet(rows)) == ["premise question yes"]


def vectors(of: Sheet) -> NDArray[np.float32]:
    """Each text's number decides its direction, so that equal numbers are translations of each other."""
    angles = [float(text.split()[1]) for text in of.usable["text"]]
    return unit([[np.cos(angle), np.sin(angle)] for angle in angles])


def numbered(*angles: float, language: str) -> Sheet:
    return sheet(Rows(rows=[(f"text {angle}", ["a", "b"], 0) for angle in angles]), language=language)


def test_rows_near_an_item_are_listed_with_it_and_their_cosine() -> None:
    training = numbered(0.1, 2.0, language="ko")
    (found,) = check_neighbours(training, numbered(-2.5, 0.1, language="en"), vectors=vectors, least=0.99)
    assert (found.grade, found.check, found.items) == ("error", "neighbours", ("0=1:1.000",))
    assert found.message == "1 of 2 rows are near an item of choices validation (en), to be reviewed"


def test_nothing_near_is_no_finding() -> None:
    assert [*check_neighbours(numbered(3.0, language="ko"), numbered(0.0, language="en"), vectors=vectors)] == []


def test_what_was_reviewed_is_told_apart() -> None:
    # Item 1609 of kobest_copa is on the committed list.
    task, target = TASKS["kobest_copa"], TASKS["xcopa"]
    rows = Rows(rows=[("text 0.1", ["a", "b"], 0), ("text 0.5", ["a", "b"], 0)])
    training = sheet(rows, task=task, language="ko")
    renamed = Sheet(
        task=task,
        part=task.parts[0],
        language="ko",
        items=training.items.with_columns(item=pl.Series(["1609", "never"])),
        columns=training.columns,
        total=2,
    )
    evaluation = sheet(rows, task=target, language="en")
    new, old = check_neighbours(renamed, evaluation, vectors=vectors, least=0.99)
    assert (new.grade, new.items) == ("warning", ("never=1:1.000",))
    assert (old.grade, old.items) == ("note", ("1609=0:1.000",))
