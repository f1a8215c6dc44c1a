"""What a request costs besides scoring, as it grows: checkpoints × columns, seconds a checkpoint, peak memory.

    python benchmarks/growth.py [--data-root DIR] [--checkpoints 1 10 100] [--columns 1 5 27] [--limit 100]

Small random models with the starter's tokenizer, so that scoring is nearly free and what is left is ours: planning,
hashing, loading, tokenising, writing blocks and results. Each request runs in a process and a store of its own, twice:
cold, then again for nothing. `besides` is per checkpoint and first request; the first checkpoint's share of importing
torch and of tokenising is in `start`.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

XNLI = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
XCOPA = ("en", "et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh")


def main() -> None:
    """Measure every combination and print a table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data-root", type=Path, default=os.environ.get("XFER_BENCH_DATA"))
    options.add_argument("--checkpoints", type=int, nargs="+", default=[1, 10, 100])
    options.add_argument("--columns", type=int, nargs="+", default=[1, 5, 27])
    options.add_argument("--limit", type=int, default=100, help="items of each column")
    options.add_argument("--child", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.child:
        task = json.loads(asked.child)
        (_make if "make" in task else _child)(task)
        return
    if asked.data_root is None:
        sys.exit("skipped: no mirror of the data sets; --data-root DIR or XFER_BENCH_DATA=DIR")
    print("checkpoints columns |   cold s  start s  besides s/checkpoint  peak MB |   warm s  peak MB")
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: the peak that the system tells of a new process counts that of its parent.
        _run({"make": max(asked.checkpoints), "folder": folder})
        for count in asked.checkpoints:
            for columns in asked.columns:
                _measure(Path(folder), count, columns, asked.limit, asked.data_root.resolve())


def _measure(folder: Path, count: int, columns: int, limit: int, root: Path) -> None:
    task = {"folder": str(folder), "count": count, "columns": columns, "limit": limit, "root": str(root)}
    cold, warm = (_run(task) for _ in range(2))
    besides = cold["besides"][1:] or cold["besides"]
    print(
        f"{count:11} {columns:7} | {cold['wall']:8.1f} {cold['wall'] - sum(cold['all'][1:]):8.1f}  "
        f"{sum(besides) / len(besides):20.3f}  {cold['peak']:7.0f} | {warm['wall']:8.2f}  {warm['peak']:7.0f}",
        flush=True,
    )


def _run(task: dict[str, object]) -> dict[str, Any]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(task)], capture_output=True, text=True, check=True
    )
    return {"wall": time.perf_counter() - began, **json.loads(done.stdout)}


def _child(task: dict[str, object]) -> None:
    from xfer_bench import Sources
    from xfer_bench.evaluation.discovery import discover
    from xfer_bench.evaluation.request import Ask
    from xfer_bench.evaluation.sweep import Evaluator
    from xfer_bench.results import Results

    folder, columns = Path(str(task["folder"])), int(str(task["columns"]))
    name = f"{task['count']}-{columns}"
    evaluator = Evaluator(sources=Sources(data_root=Path(str(task["root"]))), store=folder / f"store-{name}")
    accounts: list[Any] = []
    for head, tasks, languages in (("nli", "xnli", XNLI[:columns]), ("choice", "xcopa", XCOPA[: max(0, columns - 15)])):
        if languages:
            places = sorted(str(path) for path in (folder / head).iterdir())[: int(str(task["count"]))]
            ask = Ask(
                tasks=(tasks,), languages=tuple(languages), limit=int(str(task["limit"])), variants=("published",)
            )
            done = evaluator.evaluate(discover(places), ask, results=Results(folder / f"results-{name}"))
            accounts += done.accounts
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    besides = [one.all - one.seconds for one in accounts]
    print(json.dumps({"besides": besides, "all": [one.all for one in accounts], "peak": peak}))


def _make(task: dict[str, object]) -> None:
    """So many small random models for each head, with the starter's tokenizer."""
    import torch
    from transformers import AutoModelForMultipleChoice, AutoModelForSequenceClassification, AutoTokenizer, BertConfig

    from xfer_bench.models.heads import quiet
    from xfer_bench.models.origin import local_folder, resolve
    from xfer_bench.tasks.nli import NLI

    folder, count = Path(str(task["folder"])), int(str(task["make"]))
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(local_folder(resolve("starter")))
        labels = dict(enumerate(NLI.labels))
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            pad_token_id=tokenizer.pad_token_id,
            id2label=labels,
            label2id={label: index for index, label in labels.items()},
        )
        kinds: dict[str, Any] = {"nli": AutoModelForSequenceClassification, "choice": AutoModelForMultipleChoice}
        for head, kind in kinds.items():
            for seed in range(count):
                torch.manual_seed(seed)
                place = folder / head / f"{seed:03}"
                kind.from_config(config).save_pretrained(place)
                _tokenizer(tokenizer, place, like=folder / "nli" / "000")
    print("{}")


def _tokenizer(tokenizer: Any, place: Path, *, like: Path) -> None:
    """Save it once, and link it where it is needed again: the starter's is 17 MB."""
    if place == like:
        tokenizer.save_pretrained(place)
        return
    for file in like.glob("*token*"):
        os.link(file, place / file.name)


if __name__ == "__main__":
    main()
