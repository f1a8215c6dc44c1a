"""Encoders under a stock head, chosen by the task's format; what is saved loads anywhere with `AutoModelFor…`."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xfer_bench.errors import CheckpointError, TrainingError
from xfer_bench.models.loading import AUTO, checked_config, load, loading, longest, quiet, tokenizer_of
from xfer_bench.tasks.task import Format

__all__ = ["Headed", "freeze", "layers_of", "longest", "quiet", "tokenizer_of", "with_fresh_head", "with_its_head"]


@dataclass(frozen=True, kw_only=True)
class Headed:
    """A model with its head and tokenizer.

    fresh: names of the parameters that no checkpoint gave: the new head, and a pooler that the pretrained model lacks.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fresh: frozenset[str]

    @property
    def pad_id(self) -> int:
        """What fills up a batch: the tokenizer's padding, which is right also where a configuration names another."""
        return int(self.tokenizer.pad_token_id)

    @property
    def longest(self) -> int:
        """Tokens that the model has positions for, at most 512 by the tokenizer's or our own count."""
        return longest(self.model.config, self.tokenizer)


def with_fresh_head(folder: Path, task_format: Format, *, seed: int, without: Collection[str] = ()) -> Headed:
    """The encoder in `folder` under a newly initialised head.

    seed: of the initialisation. without: encoder parameters that are not taken over but initialised too; the names
    that were `fresh` when the folder's own head was made, so that a pooler trained with that head goes with it.
    Raises CheckpointError when the folder does not hold an encoder of a known kind in safetensors.
    """
    # Its home is the Trainer's, which imports accelerate and, where it is installed, peft: scoring needs neither.
    from transformers import set_seed

    config = checked_config(folder, labels=dict(enumerate(task_format.labels)))
    with loading(folder):
        encoder = load(folder, "none", config=config)
    tokenizer = tokenizer_of(folder)
    set_seed(seed)
    try:
        model = AUTO[task_format.head].from_config(config, trust_remote_code=False)
    except ValueError:
        raise CheckpointError(f"{folder}: {config.model_type} models have no {task_format.head} head") from None
    prefix = f"{model.base_model_prefix}."
    left_out = {name.removeprefix(prefix) for name in (*encoder.missing, *without)}
    taken = {name: value for name, value in encoder.model.state_dict().items() if name not in left_out}
    inside = getattr(model, model.base_model_prefix)
    lacking = set(inside.load_state_dict(taken, strict=False).missing_keys)
    explained = {name.removeprefix(prefix) for name in without}
    unexplained = {name for name in lacking - explained if "pooler" not in name and "position_ids" not in name}
    if unexplained:
        raise CheckpointError(f"{folder}: the encoder lacks {len(unexplained)} weights, such as {min(unexplained)}")
    loaded = {f"{prefix}{name}" for name in taken}
    return Headed(model=model, tokenizer=tokenizer, fresh=frozenset(set(model.state_dict()) - loaded))


def with_its_head(folder: Path, head: str) -> Headed:
    """The model in `folder` with the head that it was saved with; float32.

    Raises CheckpointError when there is none of that kind, or a weight is missing or of the wrong shape.
    """
    config = checked_config(folder)
    with loading(folder):
        loaded = load(folder, head, config=config)
    if loaded.missing:
        raise CheckpointError(f"{folder}: no trained {head} head; it lacks {min(loaded.missing)}")
    return Headed(model=loaded.model, tokenizer=tokenizer_of(folder), fresh=frozenset())


def freeze(model: PreTrainedModel, *, embeddings: bool, layers: int) -> None:
    """Stop the gradient at the embeddings and that many of the lowest layers.

    Raises TrainingError when the model has fewer layers, or none of its parts are known to be its layers.
    """
    frozen: list[nn.Module] = []
    if layers:
        stack = layers_of(model)
        if layers > len(stack):
            raise TrainingError(f"freeze_layers: cannot freeze {layers} layers of a model that has {len(stack)}")
        frozen += stack[:layers]
    if embeddings:
        frozen += _embeddings(model)
    for module in frozen:
        module.requires_grad_(requires_grad=False)


def layers_of(model: PreTrainedModel) -> list[nn.Module]:
    """The encoder's layers from the lowest up, whatever the family calls them.

    They are the one list of modules that is as long as the configuration says that there are layers. Raises
    TrainingError where there is no such list, or several: models that share one layer, or keep its parts in lists.
    """
    base = model.base_model
    count = getattr(model.config, "num_hidden_layers", None)
    lists = {
        name: [*module]
        for name, module in base.named_modules()
        if isinstance(module, nn.ModuleList) and count and len(module) == count
    }
    outermost = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    if len(outermost) != 1:
        found = f"{len(outermost)} lists ({', '.join(outermost)})" if outermost else "no list"
        raise TrainingError(
            f"cannot tell the layers of {model.config.model_type} apart: {found} of {count} modules; "
            "train it without freeze_layers and lora"
        )
    return lists[outermost[0]]


def _embeddings(model: PreTrainedModel) -> list[nn.Module]:
    """What comes before the lowest layer; ELECTRA's has a projection of its own."""
    named = [getattr(model.base_model, name, None) for name in ("embeddings", "embeddings_project")]
    return [module for module in named if isinstance(module, nn.Module)] or [model.get_input_embeddings()]
