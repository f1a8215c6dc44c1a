"""Claim examined: languages gain alike.

    python analyses/language_gains.py [RESULTS]

Each arm's gain over the baseline in each language, and how many tests tell it from none after adjustment.
"""

from pathlib import Path

from pages import by_target, drawn, tell

from xfer_bench import Results, compare
from xfer_bench.plotting.marks import Interval, draw_intervals, draw_nought
from xfer_bench.plotting.style import look_of
from xfer_bench.stats import own_results
from xfer_bench.stats.estimates import AVERAGES, Comparison, significant


def draw(panels: list[list[Comparison]]) -> None:
    """A panel a target, a row a language, an arm beside the other."""
    with drawn("language_gains", width=3.3 * len(panels), height=5.5) as figure:
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            arms, languages = (sorted({getattr(one, name) for one in panel}) for name in ("arm", "language"))
            draw_nought(axes, upright=True)
            for place, arm in enumerate(arms):
                shift = 0.8 * ((place + 0.5) / len(arms) - 0.5)
                mine = [
                    Interval(
                        height=-languages.index(one.language) - shift,
                        value=one.gain,
                        low=one.ci_low,
                        high=one.ci_high,
                        seen=bool(one.seen),
                        significant=significant(one),
                    )
                    for one in panel
                    if one.arm == arm
                ]
                look = look_of(place)
                draw_intervals(axes, mine, colour=look.colour, marker=look.marker, label=arm)
            axes.set_yticks([-place for place in range(len(languages))], languages)
            axes.set_title(f"{panel[0].task} ({panel[0].variant})")
            axes.set_xlabel(f"gain over {panel[0].baseline}, points")
        handles = {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3)


def said(panel: list[Comparison]) -> str:
    """The range of the gains, and what the tests tell."""
    least, most = (choose(panel, key=lambda one: one.gain) for choose in (min, max))
    told = sum(map(significant, panel))
    return (
        f"On {panel[0].task} ({panel[0].variant}, {panel[0].split}, {panel[0].n_items} items) gains over "
        f"{panel[0].baseline} go from {least.gain:+.1f} ({least.arm}, {least.language}) to {most.gain:+.1f} "
        f"({most.arm}, {most.language}); {told} of {len(panel)} differ from none at the {100 * most.level:g} % level, "
        "adjusted over each arm's languages."
    )


def main(folder: Path) -> str:
    """Draw, and tell the range of each target's gains."""
    results = Results(folder)
    found = compare(own_results(results.predictions(), results.stages()))
    panels = by_target([one for one in found if one.language not in AVERAGES])
    draw(panels)
    return "\n".join(map(said, panels))


if __name__ == "__main__":
    tell(main)
