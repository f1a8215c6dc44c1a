"""How fast the evaluator's forward pass is against what people use, in one run, on real XNLI and XCOPA text.

    python benchmarks/speed.py [--data-root DIR] [--task xnli xcopa] [--sequences 480] [--rounds 5] [--json FILE]

In every round each way of scoring does one pass over the same sequences, one after another; medians over the rounds.
(a) pads to 128 tokens in data order, as the XTREME and jiant scripts do; (b) is Trainer.predict with dynamic padding,
batch 32; (c) is the text-classification pipeline, batch 32, which also tokenises. The ceiling is the rate of bare
matrix products at the model's shapes. On a CPU the model is the starter under an untrained head, on a GPU it has
XLM-R large's shape and random weights.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contenders import serve
from needs import mirror_and_starter

from xfer_bench.sources.source import VARIABLE

OURS = ("ours fp32", "ours bf16")
OTHERS = ("padded fp32", "trainer fp32", "trainer bf16", "pipeline fp32")
CEILINGS = ("ceiling fp32", "ceiling bf16")
LETTERS = {"padded": "(a)", "trainer": "(b)", "pipeline": "(c)"}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way of scoring in its process. facts: what it said about its work. seconds, answers: of each pass."""

    name: str
    process: "subprocess.Popen[str]"
    facts: dict[str, Any]
    seconds: list[float] = field(default_factory=list)
    answers: list[list[int]] = field(default_factory=list)

    def once(self) -> None:
        """One pass, which the process measures itself."""
        self._write("go")
        told = read(self.process, self.name)
        self.seconds.append(told["seconds"])
        self.answers.append(told["answers"])

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    @property
    def median(self) -> float:
        """Seconds of a pass; the first one, which warms up, does not count."""
        return statistics.median(self.seconds[1:])


def read(process: "subprocess.Popen[str]", name: str) -> dict[str, Any]:
    """The next line of JSON that the process writes."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        sys.exit(f"{name} ended with code {process.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def measured(task: str, asked: argparse.Namespace, root: Path) -> list[Contender]:
    """All ways of scoring, interleaved: one pass of each a round, after one that warms up."""
    names = [name for name in (*OURS, *OTHERS, *CEILINGS) if task == "xnli" or not name.startswith("pipeline")]
    contenders = []
    for name in names:
        command = [sys.executable, __file__, "--serve", name, "--task", task, "--data-root", str(root)]
        command += ["--sequences", str(asked.sequences), "--batch-tokens", str(asked.batch_tokens)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # One after another: loading must not disturb, and what is waiting costs nothing.
        contenders.append(Contender(name=name, process=process, facts=read(process, name)))
    for _ in range(asked.rounds + 1):
        for contender in contenders:
            contender.once()
    for contender in contenders:
        contender.process.communicate()
    return contenders


def summary(task: str, contenders: list[Contender]) -> dict[str, Any]:
    """Rates, ratios, shares of the ceiling and agreement, by name."""
    by_name = {one.name: one for one in contenders}
    facts = by_name["ours fp32"].facts
    reference = by_name["ours fp32"].answers[-1]
    rows = {}
    for name, one in by_name.items():
        kind, _, precision = name.partition(" ")
        if kind == "ceiling":
            rows[name] = {"gflops": one.facts["flop"] / one.median / 1e9}
            continue
        rate = facts["sequences"] / one.median
        spread = (max(one.seconds[1:]) - min(one.seconds[1:])) / one.median
        same = sum(mine == theirs for mine, theirs in zip(one.answers[-1], reference, strict=True)) / len(reference)
        rows[name] = {"rate": rate, "spread": spread, "agrees": same, "of": precision}
        if kind == "ours":
            top = by_name[f"ceiling {precision}"]
            rows[name]["share"] = one.facts["flop"] / one.median / (top.facts["flop"] / top.median)
    ratios = {
        f"{mine} / {theirs}": by_name[theirs].median / by_name[mine].median
        for mine in OURS
        for theirs in OTHERS
        if theirs in by_name
    }
    return {"task": task, **facts, "rows": rows, "ratios": ratios}


def show(found: dict[str, Any]) -> None:
    """Print one task's table."""
    in_order = f"{found['padding_in_order']:.1%}"
    print(
        f"\n{found['task']} on {found['device']}: {found['sequences']} sequences, "
        f"{found['tokens'] / found['sequences']:.1f} tokens on average; padding when sorted "
        f"{found['padding_sorted']:.1%} (ours computes none), in data order, 32 items a batch, {in_order}"
    )
    for name, row in found["rows"].items():
        if "gflops" in row:
            print(f"{name:14}      {row['gflops']:9.0f} GFLOP/s")
            continue
        share = f"  {row['share']:.2f} of the ceiling" if "share" in row else ""
        letter = LETTERS.get(name.split()[0], "")
        print(
            f"{name:14} {letter:4} {row['rate']:8.1f} sequences/s  spread {row['spread']:4.0%}  "
            f"answers as ours in fp32 {row['agrees']:.4f}{share}"
        )
    for name, ratio in found["ratios"].items():
        print(f"{name:32} {ratio:5.2f}")


def main() -> None:
    """Measure what is there to be measured, and say what is not."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data-root", type=Path, help=f"the mirror of the data sets (or {VARIABLE})")
    options.add_argument("--task", nargs="+", choices=["xnli", "xcopa"], default=["xnli", "xcopa"])
    options.add_argument("--sequences", type=int, default=480)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--batch-tokens", type=int, default=4096)
    options.add_argument("--json", type=Path, help="write the figures here too")
    options.add_argument("--serve", help=argparse.SUPPRESS)
    asked = options.parse_args()
    root = mirror_and_starter(asked.data_root)
    if asked.serve:
        serve(asked.serve, asked.task[0], root, asked.sequences, asked.batch_tokens)
        return
    found = []
    for task in asked.task:
        found.append(summary(task, measured(task, asked, root)))
        show(found[-1])
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
