"""Predictions in the layout of lm-evaluation-harness (as of 0.4.13), so that what reads its output reads ours.

    OUT/
    └── RUN/                                one folder a model; odd characters of its name become `__`
        ├── results_DATE.json               accuracies, their standard errors, and the settings
        └── samples_TASK_DATE.jsonl         one line an item, one file a task; here every language is a task

Two things differ from the rest of this package, because the layout asks for them. Accuracies are fractions. And a
standard error is that of a mean of independent items: it ignores that the items of a cluster belong together, so the
intervals of `xfer-bench compare` and `eval` are the ones to report.

No texts are written, whose licences differ: a document is its item, cluster and language, and the hashes are of that.
What is not known of a run (the library versions that scored it, its batch size) is left out rather than made up; where
the rows came from, and a checkpoint's lineage, are told where the results folder tells them.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.export.lm_eval_page import FILTER, Score, only, page_of
from xfer_bench.export.origins import Origins
from xfer_bench.metrics import with_correct
from xfer_bench.results import Results, new_folder, rows_of_run
from xfer_bench.tasks import TASKS

_CELL = ["task", "variant", "split", "language"]
_LONGEST_NAME = 120
_JSON = json.JSONEncoder(ensure_ascii=False)
# English COPA is XCOPA's English column here, and a task of its own there.
_OWN_NAMES: Mapping[tuple[str, str], str] = {("xcopa", "en"): "copa"}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written: models (a run, or a step of one), and samples."""

    models: int
    samples: int


def export_lm_eval(results: Results, out: str | Path, *, time: datetime) -> Exported:
    """Write all predictions to a new folder in the harness's layout, whole or not at all.

    time: goes into the file names and the results; readers take the newest file. One run is in memory at a time.
    Raises ResultsError when there are no predictions, a file is damaged, a cell holds an item twice or an answer is
    missing, two tasks would get one name, or `out` is there already.
    """
    runs = results.runs()
    origins = Origins.of(results)
    names: set[str] = set()
    samples = 0
    with new_folder(Path(out)) as draft:
        for run, files in runs.items():
            rows = rows_of_run(run, files)
            steps = with_correct(rows).partition_by("step", maintain_order=True)
            for part in steps:
                model = run if len(steps) == 1 else f"{run}@{part['step'][0]}"
                folder = draft / _folder_name(model, names)
                folder.mkdir()
                scores = _write_samples(part, folder, origins, date=_date(time))
                page = page_of(part, scores, model=model, folder=folder.name, time=time)
                page["config"]["xfer_bench"] |= origins.of_run(part.row(0, named=True))
                text = json.dumps(page, indent=2, ensure_ascii=False, allow_nan=False)
                (folder / f"results_{_date(time)}.json").write_text(text, encoding="utf-8")
                samples += part.height
        return Exported(models=len(names), samples=samples)


def _date(time: datetime) -> str:
    """As in the harness's file names: local time, and no colon, which some file systems refuse."""
    return time.astimezone().replace(tzinfo=None).isoformat(timespec="microseconds").replace(":", "-")


def _folder_name(model: str, taken: set[str]) -> str:
    """The model's name as the harness would write it, where that is a name for one folder and no other."""
    name = re.sub(r'["<>:/|\\?*\[\]]+', "__", model)
    if name in {"", ".", ".."} or name in taken or len(name) > _LONGEST_NAME or not name.isprintable():
        clean = re.sub(r"[^A-Za-z0-9._+=@-]+", "_", name[:_LONGEST_NAME]).strip(".")
        name = f"{clean or 'run'}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
    taken.add(name)
    return name


def _write_samples(rows: pl.DataFrame, folder: Path, origins: Origins, *, date: str) -> list[Score]:
    scores: list[Score] = []
    for cell in sorted(rows.partition_by(_CELL), key=lambda part: part.select(_CELL).row(0)):
        group, name = _names(cell.row(0, named=True))
        if any(one.name == name for one in scores):
            raise ResultsError(f"two tasks of run {cell['run'][0]!r} would both be named {name!r} in this layout")
        if cell["item"].n_unique() < cell.height:
            raise ResultsError(f"run {cell['run'][0]!r} has an item of {name} more than once; each item may occur once")
        running = hashlib.sha256()
        with (folder / f"samples_{name}_{date}.jsonl").open("w", encoding="utf-8") as stream:
            for sample in _samples(cell):
                running.update((sample["doc_hash"] + sample["prompt_hash"] + sample["target_hash"]).encode())
                stream.write(_JSON.encode(sample) + "\n")
        scores.append(
            Score(
                name=name,
                group=group,
                right=int(cell["correct"].sum()),
                items=cell.height,
                clusters=cell["cluster"].n_unique(),
                hash=running.hexdigest(),
                settings={
                    **{one: only(cell, one) for one in [*_CELL, "weights", "precision", "seen_in_intermediate"]},
                    **origins.of_rows(cell.row(0, named=True)),
                },
            )
        )
    return scores


def _names(row: Mapping[str, Any]) -> tuple[str | None, str]:
    """Group and task. The harness's own names are for the published test items; others carry what they are."""
    task, language = row["task"], row["language"]
    kind = "".join(
        f"_{row[name]}" for name, usual in (("variant", "published"), ("split", "test")) if row[name] != usual
    )
    own = _OWN_NAMES.get((task, language))
    # Names are parts of file names, whose readers look for the outermost underscores.
    group, name = (re.sub(r"[^\w.+-]+", "_", one) for one in (f"{task}{kind}", f"{own or f'{task}_{language}'}{kind}"))
    return None if own else group, name


def _samples(cell: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """One line an item, in the order of their numbers."""
    classes = TASKS[cell["task"][0]].format.labels if cell["task"][0] in TASKS else ()
    # As text a float32 is its shortest decimal form; as a Python number it would have fifteen digits of noise.
    shown = pl.col("scores").list.eval(pl.element().cast(pl.String)).alias("shown")
    for row in cell.with_columns(_numbers(cell["item"]), shown).sort("doc_id").iter_rows(named=True):
        document = {name: row[name] for name in ("item", "cluster", "language")}
        prompt = f"{row['task']} {row['split']} {row['language']} item {row['item']}"
        target = str(row["label"])
        scores = row["shown"] or []
        answers = [classes[place] if len(classes) == len(scores) else str(place) for place in range(len(scores))]
        yield {
            "doc_id": row["doc_id"],
            "doc": document,
            "target": target,
            "arguments": {
                f"gen_args_{place}": {"arg_0": prompt, "arg_1": answer} for place, answer in enumerate(answers)
            },
            # The second of a pair says whether the text is what the model would have written; an encoder writes none.
            "resps": [[[score, "N/A"]] for score in scores],
            "filtered_resps": [[score, "N/A"] for score in scores],
            "filter": FILTER,
            "metrics": ["acc"],
            "doc_hash": _document_hash(document),
            "prompt_hash": _hash(prompt),
            "target_hash": _hash(target),
            "acc": float(row["correct"]),
        }


def _numbers(items: pl.Series) -> pl.Series:
    """The items' own numbers where they have them, so that they are the same with and without a limit; else places."""
    numbers = items.cast(pl.Int64, strict=False).alias("doc_id")
    if numbers.null_count() or numbers.n_unique() < len(items) or numbers.lt(0).any():
        return items.rank("ordinal").cast(pl.Int64).alias("doc_id") - 1
    return numbers


def _document_hash(document: Mapping[str, str]) -> str:
    """Of the document as JSON with an indent of two, written out: the indenting encoder is far slower."""
    lines = ",\n".join(f'  "{name}": {_JSON.encode(value)}' for name, value in document.items())
    return _hash(f"{{\n{lines}\n}}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
