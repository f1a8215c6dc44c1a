"""How fast the joint bootstrap is against a loop over scipy's and against a bare matrix product, in one run.

    python benchmarks/bootstrap.py [--systems 60] [--languages 15] [--items 5010] [--resamples 10000] [--rounds 5]
                                   [--cells 3] [--json FILE]

Made-up answers, every item a cluster, drawn jointly for all systems and languages. In every round, one after another
and in one process: the bare product (float32, weights and answers ready), resampling alone (drawing included), the
whole request (all cells and all gains over the first system with percentile intervals), and scipy.stats.bootstrap on a
few cells, one call each, which is scaled to all cells and gains. Medians over the rounds; the first one, which warms
up, does not count. Memory is the peak of a process that does nothing else, with Python, numpy and the data in it.
Threads are those that OMP_NUM_THREADS grants, for BLAS as for ours, or as many as there are cores.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from xfer_bench.stats.bootstrap import Floats, Numbers, percentile_interval, resample_means
from xfer_bench.stats.intervals import pair_differences

# How many resamples scipy draws at once: as fast as any of 10, 30, 100, 300 and 1,000; all at once, its default, is
# slower and takes 800 MB.
SCIPY_BATCH = 100


def answers(asked: argparse.Namespace) -> Numbers:
    """(items, systems x languages), 1 for right; systems and languages agree more than chance would have it."""
    generator = np.random.default_rng(0)
    ease = generator.random((asked.items, 1), dtype=np.float32)
    own = generator.random((asked.items, asked.systems * asked.languages), dtype=np.float32)
    right: Numbers = (ease + own < 1.2).astype(np.int8)
    return right


def draw(right: Numbers, asked: argparse.Namespace) -> Floats:
    """The resampled accuracies of all cells."""
    return resample_means(right, np.ones(len(right), dtype=np.int8), resamples=asked.resamples, seed=0)


def difference(right: Numbers, draws: Floats, asked: argparse.Namespace, *, baseline_only: bool) -> int:
    """How many differences got an interval: those from the first system, or those of all pairs."""
    pairs = [(other, 0) for other in range(1, asked.systems)] if baseline_only else None
    shape = (asked.systems, asked.languages)
    observed = right.mean(axis=0).reshape(shape)
    return sum(pair.low.size for pair in pair_differences(draws.reshape(-1, *shape), observed, pairs=pairs))


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def whole(right: Numbers, asked: argparse.Namespace) -> None:
    """All cells and all gains, with their intervals."""
    draws = draw(right, asked)
    percentile_interval(draws)
    difference(right, draws, asked, baseline_only=True)


def rounds(asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the bare product, resampling, the whole request and a few of scipy's cells, in each round."""
    from scipy.stats import bootstrap

    right = answers(asked)
    weights, values = np.ones((asked.resamples, asked.items), dtype=np.float32), right.astype(np.float32)
    scipys = {"n_resamples": asked.resamples, "batch": SCIPY_BATCH, "method": "percentile"}
    generator = np.random.default_rng(0)
    ways: dict[str, Callable[[], object]] = {
        "product": lambda: weights @ values,
        "resampling": lambda: draw(right, asked),
        "whole": lambda: whole(right, asked),
        "scipy": lambda: [bootstrap((column,), np.mean, rng=generator, **scipys) for column in right.T[: asked.cells]],
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(asked.rounds + 1):
        for name, way in ways.items():
            found[name].append(seconds(way))
    return {name: taken[1:] for name, taken in found.items()}


def of_memory(asked: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of the whole request."""
    whole(answers(asked), asked)
    return {"peak": peak()}


def of_pairs(asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds and peak memory of all pairs in all languages with intervals and p-values, from the same draws."""
    right = answers(asked)
    start = time.perf_counter()
    draws = draw(right, asked)
    drawn = time.perf_counter()
    cells = difference(right, draws, asked, baseline_only=False)
    return {"pairs": cells, "draw": drawn - start, "intervals": time.perf_counter() - drawn, "peak": peak()}


def peak() -> float:
    """This process's largest memory so far, in MB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1e6 if sys.platform == "darwin" else used * 1024 / 1e6


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "rounds": rounds,
    "memory": of_memory,
    "pairs": of_pairs,
}


def measured(part: str) -> dict[str, Any]:
    """One part's figures, from a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--part", part]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def summary(asked: argparse.Namespace) -> dict[str, Any]:
    """Medians, and medians of the rounds' ratios."""
    found = {part: measured(part) for part in PARTS}
    times: dict[str, list[float]] = found["rounds"]
    cells, gains = asked.systems * asked.languages, (asked.systems - 1) * asked.languages
    scaled = [taken / min(asked.cells, cells) * (cells + gains) for taken in times["scipy"]]
    return {
        "cells": cells,
        "gains": gains,
        "threads": os.environ.get("OMP_NUM_THREADS") or f"{os.cpu_count()} cores",
        "rounds": times,
        "seconds": {name: statistics.median(taken) for name, taken in {**times, "scipy scaled": scaled}.items()},
        "resampling / product": ratio(times["resampling"], times["product"]),
        "scipy scaled / whole": ratio(scaled, times["whole"]),
        "peak MB": found["memory"]["peak"],
        "pairs": found["pairs"],
    }


def ratio(some: list[float], others: list[float]) -> float:
    """The median of the rounds' ratios: a machine that is busy for a while is so for both."""
    return statistics.median(one / other for one, other in zip(some, others, strict=True))


def show(found: dict[str, Any], asked: argparse.Namespace) -> None:
    """Print it."""
    taken, pairs, cells, gains = (found[name] for name in ("seconds", "pairs", "cells", "gains"))
    spread = {name: f"({min(times):.2f}-{max(times):.2f})" for name, times in found["rounds"].items()}
    print(
        f"{asked.systems} systems x {asked.languages} languages x {asked.items:,} items, {asked.resamples:,} joint "
        f"resamples, {asked.rounds} rounds; threads: {found['threads']}"
    )
    lines = {
        "bare product, float32": (taken["product"], spread["product"]),
        "resampling": (
            taken["resampling"],
            f"{spread['resampling']}, {found['resampling / product']:.2f} x the bare product",
        ),
        f"and {cells} cells, {gains} gains": (
            taken["whole"],
            f"{spread['whole']}, with percentile intervals; peak {found['peak MB']:.0f} MB",
        ),
        f"scipy.stats.bootstrap, {asked.cells} cells": (
            taken["scipy"],
            f"{spread['scipy']}; scaled, not measured, to all {cells + gains} cells and gains: "
            f"{taken['scipy scaled']:.0f} s, {found['scipy scaled / whole']:.0f} x ours",
        ),
        f"all pairs, {pairs['pairs']:,} differences": (
            pairs["intervals"],
            f"after drawing ({pairs['draw']:.2f} s), with intervals and p-values; peak {pairs['peak']:.0f} MB",
        ),
    }
    for name, (time_taken, said) in lines.items():
        print(f"{name:32} {time_taken:6.2f} s   {said}")


def main() -> None:
    """Measure, and print or write what was found."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--systems", type=int, default=60)
    options.add_argument("--languages", type=int, default=15)
    options.add_argument("--items", type=int, default=5010)
    options.add_argument("--resamples", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--cells", type=int, default=3, help="how many cells scipy computes")
    options.add_argument("--json", type=Path, help="write the figures here too")
    options.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.part:
        print(json.dumps(PARTS[asked.part](asked)))
        return
    found = summary(asked)
    show(found, asked)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
