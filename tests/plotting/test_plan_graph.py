"""A plan's picture has every stage once, where its parent comes before it, and no text leaves its box."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.patches import FancyBboxPatch

from tests.small_study import small_study
from xfer_bench.errors import ResultsError
from xfer_bench.plan import Plan
from xfer_bench.plotting.plan_graph import plan_figure, save_plan
from xfer_bench.plotting.style import paper_style


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return small_study(tmp_path_factory.mktemp("study"))[0].plan


def test_every_stage_is_a_box_and_every_step_a_line(planned: Plan) -> None:
    with paper_style():
        (axes,) = plan_figure(planned, model="starter").axes
    boxes = [one for one in axes.patches if isinstance(one, FancyBboxPatch)]
    assert len(boxes) == len(axes.texts) == len(planned.stages) + 1
    assert len(axes.lines) == len(planned.stages)
    steps = [np.asarray(line.get_xydata())[:, 0] for line in axes.lines]
    assert all(before < after for before, after in steps)


def test_shared_stages_have_a_colour_of_their_own(planned: Plan) -> None:
    shared = sum(len(planned.runs_through(stage)) > 1 for stage in planned.stages)
    with paper_style():
        (axes,) = plan_figure(planned, model="starter").axes
    colours = [one.get_facecolor() for one in axes.patches]
    assert sum(colour != colours[0] for colour in colours) == shared


def test_texts_stay_in_their_boxes(planned: Plan) -> None:
    with paper_style():
        figure = plan_figure(planned, model="starter")
        figure.canvas.draw()
        (axes,) = figure.axes
        for box, text in zip(axes.patches, axes.texts, strict=True):
            around, inside = box.get_window_extent(), text.get_window_extent()
            assert around.x0 <= inside.x0
            assert inside.x1 <= around.x1
            assert around.y0 <= inside.y0
            assert inside.y1 <= around.y1


@pytest.mark.parametrize(("suffix", "begins"), [(".pdf", b"%PDF"), (".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_the_name_says_the_kind(planned: Plan, tmp_path: Path, suffix: str, begins: bytes) -> None:
    save_plan(planned, tmp_path / f"plan{suffix}", model="starter")
    assert (tmp_path / f"plan{suffix}").read_bytes().startswith(begins)
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="cannot write"):
        save_plan(planned, tmp_path / "file" / f"plan{suffix}", model="starter")
