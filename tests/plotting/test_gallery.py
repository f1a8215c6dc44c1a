from pathlib import Path

import matplotlib as mpl
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.predictions import make_predictions, make_stages
from xfer_bench.errors import ResultsError
from xfer_bench.plotting.figures import heatmap_numbers, languages_numbers, scatter_numbers
from xfer_bench.plotting.gallery import draw_gallery
from xfer_bench.results import Results
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.correlation import relate
from xfer_bench.stats.method import Method

FIGURES = ("gain_heatmap", "gains_by_language", "intermediate_vs_target")

FEW = Method(resamples=49)


def results_in(folder: Path, *, stages: bool = True) -> Results:
    predictions = make_predictions(n_items=30)
    results = Results(folder / "results")
    results.add(predictions)
    if stages:
        results.add_stages(make_stages(predictions))
    return results


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, list[Path]]:
    folder = tmp_path_factory.mktemp("gallery")
    results = results_in(folder)
    with mpl.rc_context({"font.size": 31.0}):
        written = draw_gallery(results, folder / "figures", comparisons=compare(results.predictions(), method=FEW))
        assert mpl.rcParams["font.size"] == 31.0
    return results, written


def test_each_figure_is_a_pdf_and_a_png_with_its_numbers(drawn: tuple[Results, list[Path]]) -> None:
    results, written = drawn
    assert sorted(written) == sorted(written[0].parent.iterdir())
    assert [path.name for path in written] == [f"{name}.{kind}" for name in FIGURES for kind in ("pdf", "png", "csv")]
    comparisons = compare(results.predictions(), method=FEW)
    relations = relate(results.predictions(), results.stages(), resamples=49)
    tables = heatmap_numbers(comparisons), languages_numbers(comparisons), scatter_numbers(relations)
    for path, numbers in zip(written[2::3], tables, strict=True):
        assert_frame_equal(pl.read_csv(path, schema_overrides=numbers.schema), numbers, check_exact=True)


def test_fonts_are_embedded_as_text(drawn: tuple[Results, list[Path]]) -> None:
    for path in drawn[1][::3]:
        page = path.read_bytes()
        assert b"/FontFile2" in page  # TrueType as such, not drawn as Type 3
        assert b"/Type3" not in page


def test_pngs_have_200_dots_an_inch_across_two_columns(drawn: tuple[Results, list[Path]]) -> None:
    for path in drawn[1][1::3]:
        assert int.from_bytes(path.read_bytes()[16:20]) == 1360


def test_the_same_results_give_the_same_files_whatever_the_users_style(
    drawn: tuple[Results, list[Path]], tmp_path: Path
) -> None:
    results, written = drawn
    again = draw_gallery(results, tmp_path, comparisons=compare(results.predictions(), method=FEW))
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


def test_a_figure_without_points_is_left_out_with_the_reason(tmp_path: Path) -> None:
    results = results_in(tmp_path, stages=False)
    reasons: list[str] = []
    comparisons = compare(results.predictions(), method=FEW)
    written = draw_gallery(results, tmp_path / "figures", comparisons=comparisons, report=reasons.append)
    assert not any("intermediate_vs_target" in path.name for path in written)
    assert reasons == [
        "no figure intermediate_vs_target: no compared run has an intermediate stage with a development accuracy"
    ]


def test_nothing_to_compare_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no comparisons to draw"):
        draw_gallery(results_in(tmp_path), tmp_path, comparisons=[])


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    results = results_in(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="cannot write"):
        draw_gallery(results, tmp_path / "file", comparisons=compare(results.predictions(), method=FEW))
