"""The description of a task in a TOML file: which repository of the Hub, and which of its columns hold what.

Syntax only, like a study: what the rows hold is seen when they are read. `docs/own-task.md` shows a file line by line.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from xfer_bench.errors import TaskError
from xfer_bench.recipes import Name
from xfer_bench.tasks.task import Split
from xfer_bench.toml_lines import line_of

_LANGUAGE = "{language}"


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    """How polars writes a whole number or a truth value."""
    return str(value).lower() if isinstance(value, int) else value


Text: TypeAlias = Annotated[str, Field(min_length=1)]
Code: TypeAlias = Annotated[str, Field(pattern="^[a-z]{2,3}$")]
# TOML knows lists only, so tuples are taken from them; what is in them is not converted.
Languages: TypeAlias = Annotated[tuple[Code, ...], Field(min_length=1, strict=False)]
Label: TypeAlias = Annotated[str, BeforeValidator(_as_text)]
Labels: TypeAlias = Annotated[tuple[Label, ...], Field(strict=False)]
# Part of a path or of a pattern of paths below the repository's folder.
Place: TypeAlias = Annotated[str, Field(pattern=r"^[^.<>:/\\|?*\[\]][^<>:/\\|?*\[\]]*$")]
Repository: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Columns(_Value):
    """Which column holds what. A dot leads into a structure: `choices.text`.

    label: the answer. premise, hypothesis: of pairs. text: of multiple choice, one column or several that are joined.
    choices: one column that holds a list, or one column a choice. keys: where the label is one of a list of keys
    (letters, say, or the choices themselves), the column of that list, in the order of the choices.
    language: where one configuration holds several languages. item: by default the row's number.
    cluster: items that belong together; by default those with the same premise, or the item alone.
    """

    label: Text
    premise: Text | None = None
    hypothesis: Text | None = None
    text: Annotated[tuple[Text, ...], Field(strict=False), BeforeValidator(_one_or_more)] = ()
    choices: Annotated[tuple[Text, ...], Field(strict=False), BeforeValidator(_one_or_more)] = ()
    keys: Text | None = None
    language: Text | None = None
    item: Text | None = None
    cluster: Text | None = None

    def read(self) -> tuple[str, ...]:
        """Every column that is read, each once; paths into structures as they stand."""
        single = (self.premise, self.hypothesis, self.label, self.keys, self.language, self.item, self.cluster)
        return tuple(dict.fromkeys([*self.text, *self.choices, *(one for one in single if one)]))


class SplitOf(_Value):
    """What a split is called in the repository, and the languages that have it, if not all."""

    name: Place
    languages: Languages | None = None


_TAKES = {"nli": ("premise", "hypothesis"), "multiple_choice": ("text", "choices")}


class Description(_Value):
    """A task in one repository.

    revision: a commit; by default the newest. config: the configuration; `{language}` in it, or in the name of a
    split, is replaced by the language. configs: instead, language to configuration.
    labels: what the label column holds for each answer, in canonical order (entailment, neutral, contradiction; first
    choice, second, …); by default 0, 1, 2. unlabelled: what it holds where there is no answer; such rows are dropped.
    values: column to a table of what stands in it and what is read instead. language_names: what the language column
    holds to the code. rows_per_cluster: that many consecutive rows are a cluster.
    settings: of a target, setting to training tasks in order. barred: target to the reason why this task may not come
    before it. chance: accuracy of guessing (a fraction).
    """

    name: Name
    format: Literal["nli", "multiple_choice"]
    repository: Repository
    revision: Annotated[str, Field(pattern="^([0-9a-f]{40})?$")] = ""
    config: Place = "default"
    configs: dict[Code, Place] = {}
    languages: Languages
    splits: Annotated[dict[Split, Annotated[SplitOf, BeforeValidator(_named)]], Field(min_length=1)]
    columns: Columns
    labels: Labels = ()
    unlabelled: Labels = ()
    values: dict[str, dict[str, str]] = {}
    language_names: dict[str, Code] = {}
    licence: Text
    parallel: bool = False
    rows_per_cluster: Annotated[int | None, Field(ge=1, validate_default=True)] = None
    chance: Annotated[float | None, Field(gt=0, lt=1, validate_default=True)] = None
    machine_translated: bool = False
    settings: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]] = {}
    barred: dict[Name, Text] = {}

    @field_validator("configs")
    @classmethod
    def _replace_config(cls, configs: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if configs and info.data.get("config", "default") != "default":
            raise ValueError("there is a config already; give one of the two")
        return configs

    @field_validator("languages")
    @classmethod
    def _come_once(cls, languages: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        configs: dict[str, str] = info.data.get("configs") or dict.fromkeys(languages, "")
        twice = [code for place, code in enumerate(languages) if code in languages[:place]]
        if twice:
            raise ValueError(f"the language {twice[0]!r} is given twice")
        if configs.keys() != set(languages):
            raise ValueError(f"they are {', '.join(languages)}, and those of configs are {', '.join(configs)}")
        return languages

    @field_validator("splits")
    @classmethod
    def _have_known_languages(cls, splits: dict[Split, SplitOf], info: ValidationInfo) -> dict[Split, SplitOf]:
        every = info.data.get("languages", ())
        for split, one in splits.items():
            unknown = [code for code in one.languages or () if code not in every]
            if unknown:
                raise ValueError(f"{split} is given in {unknown[0]!r}; the task's languages are {', '.join(every)}")
        return splits

    @field_validator("columns")
    @classmethod
    def _fit_the_format(cls, columns: Columns, info: ValidationInfo) -> Columns:
        wanted = _TAKES.get(info.data.get("format", ""), ())
        missing = [name for name in wanted if not getattr(columns, name)]
        others = [name for names in _TAKES.values() for name in names if name not in wanted and getattr(columns, name)]
        if wanted and (missing or others):
            found = f"{missing[0]} is missing" if missing else f"{others[0]} is none of its columns"
            raise ValueError(f"format {info.data['format']!r} is read from {' and '.join(wanted)}: {found}")
        if columns.keys and "premise" in wanted:
            raise ValueError("keys are of multiple choice; for pairs, `labels` says what the label column holds")
        if not columns.language:
            _tell_languages_apart(info.data)
        return columns

    @field_validator("labels")
    @classmethod
    def _name_each_answer(cls, labels: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        columns: Columns | None = info.data.get("columns")
        if info.data.get("format") == "nli" and len(labels) != 3:
            raise ValueError(f"{len(labels)} labels; pairs have 3: entailment, neutral, contradiction, in this order")
        if len(set(labels)) < len(labels):
            raise ValueError("a label is given twice")
        if columns is not None and columns.keys:
            raise ValueError("the label is found among columns.keys already; give one of the two")
        return labels

    @field_validator("values")
    @classmethod
    def _stand_for_texts(cls, values: dict[str, dict[str, str]], info: ValidationInfo) -> dict[str, dict[str, str]]:
        columns: Columns | None = info.data.get("columns")
        texts = [] if columns is None else [*columns.text, columns.premise, columns.hypothesis]
        unknown = [name for name in values if name not in texts]
        if unknown and columns is not None:
            raise ValueError(f"{unknown[0]!r} is no column of text; there are {', '.join(filter(None, texts))}")
        return values

    @field_validator("rows_per_cluster")
    @classmethod
    def _clusters_are_the_same_in_every_language(cls, rows: int | None, info: ValidationInfo) -> int | None:
        columns: Columns | None = info.data.get("columns")
        if columns is None:
            return rows
        if rows is not None and columns.cluster:
            raise ValueError("the clusters are in columns.cluster already; give one of the two")
        if not info.data.get("parallel"):
            return rows
        if columns.language and not (columns.item and (columns.cluster or info.data.get("format") != "nli")):
            raise ValueError("with a column of languages a parallel task needs columns.item and, of pairs, .cluster")
        if info.data.get("format") == "nli" and rows is None and not columns.cluster:
            # Two premises may translate to the same sentence, so equal premises are no clusters here.
            raise ValueError("a parallel task of pairs needs this or columns.cluster; 1 if no premise comes twice")
        return rows

    @field_validator("chance")
    @classmethod
    def _is_known(cls, chance: float | None, info: ValidationInfo) -> float | None:
        columns: Columns | None = info.data.get("columns")
        if chance is not None or columns is None:
            return chance
        if info.data.get("format") == "nli":
            return 1 / 3
        if len(columns.choices) < 2:
            raise ValueError("this key is required: how many choices a list holds is not known")
        return 1 / len(columns.choices)

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a file. Raises TaskError, on one line, naming the file, the line and the key that is wrong."""
        try:
            text = path.read_text(encoding="utf-8")
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise TaskError(f"{path}: not TOML: {error}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise TaskError(f"{path}: cannot be read as a task ({error})") from None
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise TaskError(_one_line(error, path, text)) from None

    def places(self, split: Split) -> dict[str, tuple[str, str]]:
        """Of every language that has the split: its configuration, and what the split is called there."""
        return _places(self.splits[split], config=self.config, configs=self.configs, languages=self.languages)


def _places(
    one: SplitOf, *, config: str, configs: Mapping[str, str], languages: Sequence[str]
) -> dict[str, tuple[str, str]]:
    return {
        code: (configs.get(code, config).replace(_LANGUAGE, code), one.name.replace(_LANGUAGE, code))
        for code in one.languages or languages
    }


def _tell_languages_apart(data: Mapping[str, Any]) -> None:
    if not {"config", "configs", "languages", "splits"} <= data.keys():
        return  # what is wrong there is said already
    for split, one in data["splits"].items():
        known: dict[tuple[str, str], str] = {}
        found = _places(one, config=data["config"], configs=data["configs"], languages=data["languages"])
        for code, place in found.items():
            if place in known:
                raise ValueError(
                    f"nothing tells {known[place]!r} from {code!r} in {split}: put {_LANGUAGE} into config or into the "
                    "split's name, or name the column of the language"
                )
            known[place] = code


def _one_line(error: ValidationError, path: Path, text: str) -> str:
    errors = error.errors()
    # A tuple whose elements are wrong is also reported as too short, since none of them counts.
    errors = [one for one in errors if one["type"] != "too_short" or len(errors) == 1]
    # A key that is misspelt is also reported as missing.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    place = tuple(part for part in first["loc"] if part != "[key]")
    line = line_of(text, place)
    key = ".".join(str(part) for part in place)
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{path}{f':{line}' if line else ''}: {key}: {_reason(first, place)}{more}"


def _reason(first: Any, place: tuple[int | str, ...]) -> str:
    if first["type"] == "extra_forbidden":
        tables: dict[str, type[BaseModel]] = {"columns": Columns, "splits": SplitOf}
        table = tables[str(place[0])] if place[1:] else Description
        return f"unknown key; allowed here: {', '.join(sorted(table.model_fields))}"
    if first["type"] == "missing":
        return "this key is required"
    message = str(first["msg"]).removeprefix("Value error, ")
    return message if first["type"] == "value_error" else f"{message}, got {first['input']!r}"
