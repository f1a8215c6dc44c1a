import io
import resource
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.plotting.invented import LANGUAGES, along, contrast, invent, small
from tests.predictions import make_checkpoints, make_predictions, make_stages
from xfer_bench.errors import ResultsError
from xfer_bench.parquet import check_writable
from xfer_bench.plotting.contact_sheet import contact_sheet, save_contact_sheet
from xfer_bench.plotting.gallery import KINDS, check_gallery, draw_gallery, ignore, pictures
from xfer_bench.plotting.style import ONE_COLUMN, PNG_DPI, TWO_COLUMNS
from xfer_bench.results import Results
from xfer_bench.stats.estimates import Comparison

Drawn = tuple[Results, list[Comparison], list[Path], list[str]]


def results_in(folder: Path, predictions: pl.DataFrame) -> Results:
    results = Results(folder / "results")
    results.add(predictions)
    results.add_stages(make_stages(predictions))
    return results


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    folder = tmp_path_factory.mktemp("gallery")
    predictions = invent({"xcopa": LANGUAGES}, n_items=30)
    results, comparisons, said = results_in(folder, predictions), contrast(predictions), list[str]()
    with mpl.rc_context({"font.size": 31.0}):
        written = draw_gallery(
            results, folder / "figures", comparisons=comparisons, formats=("pdf", "png", "svg"), report=said.append
        )
        assert mpl.rcParams["font.size"] == 31.0
    return results, comparisons, written, said


def test_each_figure_has_its_formats_numbers_and_caption(drawn: Drawn) -> None:
    _, _, written, said = drawn
    names = [name for name in KINDS if name != "trajectories"]
    assert [path.name for path in written] == [
        f"{name}.{kind}" for name in names for kind in ("pdf", "png", "svg", "csv", "txt")
    ]
    assert sorted(written) == sorted(written[0].parent.iterdir())
    assert said == [
        "no figure trajectories: no training has predictions of several steps (keep checkpoints along a stage, and "
        "evaluate them)"
    ]
    for path in written:
        if path.suffix == ".txt":
            assert path.read_text().startswith(KINDS[path.stem].title)
            assert "n = 30 items" in path.read_text()


def test_fonts_are_embedded_as_truetype_and_never_as_type_3(drawn: Drawn) -> None:
    for path in drawn[2]:
        if path.suffix == ".pdf":
            page = path.read_bytes()
            assert b"/FontFile2" in page
            assert b"/Type3" not in page


def test_text_in_an_svg_is_text_in_a_font_that_readers_have(drawn: Drawn) -> None:
    for path in drawn[2]:
        if path.suffix == ".svg":
            page = path.read_text()
            assert "<text" in page
            assert "'DejaVu Sans', Verdana, sans-serif" in page
            assert "xcopa" in page


def test_pngs_have_200_dots_an_inch_across_columns(drawn: Drawn, tmp_path: Path) -> None:
    results, comparisons, written, _ = drawn
    name = "gains_by_language"
    narrow = draw_gallery(results, tmp_path, comparisons=comparisons, only=[name], formats=("png",), columns=1)
    for paths, inches in ((written, TWO_COLUMNS), (narrow, ONE_COLUMN)):
        (page,) = [path.read_bytes() for path in paths if path.name == f"{name}.png"]
        assert int.from_bytes(page[16:20]) == int(inches * PNG_DPI)


def test_the_same_results_give_the_same_files_whatever_the_users_style(drawn: Drawn) -> None:
    results, comparisons, written, _ = drawn
    name = "gains_by_language"
    (again,) = pictures(results, comparisons=comparisons, only=[name], formats=("svg", "pdf"))
    assert again.name == name
    for path in written:
        if path.stem == name and path.suffix in {".svg", ".pdf"}:
            assert path.read_bytes() == again.pages[path.suffix[1:]]
        elif path.stem == name and path.suffix == ".csv":
            table = pl.read_csv(path, schema_overrides=again.numbers.schema)
            assert_frame_equal(table, again.numbers, check_exact=True)
        elif path.stem == name and path.suffix == ".txt":
            assert path.read_text() == f"{again.title}. {again.caption}\n"
    assert again.alt.startswith("Gains by language: Gain in accuracy (points) over none")


def test_trajectories_come_from_kept_steps_and_hatches_from_the_checkpoints(tmp_path: Path) -> None:
    predictions = along(invent({"xcopa": LANGUAGES}, n_items=30))
    own = predictions.filter(step=30, split="test")
    results = results_in(tmp_path, predictions)
    results.add_checkpoints(make_checkpoints(predictions).with_columns(model=pl.lit("xlm-roberta-large")))
    only = ("trajectories", "gains_by_language")
    found = pictures(results, comparisons=contrast(own), only=only, formats=("svg",))
    assert [one.name for one in found] == ["gains_by_language", "trajectories"]
    assert all("Hatched: not in the pretraining data of xlm-roberta-large (ht, qu)" in one.caption for one in found)


def test_controls_and_the_studys_contrasts_are_no_arms() -> None:
    assert set(small().gains["arm"]) == {"english", "mixed"}
    assert not small().gains["primary"].any()
    assert small().primary["primary"].all()


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"only": ["heatmap"]}, "no figure named 'heatmap'; choose among gain_heatmap, "),
        ({"formats": ["gif"]}, "no format of figures named 'gif'; choose among pdf, png, svg"),
        ({"formats": []}, "no format of figures named ''"),
        ({"style": "poster"}, "no page of style 'poster' and 2 columns"),
        ({"columns": 3}, "no page of style 'paper' and 3 columns"),
        ({"order": "size"}, "no order of languages named 'size'"),
        ({"comparisons": []}, "no comparisons to draw"),
    ],
)
def test_what_is_none_is_refused(drawn: Drawn, wrong: dict[str, object], line: str) -> None:
    results, comparisons, _, _ = drawn
    with pytest.raises(ResultsError, match=line):
        pictures(results, **{"comparisons": comparisons, **wrong})  # type: ignore[arg-type]


def test_a_folder_that_cannot_be_written_is_one_line(drawn: Drawn, tmp_path: Path) -> None:
    results, comparisons, _, _ = drawn
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="cannot write"):
        draw_gallery(results, tmp_path / "file", comparisons=comparisons, only=["ranking"], formats=("svg",))


def redraw(drawn: Drawn, folder: Path, report: Callable[[str], None] = ignore) -> None:
    results, comparisons, _, _ = drawn
    only = ("seeds", "trajectories", "ranking")
    draw_gallery(results, folder, comparisons=comparisons, only=only, formats=("svg", "png"), report=report)


@pytest.fixture
def old(drawn: Drawn, tmp_path: Path) -> dict[Path, bytes]:
    """A folder with figures of other results."""
    redraw(drawn, tmp_path / "figures")
    for path in (tmp_path / "figures").iterdir():
        path.write_bytes(b"old")
    return held(tmp_path / "figures")


def held(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_where_one_file_cannot_be_written_none_is(drawn: Drawn, tmp_path: Path, old: dict[Path, bytes]) -> None:
    taken = tmp_path / "figures" / "ranking.svg"
    taken.unlink()
    taken.mkdir()
    with pytest.raises(ResultsError, match=r"cannot write .*ranking\.svg: it is a folder"):
        redraw(drawn, tmp_path / "figures")
    assert held(tmp_path / "figures") == {path: b"old" for path in old if path != taken}


def test_what_gets_in_the_way_while_figures_are_drawn_leaves_the_old_ones(
    drawn: Drawn, tmp_path: Path, old: dict[Path, bytes]
) -> None:
    taken = tmp_path / "figures" / "ranking.svg"

    def take(_: str) -> None:
        taken.unlink()
        taken.mkdir()

    with pytest.raises(ResultsError, match=r"ranking\.svg: it is no file"):
        redraw(drawn, tmp_path / "figures", take)
    assert held(tmp_path / "figures") == {path: b"old" for path in old if path != taken}
    taken.rmdir()
    redraw(drawn, tmp_path / "figures")
    assert b"old" not in held(tmp_path / "figures").values()


def test_a_disk_that_takes_some_of_the_files_gets_none(drawn: Drawn, tmp_path: Path, old: dict[Path, bytes]) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(ResultsError, match=r"cannot write .*/seeds\.png: File too large"):
            redraw(drawn, tmp_path / "figures")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert held(tmp_path / "figures") == old


def test_a_device_is_no_figure(drawn: Drawn, tmp_path: Path) -> None:
    (tmp_path / "seeds.svg").symlink_to("/dev/null")
    with pytest.raises(ResultsError, match=r"seeds\.svg: it is no file"):
        redraw(drawn, tmp_path)
    assert Path("/dev/null").is_char_device()
    assert [path.name for path in tmp_path.iterdir()] == ["seeds.svg"]


def test_places_are_refused_before_anything_is_drawn_and_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with pytest.raises(ResultsError, match=r"cannot write .*gain_heatmap\.pdf: "):
            check_gallery(place)
    check_gallery(tmp_path / "not" / "yet")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    check_writable(Path("/dev/null"))
    with pytest.raises(ResultsError, match="no figure named 'heatmap'"):
        check_gallery(tmp_path, only=["heatmap"])
    with pytest.raises(ResultsError, match="no format of figures named 'gif'"):
        check_gallery(tmp_path, formats=["gif"])


def test_a_contact_sheet_holds_every_figure_in_one_small_picture(drawn: Drawn, tmp_path: Path) -> None:
    for path in [path for path in drawn[2] if path.suffix == ".png"][:3]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    save_contact_sheet(tmp_path, tmp_path / "sheet.png")
    page = (tmp_path / "sheet.png").read_bytes()
    assert int.from_bytes(page[16:20]) == 1200
    assert len(page) < 400_000
    sheet = mpl.image.imread(io.BytesIO(page))
    # Two columns, each with something on it: in more of them the text could not be read.
    for left in (0, 600):
        assert sheet[:, left : left + 600, :3].min() < 0.5


def test_a_contact_sheet_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no picture")
    for figures in ([], [tmp_path / "no.png"]):
        with pytest.raises(ResultsError, match=r"a contact sheet needs figures|cannot read a figure as PNG"):
            contact_sheet(figures)


def test_a_task_that_nothing_is_known_of_is_drawn_without_chance(tmp_path: Path) -> None:
    predictions = make_predictions(task="own", n_items=30)
    results = Results(tmp_path)
    results.add(predictions)
    found = pictures(results, comparisons=contrast(predictions), only=["accuracy_by_language", "seeds"])
    assert all(one.numbers["chance"].is_null().all() for one in found)
