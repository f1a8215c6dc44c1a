"""Recipes: how a stage is optimised, and the ones that papers' code used, by name."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]


class Value(BaseModel):
    """What a file says: frozen, strict, and with no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Lora(Value):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) that are trained instead of the encoder's own weights.

    rank: of the added matrices; alpha: they are scaled by alpha / rank; dropout: on what they read.
    targets: names, or ends of names, of the linear layers that get them, such as `query`; by default every linear
        layer of the encoder's layers that are not frozen.
    """

    rank: int = Field(default=8, ge=1, le=1024)
    alpha: float = Field(default=16.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[Name, ...] | None = Field(default=None, min_length=1)


class Every(Value):
    """Every so many optimiser steps."""

    every: int = Field(ge=1)


class Recipe(Value):
    """How one stage is optimised (AdamW, linear decay after a linear warm-up).

    In a study file a recipe is partial: only the fields that it sets count, over those of the recipe that it changes.

    batch_size: items per optimiser step; micro_batch: items per forward pass and device, the gradient being
        accumulated: a number, or `auto`, which begins with all of them and halves when they do not fit into memory.
    epochs: passes over the stage's examples; max_steps and max_tokens (of training sequences, padding not counted),
        where given, end the stage earlier.
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
    report_to: whatever else the Trainer is to report to, by its own names, such as `tensorboard` and `wandb`; a log in
        plain JSON is always written.
    deterministic: on a GPU, only algorithms that give the same result every time; slower (docs/determinism.md).
    """

    learning_rate: float = Field(default=2e-5, gt=0, lt=1)
    batch_size: int = Field(default=32, ge=1)
    micro_batch: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    epochs: float = Field(default=3.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
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
    report_to: tuple[Name, ...] = ()
    deterministic: bool = False

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
        """The fields that a stage's checkpoints depend on: not how a batch is divided, nor who is told."""
        return self.model_dump(exclude={"micro_batch", "report_to"})


def _table(kind: type[Value], value: Any, wanted: str) -> Value:
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
