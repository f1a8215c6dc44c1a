"""A set that holds a target's items in another language may come before it only without them."""

from pathlib import Path

import pytest

from tests.sources.invented import invented_mirror
from tests.sources.small_mirror import HAS_REAL_MIRROR, REAL_MIRROR
from xfer_bench.errors import SourceError, StudyError
from xfer_bench.plan import Plan, plan
from xfer_bench.sources.findings import reviewed
from xfer_bench.sources.source import Sources
from xfer_bench.study import Arm, StageSpec, Study, Target
from xfer_bench.tasks import TASKS

NEEDS_MIRROR = pytest.mark.skipif(not HAS_REAL_MIRROR, reason="needs the mirror of the real data")


def planned(stage: StageSpec, mirror: Path) -> Plan:
    arms = (Arm(name="korean", stages=(stage,)),)
    study = Study(name="s", model="m", arms=arms, targets=(Target(task="xcopa", setting="CO", languages=("et",)),))
    return plan(study, tasks=TASKS, sources=Sources(data_root=mirror), origin="o", source="c")


@NEEDS_MIRROR
def test_what_was_found_is_left_out_and_the_rest_may_come() -> None:
    with pytest.raises(StudyError, match=r'may not come before xcopa: .*; write exclude = "reviewed"'):
        planned(StageSpec(task="kobest_copa"), REAL_MIRROR)
    stage = planned(StageSpec(task="kobest_copa", exclude="reviewed"), REAL_MIRROR).stages[0]
    (found,) = reviewed("kobest_copa", target="xcopa")
    assert stage.examples == found.rows - len(found.items) == 3076 - 456


def test_rows_that_nobody_reviewed_are_refused(tmp_path: Path) -> None:
    mirror = invented_mirror(tmp_path, "kobest_copa", "xcopa", "copa")
    with pytest.raises(SourceError, match=r"were found in 3,076 rows of fingerprint .* and these 36 rows have"):
        planned(StageSpec(task="kobest_copa", exclude="reviewed"), mirror)
