"""The record of a results folder: which rows its predictions are of, and what its runs end in."""

import json
from dataclasses import dataclass
from typing import Any

import polars as pl

from xfer_bench.digest import value_digest
from xfer_bench.report.tables import block
from xfer_bench.results import Results

_KEY = ["task", "variant", "split", "language"]
_RUN = ["run", "step"]
_HEADS = ("task", "split", "language", "repository", "revision", "rows", "fingerprint", "runs")
_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Record:
    """data: DATA and `runs`, the number of runs (or steps of one) that were scored on these rows.

    unrecorded: task, variant, split, language and `runs` whose rows were not told; checkpoints: CHECKPOINTS.
    """

    data: pl.DataFrame
    unrecorded: pl.DataFrame
    checkpoints: pl.DataFrame


def record_of(results: Results) -> Record:
    """What a folder tells. Raises ResultsError when there is none, it is empty, or a file is damaged."""
    scored, uses = results.scored(), results.uses()
    used = uses.join(scored, on=[*_RUN, *_KEY], how="semi", nulls_equal=True)
    counts = used.group_by(*_KEY, "fingerprint").agg(runs=pl.struct(_RUN).n_unique())
    rest = scored.join(uses, on=[*_RUN, *_KEY], how="anti", nulls_equal=True)
    return Record(
        data=results.data().join(counts, on=[*_KEY, "fingerprint"], how="inner").sort(*_KEY, "fingerprint"),
        unrecorded=rest.group_by(_KEY).agg(runs=pl.struct(_RUN).n_unique()).sort(_KEY),
        checkpoints=results.checkpoints(),
    )


def render_record(record: Record, *, as_json: bool) -> str:
    """As text: a line for each language, then what is not known, and the checkpoints; or JSON, with every lineage."""
    if as_json:
        return json.dumps(
            {
                "data": record.data.to_dicts(),
                "unrecorded": record.unrecorded.to_dicts(),
                "checkpoints": [_checkpoint(row) for row in record.checkpoints.iter_rows(named=True)],
            },
            indent=2,
            ensure_ascii=False,
        )
    parts: list[str] = []
    if not record.data.is_empty():
        parts.append(block("rows", _HEADS, [_cells(row) for row in record.data.iter_rows(named=True)], "table"))
        licences = record.data.select("repository", "license").unique(maintain_order=True)
        parts.append("\n".join(f"{name}: {licence or 'licence not known'}" for name, licence in licences.iter_rows()))
    for (task, variant, split), cells in record.unrecorded.group_by(["task", "variant", "split"], maintain_order=True):
        most = max(cells["runs"].to_list())
        runs = f"{most} run{'' if most == 1 else 's'}"
        name = _named(str(task), str(variant))
        parts.append(f"not recorded, for up to {runs}: {name} {split} in {', '.join(cells['language'])}")
    parts.append(_checkpoints(record.checkpoints))
    return "\n\n".join(parts)


def short_record(data: pl.DataFrame) -> str:
    """DATA in a few words, for below a table: each task's splits with a digest of their fingerprints; else empty."""
    said = [
        f"{_named(str(task), str(variant))} {split} {_together(part)}"
        for (task, variant, split), part in data.group_by(["task", "variant", "split"], maintain_order=True)
    ]
    return f"rows: {', '.join(said)}" if said else ""


def torn_record(data: pl.DataFrame) -> str:
    """A caution where DATA of one folder has several contents of one column, as a kill between two runs leaves it."""
    key = ["task", "variant", "split"]
    torn = data.filter(pl.struct(*key, "language").is_duplicated())
    if torn.is_empty():
        return ""
    where = ", ".join(
        f"{_named(str(task), str(variant))} {split} in {' '.join(sorted(part['language'].unique()))}"
        for (task, variant, split), part in torn.group_by(key, maintain_order=True)
    )
    return (
        f"caution: runs are of different rows of {where}, and a gain may be one of rows; score them all in one call "
        "(`xfer-bench data provenance` tells which are of which)"
    )


def _together(part: pl.DataFrame) -> str:
    return value_digest(part.sort("language", "fingerprint").select("language", "fingerprint").rows())[:8]


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        _named(row["task"], row["variant"]),
        row["split"],
        row["language"],
        row["repository"],
        row["revision"][:_SHOWN] or "unknown",
        f"{row['rows']:,}",
        row["fingerprint"][:_SHOWN],
        f"{row['runs']:,}",
    ]


def _named(task: str, variant: str) -> str:
    return task if variant == "published" else f"{task} ({variant})"


def _checkpoints(rows: pl.DataFrame) -> str:
    if rows.is_empty():
        return "no checkpoint is recorded"
    models = rows.filter(pl.col("model") != "").group_by("model", maintain_order=True).len()
    begun = [f"{number:,} began with {model}" for model, number in models.iter_rows()]
    foreign = rows.filter(pl.col("lineage") == "").height
    said = [*begun, *([f"{foreign:,} without a lineage"] if foreign else [])]
    return f"{rows.height:,} checkpoint{'' if rows.height == 1 else 's'}: {', '.join(said)}"


def _checkpoint(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "lineage": json.loads(row["lineage"]) if row["lineage"] else None}
