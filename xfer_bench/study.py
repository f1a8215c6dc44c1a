"""A study: what the user wrote, as frozen values read from TOML. Syntax only: whether its tasks, languages and
budgets exist is decided in `plan`."""

import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, field_validator, model_validator

from xfer_bench.errors import StudyError
from xfer_bench.recipes import RECIPES, Name, Recipe, Value
from xfer_bench.toml_lines import line_of, put_over

Languages = Annotated[tuple[str, ...], Field(min_length=1)]
# What NumPy's older generator takes, which `set_seed` seeds too.
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]


def _refuse_doubles(names: list[str], message: str) -> None:
    doubled = [name for position, name in enumerate(names) if name in names[:position]]
    if doubled:
        raise ValueError(message.format(repr(doubled[0])))


class StageSpec(Value):
    """One training set in an arm or in a target's own training.

    languages: of the training set; by default all that it has.
    per_item: for a parallel training set in several languages, whether each item comes in `all` of them or in `one`.
    examples: how many items; by default all.
    """

    task: Name
    languages: Languages | None = None
    per_item: Literal["all", "one"] = "all"
    examples: int | None = Field(default=None, ge=1)
    recipe: Recipe = Recipe()


def _spelled_out(value: Any) -> Any:
    return {"task": value} if isinstance(value, str) else value


_Stages = tuple[Annotated[StageSpec, BeforeValidator(_spelled_out, json_schema_input_type=StageSpec | Name)], ...]


class Arm(Value):
    """What is done between pretraining and the target: intermediate stages in order, or none.

    sizes: a sweep: for each of these numbers of examples, which all its stages then have, it is an arm of its own,
        named NAME-SIZE.
    """

    name: Name
    stages: _Stages = ()
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = ()

    @model_validator(mode="after")
    def _sweeps_what_is_open(self) -> Self:
        if self.sizes and not self.stages:
            raise ValueError("sizes: there is no stage that could have them")
        if self.sizes and any(stage.examples is not None for stage in self.stages):
            raise ValueError("sizes and a stage's own examples say two things; give one of them")
        _refuse_doubles([str(size) for size in self.sizes], "the size {} is given twice")
        return self

    def swept(self) -> tuple["Arm", ...]:
        """The arm itself, or one for each of its sizes."""
        if not self.sizes:
            return (self,)
        return tuple(
            Arm(
                name=f"{self.name}-{size}",
                stages=tuple(stage.model_copy(update={"examples": size}) for stage in self.stages),
            )
            for size in self.sizes
        )


class Target(Value):
    """A target task: its own English training, and where it is evaluated.

    setting: how the target is trained (`CO`, `SI`, `SI+CO`, `NLI`); names the training sets unless `train` lists them.
    languages, split: of the evaluation; by default every language of the split `test`.
    limit: only the first so many items of every language.
    """

    task: Name
    setting: Name
    train: _Stages = ()
    languages: Languages | None = None
    split: Literal["validation", "test"] = "test"
    limit: int | None = Field(default=None, ge=1)
    recipe: Recipe = Recipe()


class Seeds(Value):
    """Intermediate and target seeds, paired by position or crossed."""

    intermediate: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    target: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    pairing: Literal["paired", "crossed"] = "paired"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.pairing == "paired" and len(self.intermediate) != len(self.target):
            raise ValueError(
                f"{len(self.intermediate)} intermediate and {len(self.target)} target seeds cannot be paired; "
                'give as many of each, or pairing = "crossed"'
            )
        _refuse_doubles([str(seed) for seed in self.intermediate], "the intermediate seed {} is given twice")
        _refuse_doubles([str(seed) for seed in self.target], "the target seed {} is given twice")
        return self

    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(intermediate seed, target seed) of every run."""
        if self.pairing == "paired":
            return tuple(zip(self.intermediate, self.target, strict=True))
        return tuple((first, second) for first in self.intermediate for second in self.target)


class Budget(Value):
    """What the intermediate training of every arm has in common, so that arms differ in what they see and not how much.

    hold: what is held equal, `examples` seen or optimiser `steps`; amount: how many, over all intermediate stages of an
        arm, which share it equally. upsample: whether a set with fewer examples may be seen more than once for it.
    """

    hold: Literal["examples", "steps"]
    amount: int = Field(ge=1)
    upsample: bool = False


class Contrast(Value):
    """A comparison of two arms: the gain of `arm` over `against`, on each target."""

    arm: Name
    against: Name


class Study(Value):
    """A whole study.

    model: `starter`, a local directory or a Hub id. head: `fresh` trains every stage's head anew, `keep` carries it
    over where the formats match; the same for all arms. trim_vocabulary drops the token rows that no text of the
    study uses. budget: how much every arm's intermediate stages are trained. primary: the contrasts that are the
    study's question; whatever else is compared is secondary.
    """

    name: Name
    model: str = Field(min_length=1)
    revision: str = ""
    head: Literal["fresh", "keep"] = "fresh"
    trim_vocabulary: bool = False
    seeds: Seeds = Seeds()
    base_recipe: str = "fast"
    recipe: Recipe = Recipe()
    arms: tuple[Arm, ...] = Field(min_length=1)
    targets: tuple[Target, ...] = Field(min_length=1)
    primary: tuple[Contrast, ...] = ()
    budget: Budget | None = None

    @field_validator("base_recipe")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in RECIPES:
            raise ValueError(f"no recipe named {name!r}; choose one of {', '.join(sorted(RECIPES))}")
        return name

    @field_validator("arms")
    @classmethod
    def _have_their_own_names(cls, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        _refuse_doubles([one.name for arm in arms for one in arm.swept()], "two arms are named {}")
        return arms

    @field_validator("targets")
    @classmethod
    def _have_their_own_settings(cls, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        _refuse_doubles([f"{target.task} ({target.setting})" for target in targets], "the target {} is given twice")
        return targets

    @model_validator(mode="after")
    def _contrasts_its_arms(self) -> Self:
        names = [arm.name for arm in self.every_arm]
        for one in self.primary:
            for name in (one.arm, one.against):
                if name not in names:
                    raise ValueError(f"primary: no arm named {name!r}; the arms are {', '.join(names)}")
            if one.arm == one.against:
                raise ValueError(f"primary: {one.arm!r} cannot be compared with itself")
        return self

    @property
    def every_arm(self) -> tuple[Arm, ...]:
        """The arms, with a sweep's sizes each as an arm of its own."""
        return tuple(one for arm in self.arms for one in arm.swept())

    @classmethod
    def from_toml(cls, path: Path, *, changes: Sequence[str] = ()) -> "Study":
        """Read a study file.

        changes: `key = value` in TOML's own words, put over what the file says, as `seeds.target = [0, 1, 2]` or
            `arms.1.stages.0.examples = 500`, where numbers count from 0.

        Raises StudyError, on one line, naming the file, the line and the key that is wrong, or the change.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StudyError(f"{path}: cannot be read as a study ({error})") from None
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise StudyError(f"{path}: not TOML: {error}") from None
        for change in changes:
            put_over(content, change)
        try:
            return cls.model_validate(_tuples(content))
        except ValidationError as error:
            raise StudyError(_one_line(error, path, text)) from None

    def stage_recipe(self, *changes: Recipe) -> Recipe:
        """The study's recipe with its own changes and then these, each over the ones before."""
        fields = RECIPES[self.base_recipe].model_dump()
        for change in (self.recipe, *changes):
            fields |= change.model_dump(exclude_unset=True)
        try:
            return Recipe.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise StudyError(f"recipe {key or 'as a whole'}: {_reason(first)}") from None


def _tuples(value: Any) -> Any:
    # TOML knows lists only; the values of a study are frozen all the way down.
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(entry) for entry in value)
    return value


def _one_line(error: ValidationError, path: Path, text: str) -> str:
    errors = error.errors()
    # A tuple whose elements are wrong is also reported as too short, since none of them counts.
    errors = [one for one in errors if one["type"] != "too_short" or not _encloses(one["loc"], errors)]
    first = errors[0]
    place = tuple(first["loc"])
    line = line_of(text, place)
    where = f"{path}:{line}" if line else str(path)
    key = ".".join(str(part) for part in place)
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where}: {key + ': ' if key else ''}{_reason(first, place)}{more}"


def _encloses(place: tuple[int | str, ...], errors: Iterable[Any]) -> bool:
    return any(len(one["loc"]) > len(place) and one["loc"][: len(place)] == place for one in errors)


def _reason(first: Any, place: tuple[int | str, ...] = ()) -> str:
    if first["type"] == "extra_forbidden":
        return f"unknown key; allowed here: {', '.join(_allowed(place[:-1]))}"
    if first["type"] == "missing":
        return "this key is required"
    message = str(first["msg"]).removeprefix("Value error, ")
    return message if first["type"] == "value_error" else f"{message}, got {first['input']!r}"


def _allowed(place: tuple[int | str, ...]) -> list[str]:
    """The keys of the table that a path leads to."""
    tables: dict[str, type[BaseModel]] = {
        "seeds": Seeds, "recipe": Recipe, "arms": Arm, "stages": StageSpec, "train": StageSpec,
        "targets": Target, "primary": Contrast, "budget": Budget,
    }  # fmt: skip
    names = [part for part in place if isinstance(part, str)]
    table = tables[names[-1]] if names else Study
    return sorted(table.model_fields)
