"""The real program in processes of its own, over enough rows that it can be stopped at any stage, and its store."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tests.small_study import small_mirror
from tests.sources.small_mirror import write
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.discovery import discover
from xfer_bench.evaluation.request import Ask
from xfer_bench.evaluation.sweep import Evaluated, Evaluator
from xfer_bench.evaluation.upkeep import damaged
from xfer_bench.progress import Progress, silent
from xfer_bench.results import Results
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS

LANGUAGES = ("et", "sw", "tr")
ITEMS = 200
CHECKOUT = Path(__file__).resolve().parents[2]

# Commits so often, says so often how far it is, and leaves a file behind when it begins with what was asked.
PROGRAM = """
import sys
from pathlib import Path
from xfer_bench import bars
from xfer_bench.evaluation import scoring
from xfer_bench.cli import main
scoring.COMMIT_SECONDS = float(sys.argv.pop(1))
bars._LOG_EVERY = float(sys.argv.pop(1))
Path(sys.argv.pop(1)).touch()
main()
"""
# One sequence a batch: as slow as it gets, without being larger.
SLOWLY = ("--batch-tokens", "16")


def long_mirror(root: Path, *, items: int = ITEMS) -> Path:
    """XCOPA with this many invented rows in some languages; no two are equal."""
    small_mirror(root)
    nouns = ("cat", "dog", "cup", "book", "boat", "lamp", "tree", "door", "song", "fish", "road", "star")
    verbs = ("fell", "broke", "moved", "shone", "burned", "sank", "grew", "froze", "spun", "melted")

    def sentence(row: int, shift: int) -> str:
        noun, verb = nouns[(row + shift) % len(nouns)], verbs[(row // 3 + shift) % len(verbs)]
        return " ".join(["the", noun, verb, *str(row), *(["so"] * (row % 7))])

    for language in LANGUAGES:
        columns: dict[str, list[Any]] = {
            "premise": [f"{sentence(row, 0)} {language}" for row in range(items)],
            "choice1": [sentence(row, 1) for row in range(items)],
            "choice2": [sentence(row, 5) for row in range(items)],
            "question": ["cause" if row % 2 else "effect" for row in range(items)],
            "label": [row // 2 % 2 for row in range(items)],
            "idx": list(range(items)),
        }
        write(root, "cambridgeltl/xcopa", {f"{language}/test-00000-of-00001.parquet": columns})
    return root


@dataclass(frozen=True, kw_only=True)
class Place:
    """Checkpoints over a mirror, and the folder that the store and the results go to."""

    mirror: Path
    checkpoints: tuple[Path, ...]
    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def results(self) -> Results:
        return Results(self.folder / "results")

    def arguments(self, *more: str) -> list[str]:
        """Of `xfer-bench eval`."""
        languages = [word for one in LANGUAGES for word in ("-l", one)]
        out = ["-o", str(self.results.folder), "--data-root", str(self.mirror)]
        return ["eval", *map(str, self.checkpoints), "-t", "xcopa", "--variant", "published", *languages, *out, *more]

    def started(self, *more: str, commit: float = 0.01, talk: float = 60.0) -> "Started":
        """The program on its way: everything is imported, and the request begins.

        commit, talk: seconds between two commits, and between two lines about its progress.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        begun = self.folder / "begun"
        begun.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(commit), str(talk), str(begun), *self.arguments(*more)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
            env={**os.environ, "XFER_BENCH_STORE": str(self.store), "OMP_NUM_THREADS": "1"},
            # So that Ctrl-C can be sent as a terminal does, to all of its processes and to none of ours.
            start_new_session=True,
        )
        while not begun.exists() and process.poll() is None:
            time.sleep(0.002)
        return Started(process=process, place=self)

    def evaluate(
        self, *, progress: Progress = silent, devices: str = "cpu", batch_tokens: int | None = 16
    ) -> Evaluated:
        """The same request in this process."""
        evaluator = Evaluator(
            sources=Sources(data_root=self.mirror),
            tasks=TASKS,
            store=self.store,
            batch_tokens=batch_tokens,
            devices=devices,
            progress=progress,
        )
        ask = Ask(tasks=("xcopa",), languages=LANGUAGES, variants=("published",))
        return evaluator.evaluate(discover(map(str, self.checkpoints)), ask, results=self.results)

    def opened(self) -> PredictionStore:
        return PredictionStore(self.store)

    def files(self) -> list[Path]:
        """The files of all blocks."""
        return sorted((self.store / "blocks").rglob("[!.]*.parquet"))

    def drafts(self) -> list[Path]:
        """What is left of files that were never finished."""
        return sorted(self.folder.rglob(".*.tmp"))

    def held(self) -> frozenset[bytes]:
        """Digests of weights and row of all predictions in the store, after every block was seen to be whole."""
        if not self.store.exists():
            return frozenset()
        with self.opened() as store:
            assert list(damaged(store)) == []
            assert store.warnings == []
        return rows_in(self.files())


@dataclass(frozen=True, kw_only=True)
class Started:
    """The program in a process of its own."""

    process: "subprocess.Popen[str]"
    place: Place

    def ended(self, *, within: float = 60.0) -> tuple[int, list[str]]:
        """Its exit code and what it said, line by line, on the error stream."""
        said = self.process.communicate(timeout=within)[1]
        return self.process.returncode, [line for line in said.splitlines() if line]

    def has_scored(self, share: int) -> bool:
        """Wait until it says that it has scored so many hundredths; False when it ended before. It has to talk."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            word, _, rest = line.partition(" ")
            if word == "evaluation" and int(rest.split(" ")[0]) >= share:
                return True
        return False


def rows_in(files: Sequence[Path]) -> frozenset[bytes]:
    """Digests of weights and row of the predictions in some blocks."""
    found: set[bytes] = set()
    for file in files:
        rows = pl.read_parquet(file, columns=["weights", "row"])
        found |= {weights.encode() + row for weights, row in rows.iter_rows()}
    return frozenset(found)


def same(results: Results, expected: pl.DataFrame, *, within: float = 1e-4) -> bool:
    """Whether the predictions are these, with scores that differ by at most so much."""
    keys = ["run", "task", "language", "item"]
    ours, theirs = results.predictions().sort(keys), expected.sort(keys)
    gaps = (ours["scores"].explode() - theirs["scores"].explode()).abs()
    answers = [*keys, "cluster", "label", "prediction"]
    return ours.select(answers).equals(theirs.select(answers)) and float(gaps.max()) <= within  # type: ignore[arg-type]
