"""The study: its arms, targets, seeds and budget."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from xfer_bench.errors import StudyError
from xfer_bench.labels import TLV
from xfer_bench.recipes import RECIPES, Name, Recipe, Value
from xfer_bench.study.reading import content_of, one_line, reason
from xfer_bench.study.stages import Languages, MlmSpec, PartSpec, StageSpec, named_by, refuse_doubles

# What NumPy's older generator takes, which `set_seed` seeds too.
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]


_Stages = tuple[Annotated[StageSpec, BeforeValidator(named_by, json_schema_input_type=StageSpec | Name)], ...]


def _one(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Arm(Value):
    """What is done between pretraining and the target: intermediate stages in order, or none.

    sizes: a sweep: for each of these numbers of examples, which every training set of its stages then has, it is an
        arm of its own, named NAME-SIZE.
    english_for: the multilingual arms whose control this one is: English alone, and otherwise the same budget.
    """

    name: Name
    stages: _Stages = ()
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = ()
    english_for: Annotated[tuple[Name, ...], BeforeValidator(_one, json_schema_input_type=Name | list[Name])] = ()

    @model_validator(mode="after")
    def _sweeps_what_is_open(self) -> Self:
        if self.sizes and not self.stages:
            raise ValueError("sizes: there is no stage that could have them")
        if self.sizes and any(part.examples is not None for stage in self.stages for part in stage.sets):
            raise ValueError("sizes and a stage's own examples say two things; give one of them")
        refuse_doubles([str(size) for size in self.sizes], "the size {} is given twice")
        return self

    def swept(self) -> tuple["Arm", ...]:
        """The arm itself, or one for each of its sizes."""
        if not self.sizes:
            return (self,)
        return tuple(
            Arm(
                name=f"{self.name}-{size}",
                stages=tuple(stage.with_examples(size) for stage in self.stages),
                english_for=tuple(f"{name}-{size}" for name in self.english_for),
            )
            for size in self.sizes
        )


class Target(Value):
    """A target task: its own English training, and where it is evaluated.

    setting: how the target is trained (`CO`, `SI`, `SI+CO`, `NLI`); names the training sets unless `train` lists them.
        The published names say the same (`CO-ZS`). `CO-TLV` trains as `CO` does and then takes, for every language,
        the step that is best on that language's own validation items: no zero-shot transfer, and labelled so.
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

    @field_validator("setting")
    @classmethod
    def _has_one_name(cls, setting: str) -> str:
        return setting.removesuffix("-ZS")

    @property
    def training_setting(self) -> str:
        """The setting that it is trained as."""
        return self.setting.removesuffix(TLV)

    @property
    def selects_by_language(self) -> bool:
        """Whether every language's own validation items choose among the target stage's steps."""
        return self.setting.endswith(TLV)


class Apart(Value):
    """Seeds that are set apart from those that name the runs: as many, in the same order."""

    intermediate: tuple[Seed, ...] | None = None
    target: tuple[Seed, ...] | None = None


class Seeds(Value):
    """Intermediate and target seeds, paired by position or crossed.

    A seed names its runs, and is the seed of the initialisation and of the data order (with the draw of the rows)
    unless one of these is set apart: target = [0, 1], order = { target = [7, 7] } changes the initialisation alone.
    """

    intermediate: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    target: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    pairing: Literal["paired", "crossed"] = "paired"
    initialisation: Apart = Apart()
    order: Apart = Apart()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.pairing == "paired" and len(self.intermediate) != len(self.target):
            raise ValueError(
                f"{len(self.intermediate)} intermediate and {len(self.target)} target seeds cannot be paired; "
                'give as many of each, or pairing = "crossed"'
            )
        refuse_doubles([str(seed) for seed in self.intermediate], "the intermediate seed {} is given twice")
        refuse_doubles([str(seed) for seed in self.target], "the target seed {} is given twice")
        for kind, apart in (("initialisation", self.initialisation), ("order", self.order)):
            for stage, seeds in (("intermediate", self.intermediate), ("target", self.target)):
                given = getattr(apart, stage)
                if given is not None and len(given) != len(seeds):
                    raise ValueError(f"{kind}.{stage}: {len(given)} seeds for {len(seeds)} {stage} seeds; give as many")
        return self

    def apart(self, stage: Literal["intermediate", "target"], seed: int) -> tuple[int, int]:
        """(initialisation, data order) of the runs that this seed names."""
        place = getattr(self, stage).index(seed)
        of_kinds = (getattr(apart, stage) for apart in (self.initialisation, self.order))
        first, second = (seed if given is None else given[place] for given in of_kinds)
        return first, second

    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(intermediate seed, target seed) of every run."""
        if self.pairing == "paired":
            return tuple(zip(self.intermediate, self.target, strict=True))
        return tuple((first, second) for first in self.intermediate for second in self.target)


class Budget(Value):
    """What the intermediate training of every arm has in common, so that arms differ in what they see and not how much.

    hold: what is held equal, `examples` or `tokens` seen or optimiser `steps`; amount: how many, over all intermediate
        stages of an arm, which share it equally. Masked-language-model batches count. upsample: whether a set with
        fewer examples may be seen more than once for it.
    """

    hold: Literal["examples", "tokens", "steps"]
    amount: int = Field(ge=1)
    upsample: bool = False


class Contrast(Value):
    """A comparison of two arms: the gain of `arm` over `against`, on each target."""

    arm: Name
    against: Name


class Study(Value):
    """A whole study.

    model: `starter`, a local directory or a Hub id; models: several, each of which has a study of its own.
    head: `fresh` trains every stage's head anew, `keep` carries it over where the formats match; the same for all
    arms. trim_vocabulary drops the token rows that no text of the study uses. budget: how much every arm's
    intermediate stages are trained. primary: the contrasts that are the study's question; whatever else is compared
    is secondary. allow_overlap: training sets that may hold items which the study evaluates on.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["model"]}, {"required": ["models"]}]})

    name: Name
    model: str = ""
    models: tuple[Annotated[str, Field(min_length=1)], ...] = ()
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
    allow_overlap: tuple[Name, ...] = ()

    @field_validator("base_recipe")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in RECIPES:
            raise ValueError(f"no recipe named {name!r}; choose one of {', '.join(sorted(RECIPES))}")
        return name

    @field_validator("arms")
    @classmethod
    def _have_their_own_names(cls, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        refuse_doubles([one.name for arm in arms for one in arm.swept()], "two arms are named {}")
        return arms

    @field_validator("targets")
    @classmethod
    def _have_their_own_settings(cls, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        refuse_doubles([f"{target.task} ({target.setting})" for target in targets], "the target {} is given twice")
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

    @model_validator(mode="after")
    def _controls_its_arms(self) -> Self:
        names = [arm.name for arm in self.every_arm]
        for arm in self.every_arm:
            unknown = [name for name in arm.english_for if name not in names or name == arm.name]
            if unknown:
                raise ValueError(
                    f"arm {arm.name!r}: english_for: {unknown[0]!r} is no other arm; they are {', '.join(names)}"
                )
        return self

    @model_validator(mode="after")
    def _starts_from_a_model(self) -> Self:
        if bool(self.model) == bool(self.models):
            raise ValueError("give one model as model, or several as models")
        refuse_doubles(list(self.models), "the model {} is given twice")
        if self.models and self.revision:
            raise ValueError("revision: goes with one model")
        return self

    @property
    def model_name(self) -> str:
        """The model's name as a part of a path: what comes after its owner."""
        return self.model.rstrip("/").rsplit("/", 1)[-1]

    def per_model(self) -> tuple["Study", ...]:
        """The study itself, or one for each of its models, named NAME-MODEL: runs of two models are never compared."""
        if self.model:
            return (self,)
        alone = (self.model_copy(update={"model": model, "models": ()}) for model in self.models)
        return tuple(one.model_copy(update={"name": f"{self.name}-{one.model_name}"}) for one in alone)

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
        content, text = content_of(path, changes)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise StudyError(one_line(error, path, text, _TABLES)) from None

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
            raise StudyError(f"recipe {key or 'as a whole'}: {reason(first, _TABLES)}") from None


# What a key of a study file leads to; the study itself under no key.
_TABLES: dict[str, type[BaseModel]] = {
    "": Study, "seeds": Seeds, "initialisation": Apart, "order": Apart, "recipe": Recipe, "arms": Arm,
    "stages": StageSpec, "train": StageSpec, "parts": PartSpec, "mlm": MlmSpec, "targets": Target,
    "primary": Contrast, "budget": Budget,
}  # fmt: skip
