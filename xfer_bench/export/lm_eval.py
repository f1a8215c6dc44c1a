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
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench import __version__
from xfer_bench.errors import ResultsError
from xfer_bench.export.origins import Origins
from xfer_bench.metrics import with_correct
from xfer_bench.results import Results, new_folder, rows_of_run
from xfer_bench.tasks import TASKS

_CELL = ["task", "variant", "split", "language"]
_SETTINGS = ["run", "step", "arm", "setting", "target", "intermediate_seed", "target_seed", "precision", "weights"]
_SOURCE = "xfer-bench"
_VERSION = f"{_SOURCE} {__version__}"
_FILTER = "none"  # the harness names the answers that no filter changed so
_LONGEST_NAME = 120
_JSON = json.JSONEncoder(ensure_ascii=False)
# English COPA is XCOPA's English column here, and a task of its own there.
_OWN_NAMES: Mapping[tuple[str, str], str] = {("xcopa", "en"): "copa"}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written: models (a run, or a step of one), and samples."""

    models: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class _Score:
    """A task's result. group: what it is averaged in, if anything; hash: of its documents, prompts and targets."""

    name: str
    group: str | None
    right: int
    items: int
    clusters: int
    hash: str
    settings: Mapping[str, Any]

    @property
    def accuracy(self) -> float:
        """As a fraction."""
        return self.right / self.items

    @property
    def stderr(self) -> float | None:
        """Standard error of the mean of the items' 0 and 1, from their sample variance; none for one item."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / (self.items - 1)) if self.items > 1 else None


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
                page = _page(model, folder.name, part, scores, time=time)
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


def _write_samples(rows: pl.DataFrame, folder: Path, origins: Origins, *, date: str) -> list[_Score]:
    scores: list[_Score] = []
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
            _Score(
                name=name,
                group=group,
                right=int(cell["correct"].sum()),
                items=cell.height,
                clusters=cell["cluster"].n_unique(),
                hash=running.hexdigest(),
                settings={
                    **{one: _only(cell, one) for one in [*_CELL, "weights", "precision", "seen_in_intermediate"]},
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
            "filter": _FILTER,
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


def _page(model: str, folder: str, rows: pl.DataFrame, scores: Sequence[_Score], *, time: datetime) -> dict[str, Any]:
    """The content of a results file."""
    groups = _groups(scores)
    means = {group: _mean(group, members) for group, members in groups.items()}
    named = [*groups, *(one.name for one in scores)]
    settings = {name: _only(rows, name) for name in _SETTINGS}
    return {
        "results": {**means, **{one.name: _result(one) for one in scores}},
        **({"groups": means} if means else {}),
        "group_subtasks": {group: [one.name for one in members] for group, members in groups.items()},
        "configs": {one.name: _config(one) for one in scores},
        "versions": dict.fromkeys(named, _VERSION),
        "n-shot": dict.fromkeys(named, 0),
        "higher_is_better": {name: {"acc": True} for name in named},
        # Under a limit the rest of the split was never seen, so its size is not known here.
        "n-samples": {one.name: {"original": one.items, "effective": one.items} for one in scores},
        "config": {
            "model": _SOURCE,
            "model_args": {"pretrained": model, "dtype": settings["precision"]},
            "model_dtype": settings["precision"],
            "model_sha": settings["weights"],
            "xfer_bench": {"version": __version__, **settings, "seen": _seen(rows)},
        },
        "date": time.timestamp(),
        "model_source": _SOURCE,
        "model_name": model,
        "model_name_sanitized": folder,
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": None,
        "chat_template": None,
        "chat_template_sha": None,
        "task_hashes": {one.name: one.hash for one in scores},
    }


def _groups(scores: Sequence[_Score]) -> dict[str, list[_Score]]:
    """Several languages of one task, by its name; none where the name is that of a task already."""
    names = {one.name for one in scores}
    found: dict[str, list[_Score]] = {}
    for one in scores:
        if one.group is not None and one.group not in names:
            found.setdefault(one.group, []).append(one)
    return {group: members for group, members in found.items() if len(members) > 1}


def _result(score: _Score) -> dict[str, Any]:
    return {
        "name": score.name,
        "alias": score.name,
        "sample_len": score.items,
        f"acc,{_FILTER}": score.accuracy,
        f"acc_stderr,{_FILTER}": "N/A" if score.stderr is None else score.stderr,
    }


def _mean(group: str, scores: Sequence[_Score]) -> dict[str, Any]:
    """The mean over all items of a group, and its standard error from the pooled variance of its tasks.

    Pooled variance: https://en.wikipedia.org/wiki/Pooled_variance, as the harness has it for means weighted by size.
    Not this package's average, which weighs languages alike and leaves English out.
    """
    items = sum(one.items for one in scores)
    variances = [one.items * one.stderr**2 for one in scores if one.stderr is not None]
    pooled = sum((one.items - 1) * variance for one, variance in zip(scores, variances, strict=False))
    whole = len(variances) == len(scores)
    return {
        "alias": group,
        "name": group,
        "sample_len": items,
        f"acc,{_FILTER}": sum(one.right for one in scores) / items,
        f"acc_stderr,{_FILTER}": math.sqrt(pooled / (items - len(scores)) / items) if whole else "N/A",
        "sample_count": {f"acc,{_FILTER}": items},
    }


def _config(score: _Score) -> dict[str, Any]:
    return {
        "task": score.name,
        **({"dataset_path": score.settings["repository"]} if "repository" in score.settings else {}),
        "dataset_name": score.settings["language"],
        "test_split": score.settings["split"],
        "output_type": "multiple_choice",
        "num_fewshot": 0,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "repeats": 1,
        "should_decontaminate": False,
        "metadata": {
            "version": _VERSION,
            **score.settings,
            "clusters": score.clusters,
            "acc_stderr": "of independent items; ignores clusters",
        },
    }


def _only(rows: pl.DataFrame, name: str) -> Any:
    """The value that all rows have, or the list of those they have."""
    values = rows[name].unique(maintain_order=True).to_list()
    return values[0] if len(values) == 1 else values


def _seen(rows: pl.DataFrame) -> list[str]:
    return sorted(rows.filter("seen_in_intermediate")["language"].unique())


def _document_hash(document: Mapping[str, str]) -> str:
    """Of the document as JSON with an indent of two, written out: the indenting encoder is far slower."""
    lines = ",\n".join(f'  "{name}": {_JSON.encode(value)}' for name, value in document.items())
    return _hash(f"{{\n{lines}\n}}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
