import json
from io import StringIO

import polars as pl

from tests.predictions import make_predictions
from xfer_bench import __version__
from xfer_bench.report.tables import bootstrap_settings, render_scores, signature
from xfer_bench.stats.scores import score_intervals

SETTINGS = bootstrap_settings(resamples=199, seed=0)


def test_one_line_makes_it_reproducible() -> None:
    assert signature(SETTINGS) == f"boot:pct|B:199|over:items|clusters:joint|seed:0|v{__version__}"
    assert "|level:0.9|" in signature(bootstrap_settings(resamples=199, seed=0, level=0.9))


def test_scores_show_n_and_interval() -> None:
    scores = score_intervals(make_predictions(items_per_cluster=3), resamples=99)
    page = render_scores(scores, settings=SETTINGS)
    first = scores[0]
    line = next(line for line in page.splitlines() if line.startswith("english"))
    assert [cell.strip() for cell in line.split("|")] == [
        "english",
        "english-0",
        "avg",
        "60 in 20",
        f"{first.estimate.value:.1f}",
        f"[{first.estimate.low:.1f}, {first.estimate.high:.1f}]",
    ]
    assert max(map(len, page.splitlines())) <= 100


def test_scores_as_json_and_csv_hold_the_numbers() -> None:
    scores = score_intervals(make_predictions(), resamples=99)
    page = json.loads(render_scores(scores, format="json", settings=SETTINGS))
    table = pl.read_csv(StringIO(render_scores(scores, format="csv", settings=SETTINGS)))
    for row, line, one in zip(page["scores"], table.iter_rows(named=True), scores, strict=True):
        assert row["value"] == line["value"] == one.estimate.value
        assert (row["run"], row["language"], row["n_clusters"]) == (one.run, one.language, 60)
    assert "| english |" in render_scores(scores, format="markdown", settings=SETTINGS)
