"""Each claim of the paper is read off a folder of results, tells its number, and draws its figure."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.predictions import make_predictions, make_stages
from xfer_bench.errors import ResultsError
from xfer_bench.metrics import accuracy
from xfer_bench.results import Results

ROOT = Path(__file__).parents[2]
Claim = Callable[[Path], str]


@pytest.fixture
def claim(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Claim]:
    """The function of an analysis by the analysis' name; it draws below tmp_path."""
    monkeypatch.syspath_prepend(str(ROOT / "analyses"))
    import pages

    monkeypatch.setattr(pages, "ROOT", tmp_path)

    def load(name: str) -> Claim:
        found: Claim = runpy.run_path(str(ROOT / "analyses" / f"{name}.py"))["main"]
        return found

    return load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of a baseline and two arms with two seeds, and a contrast that the study named."""
    place = tmp_path / "results"
    results = Results(place)
    predictions = make_predictions()
    results.add(predictions)
    results.add_stages(make_stages(predictions))
    arms = predictions["arm"].unique().sort().to_list()
    first, second = (arm for arm in arms if arm != "none")
    results.declare(pl.DataFrame({"arm": [first], "against": [second]}))
    return place


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("english_vs_multilingual", r"against .* on xcopa .* points \[.*\], p "),
        ("gain_correlation", r"^On xcopa \(published, test, .*; 60 items\) r = "),
        ("language_gains", r"gains over none go from .* to .*; \d+ of \d+ differ"),
        ("seed_spread", r"the means of 3 arms have a standard deviation of \d+\.\d points"),
    ],
)
def test_a_claim_is_told_and_drawn(
    name: str, says: str, claim: Callable[[str], Claim], folder: Path, tmp_path: Path
) -> None:
    told = claim(name)(folder)
    assert re.search(says, told), told
    assert (tmp_path / "runs" / "analyses" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_spread_of_seeds_is_that_of_the_runs(claim: Callable[[str], Claim], folder: Path) -> None:
    scores = accuracy(Results(folder).predictions()).filter(pl.col("language") != "en")
    runs = scores.group_by("arm", "run").agg(pl.col("accuracy").mean())
    within = runs.group_by("arm").agg(pl.col("accuracy").var())["accuracy"].mean()
    assert isinstance(within, float)
    assert f"in their seeds alone have {within**0.5:.1f} (" in claim("seed_spread")(folder)


def test_the_defect_is_measured_on_checkpoints_that_have_both_variants(
    claim: Callable[[str], Claim], folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ResultsError, match="no checkpoint has both variants"):
        claim("xcopa_question_defect")(folder)
    rows = Results(folder).predictions()
    Results(folder).add(rows.with_columns(variant=pl.lit("repaired")))
    told = claim("xcopa_question_defect")(folder)
    assert "average +0.0 [+0.0, +0.0]" in told
    assert (tmp_path / "runs" / "analyses" / "xcopa_question_defect.pdf").exists()


def test_rules_choose_among_steps_and_the_oracle_is_never_beaten(
    claim: Callable[[str], Claim], folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ResultsError, match="no run has predictions of several steps"):
        claim("selection_rules")(folder)
    place = tmp_path / "steps"
    results = Results(place)
    for step in (10, 20):
        for split in ("test", "validation"):
            rows = make_predictions(seed=step + len(split))
            results.add(rows.with_columns(step=pl.lit(step, dtype=pl.Int64), split=pl.lit(split)))
    told = claim("selection_rules")(place)
    means = dict(part.rsplit(" ", 1) for part in told.removesuffix(".").partition(": ")[2].split("; "))
    assert set(means) == {
        "own development (en validation)",
        "last",
        "selected on target-language validation (not zero-shot)",
        "oracle (not zero-shot)",
    }
    assert float(means["oracle (not zero-shot)"]) == max(map(float, means.values()))
