import polars as pl
import pytest

from tests.predictions import make_predictions
from xfer_bench.metrics import accuracy, transfer_gains
from xfer_bench.stats.gains import arm_gains, headline, streams, target_name
from xfer_bench.stats.outcomes import pairings


def test_gains_are_means_over_runs_and_languages() -> None:
    predictions = make_predictions(seeds=(0, 1, 2), items_per_cluster=3)
    (pairing,) = pairings(predictions, baseline="none")
    found = arm_gains(pairing, {"some": ("sw", "th"), "one": ("en",)}, resamples=20, seed=0)
    gains = transfer_gains(accuracy(predictions), baseline="none")
    assert found.columns == ("some", "one")
    for place, arm in enumerate(found.arms):
        both = gains.filter(pl.col("language").is_in(["sw", "th"]), arm=arm)
        assert found.gains[place, 0] == pytest.approx(both["gain"].mean())
        own = gains.filter(arm=arm, language="en")
        assert found.gains[place, 1] == pytest.approx(own["gain"].mean())
        assert found.baseline[place, 1] == pytest.approx(own["baseline_accuracy"].mean())
    assert found.draws.shape == (20, 2, 2)


def test_the_headline_is_over_unseen_languages() -> None:
    (pairing,) = pairings(make_predictions(), baseline="none")
    assert headline(pairing) == {"avg_unseen": ("et", "sw")}
    assert target_name(pairing) == "xcopa test (CO)"


def test_targets_over_the_same_items_share_their_draws() -> None:
    (one,) = pairings(make_predictions(), baseline="none")
    (other,) = pairings(make_predictions(task="xnli"), baseline="none")
    first, second, third = streams([one, other, one], seed=5)
    assert first == third == 5
    assert second != 5
