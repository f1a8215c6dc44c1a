from dataclasses import replace

import pytest

from tests.predictions import make_predictions, make_stages
from xfer_bench.report.correlations import Correlations, correlation_settings, render_correlations
from xfer_bench.stats.correlation import relate
from xfer_bench.stats.evidence import How
from xfer_bench.stats.reliability import Corrected


@pytest.mark.parametrize(
    ("corrected", "said"),
    [
        (Corrected(r=10.53, over_one=True), "+10.53"),
        (Corrected(r=-0.05, low=-1.0, high=0.5), "-.05 | [-1.00, +.50]"),
        (Corrected(r=None, reason="of this"), "not corrected for it: of this."),
    ],
)
def test_a_corrected_value_is_shown_as_it_is_or_says_why_not(corrected: Corrected, said: str) -> None:
    predictions = make_predictions()
    (relation,) = relate(predictions, make_stages(predictions), resamples=20)
    found = Correlations(relations=(replace(relation, corrected=corrected),), pooled=None, languages=(), targets=None)
    settings = correlation_settings(How(), baseline="none", resamples=20, seed=0)
    printed = render_correlations(found, format="table", settings=settings)
    assert said in " ".join(printed.split())
    assert ("which no correlation is" in printed) == corrected.over_one
