"""One encoder under several stock heads: what a stage of several training sets trains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from xfer_bench.errors import CheckpointError, TrainingError
from xfer_bench.models.heads import Headed
from xfer_bench.models.loading import checked_config, load, loading

# Of masked language modelling, where a batch has this entry: True where a token is to be guessed.
GUESSED = "guessed"


class Multitask(nn.Module):
    """Stock models that share all that they have in common with the first, called by the name of the head.

    The first one is what becomes a checkpoint; the others exist while the stage is trained.
    """

    def __init__(self, heads: Mapping[str, PreTrainedModel]) -> None:
        super().__init__()
        self.names = tuple(heads)
        self.models = nn.ModuleList(heads.values())

    def forward(self, head: str, **features: Any) -> torch.Tensor:
        """Logits of a batch: (items, classes or choices), or (guessed tokens, vocabulary)."""
        model: Any = self.models[self.names.index(head)]
        guessed = features.pop(GUESSED, None)
        if guessed is None:
            return model(**features).logits  # type: ignore[no-any-return]
        model.base_model.guessed = guessed
        return model(**features).logits[0]  # type: ignore[no-any-return]

    def state_dict(self, *arguments: Any, **named: Any) -> Any:
        """Like any module's, with every shared tensor under its first name alone, as safetensors wants it."""
        state, shared = super().state_dict(*arguments, **named), self._shared()
        return {name: value for name, value in state.items() if name not in shared}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Like any module's, of what `state_dict` gave."""
        # The names that share a tensor get what their first name gets.
        whole = {
            **state_dict,
            **{name: state_dict[first] for name, first in self._shared().items() if first in state_dict},
        }
        return super().load_state_dict(whole, strict=strict, assign=assign)

    def _shared(self) -> dict[str, str]:
        """The names of parameters that have another name before, and that one."""
        first: dict[int, str] = {}
        every = list(self.named_parameters(remove_duplicate=False))
        for name, weight in every:
            first.setdefault(id(weight), name)
        return {name: first[id(weight)] for name, weight in every if first[id(weight)] != name}


class Guessed(nn.Module):
    """An encoder whose output holds the guessed tokens alone, so that no logits are made of the others.

    A vocabulary has a hundred times as many logits a token as the encoder has hidden units.
    """

    guessed: torch.Tensor

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """As the encoder's, with states of shape (1, guessed tokens, hidden)."""
        output = self.encoder(*arguments, **named)
        output.last_hidden_state = output.last_hidden_state[self.guessed][None]
        return output


def share_encoder(main: Headed, others: Sequence[Headed]) -> None:
    """Make the others use the main model's encoder; what is new in either, a head or a pooler, stays its own."""
    for other in others:
        prefix = other.model.base_model_prefix
        source, sharing = main.model.base_model, other.model.base_model
        for name, _ in list(sharing.named_children()):
            inside = f"{prefix}.{name}."
            fresh = any(one.startswith(inside) for one in (*main.fresh, *other.fresh))
            if not fresh and hasattr(source, name):
                setattr(sharing, name, getattr(source, name))


def masked_lm(folder: Path, main: Headed, *, seed: int) -> PreTrainedModel:
    """The main model's encoder under a language-model head, tied to its embeddings.

    folder: whose own language-model head is taken where it has one; else it is initialised by the seed.
    Raises TrainingError when the model's family or its tokenizer does not know masked tokens.
    """
    from transformers import set_seed

    if main.tokenizer.mask_token_id is None:
        raise TrainingError(f"{folder}: its tokenizer has no mask token, which mlm needs")
    config = checked_config(folder)
    set_seed(seed)
    try:
        with loading(folder):
            model = load(folder, "masked_lm", config=config).model
    except CheckpointError as error:
        raise TrainingError(f"{error}; mlm needs a model with a language-model head") from None
    share_encoder(main, [Headed(model=model, tokenizer=main.tokenizer, fresh=frozenset())])
    output: Any = model.get_output_embeddings()
    output.weight = main.model.get_input_embeddings().weight
    setattr(model, model.base_model_prefix, Guessed(model.base_model))
    model.train()
    return model


@dataclass(frozen=True, kw_only=True)
class Learner:
    """What a stage trains: main, the model that becomes its checkpoint; model: that one with its siblings."""

    main: Headed
    model: Multitask


def learner(heads: Mapping[str, Headed], *, text: Mapping[str, PreTrainedModel]) -> Learner:
    """The heads of a stage, the main one first, on one encoder.

    text: a language-model head, made by `masked_lm`, where the stage has unlabelled text.
    """
    main, *others = heads.values()
    share_encoder(main, others)
    models = {name: headed.model for name, headed in heads.items()}
    return Learner(main=main, model=Multitask({**models, **text}))
