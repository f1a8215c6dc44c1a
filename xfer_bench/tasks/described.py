"""A task made of its description: one part a split and language, and a reader of the columns that it names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import polars as pl

from xfer_bench.errors import SourceError
from xfer_bench.tasks.cells import TEXT, TEXT_OR_WHOLE, TEXTS, Kind, check_kinds, whole_numbers
from xfer_bench.tasks.description import Description
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE
from xfer_bench.tasks.nli import NLI
from xfer_bench.tasks.readers import joined, options, position
from xfer_bench.tasks.task import Part, Split, Task

_FORMATS = MappingProxyType({one.name: one for one in (NLI, MULTIPLE_CHOICE)})


def task_of(description: Description) -> Task:
    """The task that a file describes."""
    return Task(
        name=description.name,
        format=_FORMATS[description.format],
        parts=tuple(
            _part(description, split, language, config=config, name=name)
            for split in description.splits
            for language, (config, name) in description.places(split).items()
        ),
        licence=description.licence,
        chance=description.chance or 0.0,
        parallel=description.parallel,
        machine_translated=description.machine_translated,
        settings=MappingProxyType(description.settings),
        barred=MappingProxyType(description.barred),
    )


def _part(description: Description, split: Split, language: str, *, config: str, name: str) -> Part:
    return Part(
        split=split,
        languages=(language,),
        repository=description.repository,
        # A part's configuration is a pattern in braces.
        config=config.replace("{", "{{").replace("}", "}}"),
        read=Reader(description=description, where=f"{description.repository} ({config}, {name})"),
        columns=tuple(dict.fromkeys(path.split(".")[0] for path in description.columns.read())),
        upstream_split=name,
        revision=description.revision,
    )


@dataclass(frozen=True, kw_only=True)
class Reader:
    """From the columns that a description names to `text`, `candidates`, `label`, and what else it names.

    where: names the rows in errors. Keeps every row, in order; an answer that is known to be none becomes null.
    Raises SourceError, naming the row, for a label or a value that the description does not know, and for
    columns of other types.
    """

    description: Description = field(repr=False)
    where: str

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows read."""
        columns = self.description.columns
        flat = pl.DataFrame([self._column(frame, path) for path in columns.read()])
        check_kinds(flat, self._kinds())
        if columns.premise and columns.hypothesis:
            text, candidates = pl.col(columns.premise), pl.concat_list(pl.col(columns.hypothesis))
        else:
            several = len(columns.choices) > 1
            text, candidates = joined(*columns.text), options(*columns.choices) if several else pl.col(columns.choices)
        read = flat.select(text=text, candidates=candidates).with_columns(self._labels(flat))
        return read.with_columns(*self._names(flat))

    def _kinds(self) -> dict[str, Kind]:
        """What the columns must hold; the label is looked at by itself."""
        columns = self.description.columns
        several = len(columns.choices) > 1
        kinds = dict.fromkeys((*columns.text, columns.premise, columns.hypothesis), TEXT)
        kinds |= dict.fromkeys(columns.choices, TEXT if several else TEXTS)
        named = (columns.item, columns.cluster, columns.language)
        kinds |= {path: TEXT_OR_WHOLE for path in named if path not in kinds}
        return {path: kind for path, kind in kinds.items() if path}

    def _names(self, flat: pl.DataFrame) -> list[pl.Series]:
        """What the description says of item, cluster and language."""
        columns = self.description.columns
        named = {"item": columns.item, "cluster": columns.cluster, "language": columns.language}
        found = {name: flat[path].cast(pl.String).alias(name) for name, path in named.items() if path}
        if "language" in found:
            found["language"] = found["language"].replace(self.description.language_names)
        rows = pl.int_range(flat.height, eager=True)
        if self.description.rows_per_cluster:
            found["cluster"] = (rows // self.description.rows_per_cluster).cast(pl.String).alias("cluster")
        elif columns.premise and "cluster" not in found:
            same = (
                flat.select(columns.premise).with_columns(row=rows).select(pl.col("row").first().over(columns.premise))
            )
            found["cluster"] = same["row"].cast(pl.String).alias("cluster")
        return list(found.values())

    def _labels(self, flat: pl.DataFrame) -> pl.Series:
        """The answers' numbers; null where there is none."""
        columns, labels = self.description.columns, self.description.labels
        given = flat[columns.label]
        none = given.cast(pl.String).is_in(list(self.description.unlabelled)).fill_null(value=False)
        answers = given.set(none, None) if none.any() else given
        if columns.keys:
            return position(answers.cast(pl.String), flat[columns.keys].cast(pl.List(pl.String)))
        if labels:
            numbers = {label: number for number, label in enumerate(labels)}
            return self._replaced(answers.cast(pl.String), numbers, what="label").rename("label")
        return (whole_numbers(answers) if answers.dtype == pl.String else answers).rename("label")

    def _column(self, frame: pl.DataFrame, path: str) -> pl.Series:
        """A column by its path, with what is read instead of its values."""
        first, *inner = path.split(".")
        found = frame[first]
        for name in inner:
            found = self._field(found, name)
        instead = self.description.values.get(path)
        return (self._replaced(found.cast(pl.String), instead, what=path) if instead else found).rename(path)

    def _field(self, found: pl.Series, name: str) -> pl.Series:
        """A field of structures, or of lists of structures."""
        listed = isinstance(found.dtype, pl.List)
        held = found.dtype.inner if isinstance(found.dtype, pl.List) else found.dtype
        fields = [field.name for field in held.fields] if isinstance(held, pl.Struct) else []
        if name not in fields:
            has = f"has {', '.join(fields)}" if fields else f"is {found.dtype}"
            raise SourceError(f"{self.where}: no {name!r} in the column {found.name!r}, which {has}")
        if listed:
            return found.list.eval(pl.element().struct.field(name))
        return found.struct.field(name)

    def _replaced(self, found: pl.Series, instead: Mapping[str, Any], *, what: str) -> pl.Series:
        known = found.is_in(list(instead)) | found.is_null()
        if not known.all():
            row = int((~known).arg_true()[0])
            allowed = ", ".join(repr(value) for value in instead)
            raise SourceError(f"{self.where}: row {row} has the {what} {found[row]!r}; allowed are {allowed}")
        return found.replace_strict(instead)
