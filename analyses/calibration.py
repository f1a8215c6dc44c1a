"""Claim examined: intervals cover, and tests reject, as often as they say.

    python analyses/calibration.py [REPLICATIONS]

Simulates every cell, 10,000 times unless told otherwise (about a quarter of an hour on one core), and writes the table
`data/calibration.csv`; with other numbers of replications it goes to `runs/analyses/` instead.
"""

import sys
from pathlib import Path

import polars as pl

from xfer_bench.stats.calibration import cells
from xfer_bench.stats.simulation import BORDERLINE, Row, calibrate

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "data" / "calibration.csv"
TRIED = ROOT / "runs" / "analyses" / "calibration.csv"
FULL = 10_000


def main(replications: int) -> str:
    """Write the table; the sentence with what the default methods cover where this is claimed."""
    table = calibrate(cells(replications=replications), progress=_tell)
    target = COMMITTED if replications == FULL else TRIED
    target.parent.mkdir(parents=True, exist_ok=True)
    table.write_csv(target)
    claimed = table.filter(pl.col("claimed"))
    gains = claimed.filter(~pl.col("design").str.ends_with("accuracy"), pl.col("measure") == "coverage")
    ranges = []
    for name in ("percentile", "random effects"):
        percents = gains.filter(pl.col("method") == name)["percent"].to_list()
        ranges.append(f"{min(percents):.1f}-{max(percents):.1f} %")
    held = claimed.filter(pl.col("verdict") == "holds").height
    nearly = claimed.filter(pl.col("verdict") == BORDERLINE).height
    return (
        f"With {replications:,} replications a cell, the default 95 % intervals of gains covered {ranges[0]} over "
        f"items (from 500 clusters on) and {ranges[1]} over items and seeds (from 5 seeds on); of {claimed.height} "
        f"claims in the table {held} held, {nearly} more up to twice the Monte Carlo error."
    )


def _tell(row: Row) -> None:
    seeds = f"{row.intermediate_seeds} x {row.seeds} seeds of sd {row.seed_sd:g}"
    where = f"{row.n} items, {row.languages} languages, {seeds}, accuracy {row.accuracy:g}, gain {row.gain:g}"
    found = f"{row.measure} {row.percent:.1f} ({row.monte_carlo_se:.2f}), wanted {row.wanted}: {row.verdict}"
    sys.stderr.write(f"{row.design}, {where}: {row.method} {found}\n")


if __name__ == "__main__":
    sys.stdout.write(main(int(sys.argv[1]) if len(sys.argv) > 1 else FULL) + "\n")
