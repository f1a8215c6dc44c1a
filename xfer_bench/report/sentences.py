"""What the evidence of a comparison supports, and on what that is conditional, in one plain sentence."""

from collections.abc import Collection

from xfer_bench.report.tables import between, signed
from xfer_bench.stats.estimates import AVERAGES, Comparison, significant, too_few


def sentence(one: Comparison, *, power: float = 0.8, collapsed: Collection[tuple[str, str]] = ()) -> str:
    """The claim that a comparison allows: never more than its interval, its test and its conditions carry.

    collapsed: (arm, target) of runs that learnt nothing, of which a comparison with them has to tell.
    """
    where = f"{target(one, sure=False)} ({one.setting}, {one.split}, {_languages(one)})"
    numbers = f"{signed(one.gain)} points {between(one.ci_low, one.ci_high)}, {_p(one)}"
    claim = f"{_verdict(one, power)} {_conditions(one)}{_warning(one, collapsed)}"
    return f"{one.arm} against {one.baseline} on {where}: {numbers}; {claim}"


def target(one: Comparison, *, sure: bool = True) -> str:
    """The task with what is special about it; where `sure`, also the split and the setting."""
    variant = "" if one.variant == "published" else f" ({one.variant})"
    after = "" if one.target == one.task else f" after {one.target}"
    return f"{one.task}{variant} {one.split}{after}, {one.setting}" if sure else f"{one.task}{variant}{after}"


def _languages(one: Comparison) -> str:
    if one.language in AVERAGES:
        return f"{one.language}: {' '.join(one.languages)}"
    return one.language


def _p(one: Comparison) -> str:
    raw = _fraction(one.p_value)
    if one.p_adjusted is None or one.family_size == 1:
        return f"p {raw}"
    return f"p {raw} ({_fraction(one.p_adjusted).removeprefix('= ')} among {one.family_size} tests)"


def _fraction(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _verdict(one: Comparison, power: float) -> str:
    at = "" if one.level == 0.95 else f" at the {100 * one.level:g} % level"
    if significant(one):
        return f"the evidence supports a {'gain' if one.gain > 0 else 'loss'}{at}."
    neither = f"the evidence supports neither a gain nor a loss{at}"
    if too_few(one):
        return f"{neither}: {one.n_clusters} cluster{'s are' if one.n_clusters > 1 else ' is'} too few to tell."
    if one.standard_error == 0 or one.test == "sign flips":
        # Nothing varied, or the smallest p is that of the number of seeds: neither tells what could be found.
        return f"{neither}."
    alone = " by one test alone" if one.family_size > 1 and one.p_adjusted is not None else ""
    return (
        f"{neither}, and a true one of {one.smallest_detectable:.1f} points would be found {100 * power:.0f} times in "
        f"100{alone}."
    )


def _conditions(one: Comparison) -> str:
    runs = "1 pair of runs" if one.n_seeds == 1 else f"{one.n_seeds} pairs of runs"
    if one.test == "sign flips":
        return f"The interval is over items and seeds ({runs}); p is over seeds alone, for these items."
    if one.over == "both":
        return f"It generalises over items and seeds ({runs}), not over languages or data."
    return f"It holds for the checkpoints at hand ({runs}) and for items like these, not for other seeds."


def _warning(one: Comparison, collapsed: Collection[tuple[str, str]]) -> str:
    lame = [arm for arm in (one.arm, one.baseline) if (arm, one.target) in collapsed]
    return f" Beware: runs of {' and '.join(lame)} collapsed, as told below." if lame else ""
