"""Translations against each other: the same items, the same labels and questions, and texts that were translated.

The consensus rule. What a translation must leave as it is, such as the label and COPA's question, is compared by item
over all languages: an item's value is the one that more than half of the languages have, and every other language
disagrees there. Languages that never disagree are called clean; that all clean languages agree on every item is what
makes the majority a consensus, and it is said how many do. An item without a majority is said to have none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from xfer_bench.audit.findings import Finding, Grade
from xfer_bench.audit.sheet import Sheet, counted, own_words
from xfer_bench.tasks.task import Split

# A column with so few values in all languages together is one that a translation leaves as it is.
_VALUES = 10
_LETTERS = 12
_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class Page:
    """What is compared of one language: item, marks (`mark_…`), `said` (a hash of text and answer) and letters."""

    task: str
    split: Split
    language: str
    rows: pl.DataFrame


def page_of(sheet: Sheet) -> Page:
    """What of a sheet is compared with the other languages."""
    columns = sheet.columns
    plain = [name for name in columns.columns if columns.schema[name] == pl.String or columns.schema[name].is_integer()]
    marks = [name for name in plain if columns[name].n_unique() <= _VALUES]
    said = sheet.usable.select(
        "row",
        said=sheet.said.select(pl.concat_str("text", "gold", separator=" ")).to_series().hash(),
        letters=own_words().str.replace_all(r"[^\p{L}]+", "").str.len_chars(),
    )
    items = sheet.items.select("item", "row").hstack(
        [columns[name].cast(pl.String).alias(f"mark_{name}") for name in marks]
    )
    rows = items.join(said, on="row", how="left", maintain_order="left").drop("row")
    return Page(task=sheet.task.name, split=sheet.split, language=sheet.language, rows=rows)


def check_parallel(pages: Sequence[Page]) -> Iterator[Finding]:
    """Findings about one split of a parallel task, given all its languages."""
    if len(pages) < 2:
        return
    yield from _items(pages)
    marks = sorted({name for page in pages for name in page.rows.columns if name.startswith("mark_")})
    for mark in marks:
        having = [page for page in pages if mark in page.rows.columns]
        values = pl.concat([page.rows[mark] for page in having]).n_unique()
        if len(having) > 2 and values <= _VALUES:
            yield from _marks(having, mark)
    yield from _untranslated(pages)


def _items(pages: Sequence[Page]) -> Iterator[Finding]:
    """Items that some languages have and others lack."""
    everything = pl.concat([page.rows["item"] for page in pages]).unique(maintain_order=True)
    for page in pages:
        lacking = everything.filter(~everything.is_in(page.rows["item"].implode()))
        if len(lacking):
            message = f"lacks {counted(len(lacking), 'item')} that other languages have"
            yield _finding(page, message, lacking)


def _marks(pages: Sequence[Page], mark: str) -> Iterator[Finding]:
    name = mark.removeprefix("mark_")
    values = pl.concat([page.rows.select("item", value=mark, language=pl.lit(page.language)) for page in pages])
    votes = values.group_by("item", "value").agg(votes=pl.len())
    majority = votes.filter(pl.col("votes") * 2 > pl.col("votes").sum().over("item")).select("item", agreed="value")
    disagreeing = values.join(majority, on="item", maintain_order="left").filter(
        pl.col("value").ne_missing(pl.col("agreed"))
    )
    dirty = disagreeing["language"].unique()
    clean = len(pages) - len(dirty)
    for page in pages:
        wrong = disagreeing.filter(pl.col("language") == page.language)
        if wrong.height:
            given = ", ".join(repr(value) for value in wrong["value"].unique().sort().to_list())
            message = (
                f"the {name} differs from what most languages have in {counted(wrong.height, 'row', page.rows.height)} "
                f"(here {given}); {clean} of {len(pages)} languages agree on every item"
            )
            yield _finding(page, message, wrong["item"])
    divided = values["item"].unique(maintain_order=True)
    divided = divided.filter(~divided.is_in(majority["item"].implode()))
    if len(divided):
        message = f"the {name} has no majority among {len(pages)} languages in {counted(len(divided), 'item')}"
        yield _finding(pages[0], message, divided, language="")


def _untranslated(pages: Sequence[Page]) -> Iterator[Finding]:
    """Rows whose text and answer stand in another language in the same words."""
    said = pl.concat([page.rows.select("item", "said", "letters", language=pl.lit(page.language)) for page in pages])
    equal = said.filter((pl.col("letters") >= _LETTERS) & (pl.len().over("item", "said") > 1))
    for page in pages:
        same = equal.filter(pl.col("language") == page.language)
        if same.height:
            others = (
                equal.join(same.select("item", "said"), on=["item", "said"], how="semi")["language"].unique().sort()
            )
            names = ", ".join(one for one in others if one != page.language)
            message = f"{counted(same.height, 'row')} have the very words of another language ({names})"
            grade: Grade = "warning" if same.height > _SHARE * page.rows.height else "note"
            yield Finding(
                grade=grade,
                check="untranslated",
                task=page.task,
                language=page.language,
                split=page.split,
                message=message,
                items=tuple(same["item"].to_list()),
            )


def _finding(page: Page, message: str, items: pl.Series, *, language: str | None = None) -> Finding:
    return Finding(
        grade="error",
        check="parallel",
        task=page.task,
        language=page.language if language is None else language,
        split=page.split,
        message=message,
        items=tuple(items.to_list()),
    )
