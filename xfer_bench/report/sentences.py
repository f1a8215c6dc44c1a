"""What the evidence of a comparison supports, and on what that is conditional, in one plain sentence."""

from collections.abc import Collection

from xfer_bench.stats.estimates import AVERAGES, Comparison


def sentence(one: Comparison, *, power: float = 0.8, collapsed: Collection[str] = ()) -> str:
    """The claim that a comparison allows: never more than its interval, its test and its conditions carry.

    collapsed: arms with runs that learnt nothing, of which a comparison with them has to tell.
    """
    where = f"{one.task} ({one.setting}, {one.split}, {_languages(one)})"
    numbers = f"{one.gain:+.1f} points [{one.ci_low:+.1f}, {one.ci_high:+.1f}], p = {_p(one)}"
    claim = f"{_verdict(one, power)} {_conditions(one)}{_warning(one, collapsed)}"
    return f"{one.arm} against {one.baseline} on {where}: {numbers}; {claim}"


def significant(one: Comparison) -> bool:
    """Whether its p-value, adjusted where it is, is below what its level allows."""
    p = one.p_value if one.p_adjusted is None else one.p_adjusted
    return p < 1 - one.level


def _languages(one: Comparison) -> str:
    if one.language in AVERAGES:
        return f"{one.language}: {' '.join(one.languages)}"
    return one.language


def _p(one: Comparison) -> str:
    raw = f"{one.p_value:.3f}"
    if one.p_adjusted is None or one.family_size == 1:
        return raw
    return f"{raw} ({one.p_adjusted:.3f} among {one.family_size} tests)"


def _verdict(one: Comparison, power: float) -> str:
    if significant(one):
        return f"the evidence supports a {'gain' if one.gain > 0 else 'loss'}."
    return (
        f"the evidence supports neither a gain nor a loss, and a true one of {one.smallest_detectable:.1f} points "
        f"would be found {100 * power:.0f} times in 100."
    )


def _conditions(one: Comparison) -> str:
    seeds = "1 seed" if one.n_seeds == 1 else f"{one.n_seeds} seeds"
    if one.over == "both":
        return f"It generalises over items and seeds, of which there were {one.n_seeds}, not over languages or data."
    return f"It holds for the checkpoints at hand ({seeds} a side) and for items like these, not for other seeds."


def _warning(one: Comparison, collapsed: Collection[str]) -> str:
    lame = [arm for arm in (one.arm, one.baseline) if arm in collapsed]
    return f" Beware: runs of {' and '.join(lame)} collapsed, as told below." if lame else ""
