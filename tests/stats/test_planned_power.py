import pytest

from xfer_bench.errors import ResultsError
from xfer_bench.stats.planned_power import Expected, PlannedPower, planned_power
from xfer_bench.stats.power import Design, Wanted, items_needed, seeds_needed
from xfer_bench.tasks import TASKS


def pick(planned: list[PlannedPower], **named: object) -> PlannedPower:
    (found,) = [one for one in planned if all(getattr(one, name) == value for name, value in named.items())]
    return found


def test_usual_studies_are_the_benchmarks_in_one_language_and_on_average() -> None:
    planned = planned_power(Expected())
    assert len(planned) == 2 * (2 + 3 * 2)
    one = {"languages": 1, "discordance": 0.2}
    assert pick(planned, benchmark="XCOPA", **one).smallest == pytest.approx(5.6, abs=0.05)
    assert pick(planned, benchmark="XCOPA", languages=1, discordance=0.5).smallest == pytest.approx(8.8, abs=0.05)
    assert pick(planned, benchmark="XNLI", **one).smallest == pytest.approx(1.8, abs=0.05)
    mean = pick(planned, benchmark="XCOPA", languages=11, correlation=0.3, discordance=0.2)
    design = Design(items=500, discordance=0.2, languages=11, correlation=0.3)
    assert (mean.smallest, mean.standard_error) == (design.smallest_detectable(), design.spread(0).standard_error)


def test_benchmarks_are_those_of_the_tasks() -> None:
    for benchmark, task in (("XCOPA", "xcopa"), ("XNLI", "xnli")):
        others = [code for code in TASKS[task].languages if code != "en"]
        assert {one.languages for one in planned_power(Expected()) if one.benchmark == benchmark} == {1, len(others)}


def test_given_study_is_one_design() -> None:
    expected = Expected(items=800, discordance=0.25, languages=6, correlation=0.4, seeds=4, seed_sd=0.5)
    alone, mean = planned_power(expected, wanted=Wanted(gain=3))
    design = Design(items=800, discordance=0.25, languages=6, correlation=0.4, seeds=4, seed_sd=0.5)
    assert (alone.benchmark, alone.languages, alone.correlation) == ("", 1, None)
    assert (mean.languages, mean.smallest) == (6, design.smallest_detectable())
    assert mean.items_needed == items_needed(3, design)
    assert mean.seeds_needed == seeds_needed(3, design.spread(3))
    (only,) = planned_power(Expected(items=800, discordance=0.25))
    assert (only.languages, only.seeds_needed, only.wanted_gain, only.items_needed) == (1, None, None, None)


def test_a_gain_beyond_the_discordance_needs_no_number() -> None:
    (one,) = planned_power(
        Expected(items=500, discordance=0.1, seeds=5, seed_sd=1), wanted=Wanted(gain=12, power=0.9, level=0.9)
    )
    assert (one.items_needed, one.seeds_needed, one.power, one.level) == (None, None, 0.9, 0.9)


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (Expected(seeds=5), "seed sd go together"),
        (Expected(seed_sd=1), "seed sd go together"),
        (Expected(seeds=2, seed_sd=1), "2 seeds are too few"),
        (Expected(items=100, correlation=0.3), "number of languages, 2 or more"),
        (Expected(items=0), "0 items"),
        (Expected(items=10, languages=0), "0 languages"),
        (Expected(correlation=2), "cannot correlate by 2"),
        (Expected(discordance=-0.1), "discordance of -0.1"),
    ],
)
def test_what_no_study_can_be_is_refused(expected: Expected, message: str) -> None:
    with pytest.raises(ResultsError, match=message):
        planned_power(expected)
