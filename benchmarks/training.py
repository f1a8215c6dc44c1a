"""How fast a stage is trained against what people's scripts do, in one run, on real Social IQa text.

    python benchmarks/training.py [--data-root DIR] [--examples 128] [--development 200] [--rounds 1]
                                  [--precision fp32 bf16] [--json FILE]

Every way of training starts from the starter model and gets the same training and development items, batch size,
learning rate, schedule, number of steps and precision; what a pass takes is what a user waits for, from rows to a
checkpoint on the disk: tokenising, loading, training, the final evaluation, writing. In every round each way has a
process of its own, one after another; imports are not counted. Medians over the rounds, whose seeds differ.
(a) is a Trainer script that pads to 128 tokens, as the XTREME and jiant scripts do; (b) is one that pads to the longest
of the batch. Ours does the same with all weights trained, `full` with the vocabulary trimmed and embeddings frozen.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from needs import mirror_and_starter

from xfer_bench.sources.source import VARIABLE

LETTERS = {"padded": "(a)", "dynamic": "(b)"}
OURS, OTHERS = ("ours", "full"), tuple(LETTERS)
PARTS = ("before", "training", "after")


def measured(asked: argparse.Namespace, names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What each way of training told of each round."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for seed in range(asked.rounds):
        # Round after round another one begins: none has always the machine that another one has warmed.
        for name in names[seed % len(names) :] + names[: seed % len(names)]:
            command = [sys.executable, __file__, *sys.argv[1:], "--way", name, "--seed", str(seed)]
            answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[name].append(json.loads(answer.stdout.splitlines()[-1]))
    return found


def ratio(some: list[dict[str, Any]], others: list[dict[str, Any]], figure: str) -> float:
    """The median of the rounds' ratios: a machine that is busy for a while is so for both."""
    return float(statistics.median(one[figure] / other[figure] for one, other in zip(some, others, strict=True)))


def summary(found: dict[str, list[dict[str, Any]]], asked: argparse.Namespace) -> dict[str, Any]:
    """Medians, ratios to the two scripts, and whether accuracies differ by more than chance would have it."""
    ways = {
        name: {
            **{name: statistics.median(one[name] for one in rounds) for name in ("seconds", "processor", *PARTS)},
            "peak MB": max(one["peak MB"] for one in rounds),
            "accuracy": statistics.fmean(one["development_accuracy"] for one in rounds),
        }
        for name, rounds in found.items()
    }
    ratios = {}
    for name, rounds in found.items():
        kind, _, precision = name.partition(" ")
        if kind in OTHERS:
            continue
        # The full recipe is a choice of precision too, so it is told against the scripts in any.
        rivals = [one for one in found if one.split()[0] in OTHERS and (kind == "full" or one.endswith(precision))]
        for rival in rivals:
            ratios[f"{name} / {rival}"] = {
                "times faster": ratio(found[rival], rounds, "seconds"),
                "steps alone": ratio(found[rival], rounds, "training"),
                "processor time": ratio(found[rival], rounds, "processor"),
                "accuracy difference": ways[name]["accuracy"] - ways[rival]["accuracy"],
            }
    items = next(iter(found.values()))[0]["development_items"]
    share = statistics.fmean(way["accuracy"] for way in ways.values()) / 100
    return {
        "threads": os.environ.get("OMP_NUM_THREADS") or f"{os.cpu_count()} cores",
        "device": next(iter(found.values()))[0]["device"],
        "examples": asked.examples,
        "steps": next(iter(found.values()))[0]["steps"],
        "development items": items,
        # Of the difference of two accuracies on independent items; on the same ones it is smaller. Points.
        "noise": 100 * 1.96 * math.sqrt(2 * share * (1 - share) / items),
        "ways": ways,
        "ratios": ratios,
        "rounds": found,
    }


def show(found: dict[str, Any]) -> None:
    """Print it."""
    print(
        f"Social IQa, {found['examples']} examples in {found['steps']} steps, {found['development items']} development "
        f"items, {found['device']}, threads: {found['threads']}; seconds in all = before + in + after the steps"
    )
    for name, way in found["ways"].items():
        parts = " + ".join(f"{way[part]:.1f}" for part in PARTS)
        letter = LETTERS.get(name.split()[0], "")
        print(
            f"{name:13} {letter:4}{way['seconds']:7.1f} s = {parts}   processor {way['processor']:.1f} s   "
            f"peak {way['peak MB']:.0f} MB   development accuracy {way['accuracy']:.1f}"
        )
    print(f"times faster; accuracies within ±{found['noise']:.1f} points of one another are equal within noise")
    for name, one in found["ratios"].items():
        equal = "" if abs(one["accuracy difference"]) <= found["noise"] else "  ACCURACIES DIFFER"
        print(
            f"{name:28} {one['times faster']:5.2f}   steps alone {one['steps alone']:5.2f}   "
            f"processor time {one['processor time']:5.2f}   "
            f"accuracy {one['accuracy difference']:+.1f}{equal}"
        )


def main() -> None:
    """Measure what is there to be measured, and say what is not."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data-root", type=Path, help=f"the mirror of the data sets (or {VARIABLE})")
    options.add_argument("--examples", type=int, default=128, help="training items, of three sequences each")
    options.add_argument("--development", type=int, default=200, help="development items")
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    options.add_argument("--only", nargs="+", choices=[*OURS, *OTHERS], help="only these ways")
    options.add_argument("--json", type=Path, help="write the figures here too")
    options.add_argument("--way", help=argparse.SUPPRESS)
    options.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    asked = options.parse_args()
    root = mirror_and_starter(asked.data_root)
    if asked.way:
        from training_ways import one_pass

        print(json.dumps(one_pass(asked.way, asked, root)))
        return
    kinds = [kind for kind in (*OURS, *OTHERS) if not asked.only or kind in asked.only]
    found = summary(measured(asked, [f"{kind} {one}" for one in asked.precision for kind in kinds]), asked)
    show(found)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
