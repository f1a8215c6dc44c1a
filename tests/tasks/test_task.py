"""A task is one value; of its variants each is the same task over other rows."""

from dataclasses import replace

import pytest

from xfer_bench.errors import TaskError
from xfer_bench.tasks import TASKS, Task

XCOPA, XNLI = TASKS["xcopa"], TASKS["xnli"]


def test_a_repaired_task_has_two_variants_and_others_have_one() -> None:
    assert XCOPA.variants == ("published", "repaired")
    assert {task.variants for task in TASKS.values() if task is not XCOPA} == {("published",)}
    assert {task.variant for task in TASKS.values()} == {"published"}


def test_a_variant_differs_in_nothing_else() -> None:
    repaired = XCOPA.as_variant("repaired")
    assert repaired.variant == "repaired"
    assert replace(repaired, variant="published") == XCOPA
    assert repaired.variants == XCOPA.variants
    assert repaired.as_variant("published") == XCOPA
    assert (XCOPA.title, repaired.title) == ("xcopa", "xcopa (repaired)")


@pytest.mark.parametrize(("task", "asked"), [(XNLI, "repaired"), (XCOPA, "mended")])
def test_a_variant_that_a_task_lacks_is_refused(task: Task, asked: str) -> None:
    with pytest.raises(TaskError, match=f"{task.name} has no variant '{asked}'; it has published"):
        task.as_variant(asked)
