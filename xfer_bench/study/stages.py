"""What one stage of an arm trains on: one training set or several, in which languages, and in which proportions."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from xfer_bench.recipes import Name, Recipe, Value

Languages = Annotated[tuple[str, ...], Field(min_length=1)]
Positive = Annotated[float, Field(gt=0)]


def refuse_doubles(names: list[str], message: str) -> None:
    """Raises ValueError, with the first name that comes twice in the message's {}."""
    doubled = [name for position, name in enumerate(names) if name in names[:position]]
    if doubled:
        raise ValueError(message.format(repr(doubled[0])))


class _Rows(Value):
    """Which rows of a training set.

    languages: by default all that it has.
    per_item: for a parallel set in several languages, whether each item comes in `all` of them or in `one`.
    examples: how many items; by default all.
    language_weights: how much of each language, as { en = 2, zh = 1 }; it names the languages, too.
    language_temperature: instead, T: each language in proportion to its number of examples to the power 1/T; 1 leaves
        them as they are, and the higher it is the more alike they become.
    exclude: `reviewed` leaves out the items that were found to be a target's items in another language.
    """

    languages: Languages | None = None
    per_item: Literal["all", "one"] = "all"
    examples: int | None = Field(default=None, ge=1)
    language_weights: dict[str, Positive] | None = Field(default=None, min_length=1)
    language_temperature: float | None = Field(default=None, ge=1)
    exclude: Literal["reviewed"] | None = None

    @model_validator(mode="after")
    def _mixes_languages_once(self) -> Self:
        if self.language_weights is not None and self.language_temperature is not None:
            raise ValueError("language_weights and language_temperature say two things; give one of them")
        if self.language_weights is not None and self.languages not in (None, tuple(self.language_weights)):
            raise ValueError("languages and language_weights name different languages; leave languages out")
        return self

    @property
    def named_languages(self) -> tuple[str, ...] | None:
        """The languages as far as they are named."""
        return tuple(self.language_weights) if self.language_weights is not None else self.languages


class PartSpec(_Rows):
    """One of several training sets of a stage; weight: of it among them, where the stage's sampling is `weighted`."""

    task: Name
    weight: Positive | None = None


class MlmSpec(Value):
    """Masked-language-model batches among those of a stage.

    task: a set of texts. share: of the stage's batches. probability: of a token to be one that is guessed.
    """

    task: Name
    languages: Languages | None = None
    examples: int | None = Field(default=None, ge=1)
    share: float = Field(gt=0, lt=1)
    probability: float = Field(default=0.15, gt=0, lt=1)


def named_by(value: Any) -> Any:
    """A training set that is given by its name alone."""
    return {"task": value} if isinstance(value, str) else value


_Parts = tuple[Annotated[PartSpec, BeforeValidator(named_by, json_schema_input_type=PartSpec | Name)], ...]


class StageSpec(_Rows):
    """One stage of an arm or of a target's own training: one training set, or several at once as `parts`.

    Every batch comes from one set, and each set has its share of the batches, in random order.
    sampling: `proportional` to the sets' sizes; `capped`: to their sizes or `cap`, whichever is less;
        `temperature`: to the power 1/T of that; `uniform`; or `weighted` by the parts' own weights.
    heads: `own` gives every set a head; `shared` gives one to all sets of the same format, as for one task whose
        languages come from several sets.
    mlm: masked-language-model batches in between.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["task"]}, {"required": ["parts"]}]})

    task: Name | None = None
    parts: _Parts = ()
    sampling: Literal["proportional", "capped", "temperature", "uniform", "weighted"] = "proportional"
    cap: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=1)
    heads: Literal["own", "shared"] = "own"
    mlm: MlmSpec | None = None
    recipe: Recipe = Recipe()

    @model_validator(mode="after")
    def _says_what_it_trains_on(self) -> Self:
        if (self.task is None) == (not self.parts):
            raise ValueError("a stage has either one training set, as task, or several, as parts")
        if len(self.parts) == 1:
            raise ValueError("parts: a single training set is the stage's own; write it as task")
        of_rows = sorted(self.model_fields_set & _Rows.model_fields.keys())
        if self.parts and of_rows:
            raise ValueError(f"{of_rows[0]}: belongs to the parts, each on its own")
        among_parts = sorted(self.model_fields_set & {"sampling", "cap", "temperature", "heads"})
        if not self.parts and among_parts:
            raise ValueError(f"{among_parts[0]}: there are no parts among which it could decide")
        refuse_doubles([str(part.model_dump()) for part in self.parts], "a part is given twice: {}")
        return self

    @model_validator(mode="after")
    def _samples_as_it_says(self) -> Self:
        may_cap = self.sampling in {"capped", "temperature"}
        if (self.cap is None and self.sampling == "capped") or (self.cap is not None and not may_cap):
            raise ValueError('cap: goes with sampling = "capped", which needs it, or "temperature"')
        if (self.temperature is None) == (self.sampling == "temperature"):
            raise ValueError('temperature: goes with sampling = "temperature", which needs it')
        if any((part.weight is None) == (self.sampling == "weighted") for part in self.parts):
            raise ValueError('weight: every part has one with sampling = "weighted", and none without')
        return self

    @property
    def sets(self) -> tuple[PartSpec, ...]:
        """Its training sets, without the texts of `mlm`."""
        rows = {name: getattr(self, name) for name in _Rows.model_fields}
        return (PartSpec(task=self.task, **rows),) if self.task is not None else self.parts

    @property
    def title(self) -> str:
        """Its training sets' names."""
        names = dict.fromkeys([*(part.task for part in self.sets), *([self.mlm.task] if self.mlm else [])])
        return "+".join(names)

    def with_examples(self, examples: int) -> "StageSpec":
        """The stage with so many examples of every training set."""
        if self.task is not None:
            return self.model_copy(update={"examples": examples})
        parts = tuple(part.model_copy(update={"examples": examples}) for part in self.parts)
        return self.model_copy(update={"parts": parts})
