"""A study: what the user wrote, as frozen values read from TOML. Syntax only: whether its tasks, languages and
budgets exist is decided in `plan`."""

import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from xfer_bench.errors import StudyError
from xfer_bench.toml_lines import line_of, put_over

Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
Languages = Annotated[tuple[str, ...], Field(min_length=1)]
# What NumPy's older generator takes, which `set_seed` seeds too.
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]


def _refuse_doubles(names: list[str], message: str) -> None:
    doubled = [name for position, name in enumerate(names) if name in names[:position]]
    if doubled:
        raise ValueError(message.format(repr(doubled[0])))


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Lora(_Value):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) that are trained instead of the encoder's own weights.

    rank: of the added matrices; alpha: they are scaled by alpha / rank; dropout: on what they read.
    targets: names, or ends of names, of the linear layers that get them, such as `query`; by default every linear
        layer of the encoder's layers that are not frozen.
    """

    rank: int = Field(default=8, ge=1, le=1024)
    alpha: float = Field(default=16.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[Name, ...] | None = Field(default=None, min_length=1)


class Every(_Value):
    """Every so many optimiser steps."""

    every: int = Field(ge=1)


class Recipe(_Value):
    """How one stage is optimised (AdamW, linear decay after a linear warm-up).

    In a study file a recipe is partial: only the fields that it sets count, over those of the recipe that it changes.

    batch_size: items per optimiser step; micro_batch: items per forward pass and device, the gradient being
        accumulated: a number, or `auto`, which begins with all of them and halves when they do not fit into memory.
    epochs: passes over the stage's examples; max_steps, where given, ends the stage earlier.
    warmup: share of the steps. max_length: tokens of a sequence, above which it is truncated.
    label_smoothing: share of the target that is spread evenly over all classes, or over the item's own choices.
    freeze_embeddings, freeze_layers: the embeddings and that many of the lowest layers are not trained.
    lora: low-rank adapters instead of the encoder's weights, merged into them when the stage ends; false for none.
    precision: bf16 means autocast; `auto` is bf16 where the device computes it natively, float32 elsewhere.
    selection: `best` keeps the evaluation with the highest accuracy on the stage's own development data in its own
        training languages; `last` keeps the last step. patience: evaluations without improvement before stopping.
    minimum_development: with fewer development items than this nothing is selected or stopped on: they select noise.
    maximum_development: development items that are scored at most, the same ones every time.
    save_every: optimiser steps between resumable states.
    keep: which checkpoints along the stage stay beside its result: none (`result`), the `last` step or the `best` by
        `selection`'s measure where the result is the other one, `all` that are saved on the way (every
        `evaluate_every` steps where the stage selects, else every `save_every`), or { every = n } optimiser steps.
    keep_at_most: where they would be more, so many times the distance lies between them that they are not.
    """

    learning_rate: float = Field(default=2e-5, gt=0, lt=1)
    batch_size: int = Field(default=32, ge=1)
    micro_batch: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    epochs: float = Field(default=3.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_length: int = Field(default=128, ge=8, le=8192)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    freeze_embeddings: bool = False
    freeze_layers: int = Field(default=0, ge=0)
    lora: Lora | Literal[False] = False
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    selection: Literal["best", "last"] = "last"
    patience: int | None = Field(default=None, ge=1)
    evaluate_every: int = Field(default=1000, ge=1)
    minimum_development: int = Field(default=200, ge=1)
    maximum_development: int = Field(default=2000, ge=1)
    save_every: int = Field(default=500, ge=1)
    keep: Literal["result", "last", "best", "all"] | Every = "result"
    keep_at_most: int = Field(default=20, ge=1)

    # What is one of several kinds is read here: of a union pydantic would tell every kind's complaint.
    @field_validator("micro_batch", mode="before")
    @classmethod
    def _counts_or_adapts(cls, value: Any) -> Any:
        if value is None or value == "auto":
            return "auto"
        if type(value) is not int or value < 1:
            raise ValueError(f'micro_batch is a number of items from 1, or "auto"; got {value!r}')
        return value

    @field_validator("lora", mode="before")
    @classmethod
    def _reads_lora(cls, value: Any) -> Any:
        if value is False or isinstance(value, Lora):
            return value
        return _table(Lora, value, "lora is a table such as { rank = 8, alpha = 16 }, or false")

    @field_validator("keep", mode="before")
    @classmethod
    def _reads_keep(cls, value: Any) -> Any:
        if value in ("result", "last", "best", "all") or isinstance(value, Every):
            return value
        return _table(Every, value, 'keep is "result", "last", "best", "all" or { every = n }')

    @model_validator(mode="after")
    def _accumulates_evenly(self) -> Self:
        # A partial recipe that sets only one of the two is judged when it is put over a whole one.
        given = {"batch_size", "micro_batch"} <= self.model_fields_set
        if given and self.micro_batch != "auto" and self.batch_size % self.micro_batch:
            raise ValueError(f"micro_batch {self.micro_batch} does not divide batch_size {self.batch_size}")
        return self

    def deciding(self) -> dict[str, Any]:
        """The fields that a stage's checkpoints depend on: all but how a batch is divided to fit into memory."""
        return self.model_dump(exclude={"micro_batch"})


def _table(kind: type[_Value], value: Any, wanted: str) -> _Value:
    if not isinstance(value, dict):
        raise ValueError(f"{wanted}; got {value!r}")  # noqa: TRY004 - pydantic turns a ValueError into its own
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        # A key that is misspelt is also missing.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ValueError(f"unknown key {key!r}; allowed here: {', '.join(sorted(kind.model_fields))}") from None
        said = "this key is required" if first["type"] == "missing" else f"{first['msg']}, got {first['input']!r}"
        raise ValueError(f"{key}: {said}") from None


# What jiant's XTREME scripts do (nyu-mll/jiant @daa5a25, scripts/benchmarks/xtreme/subscripts and the writer of its run
# configurations): AdamW with 1e-5, 10 % warm-up, effective batch 32 (there 4 x 8), 256 tokens, an evaluation every
# 1,000 steps on 500 items of the English training task, 30 evaluations of patience; the weight decay is the encoder's
# in jiant/shared/model_setup.py. 3 epochs is jiant's default, which we take where the scripts say nothing: for
# intermediate tasks.
_JIANT = Recipe(
    learning_rate=1e-5, batch_size=32, epochs=3.0, warmup=0.1, weight_decay=0.01, max_length=256,
    selection="best", patience=30, evaluate_every=1000, maximum_development=500,
)  # fmt: skip

# What XTREME's and XTREME-R's scripts do for XLM-R large (google-research/xtreme @838c13b): AdamW with 3e-5, effective
# batch 32 (there 2 x 16), 5 epochs, 128 tokens; the warm-up and the weight decay of 0 are the defaults of the programs
# that they call. Every other model has 2e-5 there.
_XTREME = Recipe(learning_rate=3e-5, batch_size=32, epochs=5.0, warmup=0.0, weight_decay=0.0, max_length=128)

RECIPES: dict[str, Recipe] = {
    # Phang et al. 2020 (arXiv 2005.13013) in jiant's code, and its numbers of epochs for two targets.
    "phang2020": _JIANT,
    "phang2020-xnli": _JIANT.model_copy(update={"epochs": 2.0}),
    "phang2020-pawsx": _JIANT.model_copy(update={"epochs": 5.0}),
    # Hu et al. 2020 (arXiv 2003.11080), scripts/train_xnli.sh: every 100 steps the English development set is scored,
    # and the best checkpoint is kept.
    "xtreme-xnli": _XTREME.model_copy(
        update={"selection": "best", "evaluate_every": 100, "save_every": 100, "maximum_development": 2490}
    ),
    # Ruder et al. 2021 (arXiv 2104.07412), scripts/train_xcopa.sh: Social IQa, then English COPA under the same head
    # (`head = "keep"`), each so; the last step stays.
    "xtreme-r-xcopa": _XTREME,
    # For small encoders and small sets: what the starter model learns from in minutes on a CPU.
    "fast": Recipe(
        learning_rate=5e-5, batch_size=16, epochs=3.0, warmup=0.1, weight_decay=0.01, max_length=128,
        freeze_embeddings=True, save_every=100,
    ),
}  # fmt: skip


class StageSpec(_Value):
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


_Stages = tuple[Annotated[StageSpec, BeforeValidator(_spelled_out)], ...]


class Arm(_Value):
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


class Target(_Value):
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


class Seeds(_Value):
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


class Budget(_Value):
    """What the intermediate training of every arm has in common, so that arms differ in what they see and not how much.

    hold: what is held equal, `examples` seen or optimiser `steps`; amount: how many, over all intermediate stages of an
        arm, which share it equally. upsample: whether a set with fewer examples may be seen more than once for it.
    """

    hold: Literal["examples", "steps"]
    amount: int = Field(ge=1)
    upsample: bool = False


class Contrast(_Value):
    """A comparison of two arms: the gain of `arm` over `against`, on each target."""

    arm: Name
    against: Name


class Study(_Value):
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
