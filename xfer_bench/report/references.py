"""Published numbers as a table of text, with their sources."""

import polars as pl

from xfer_bench.report.tables import Format, as_json, block, escaped

_COLUMNS = ("model", "setting", "split", "language", "value", "reading")


def render_references(found: pl.DataFrame, *, format: Format) -> str:
    """REFERENCES as text, in their order; the sources stand below the tables."""
    if format == "json":
        return as_json("references", found.to_dicts(), {})
    if format == "csv":
        return found.write_csv().rstrip("\n")
    sources = list(dict.fromkeys(found["source"]))
    blocks = []
    by = ["task", "table", "metric", "source"]
    for (task, table, metric, source), rows in found.partition_by(by, as_dict=True, maintain_order=True).items():
        cells = [[*named, f"{value:g}", reading] for *named, value, reading in rows.select(_COLUMNS).iter_rows()]
        title = f"{task}, {table}: {metric} [{sources.index(str(source)) + 1}]"
        blocks.append(block(title, _COLUMNS, cells, format))
    listed = [f"[{place}] {source}" for place, source in enumerate(sources, start=1)]
    return "\n\n".join([*blocks, "  \n".join(map(escaped, listed)) if format == "markdown" else "\n".join(listed)])
