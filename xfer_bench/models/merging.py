"""Adapters merged into their base model, so that what is scored is an ordinary model without a trace of peft."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel

from xfer_bench.errors import CheckpointError
from xfer_bench.models.adapters import PREFIX, Adapter, read_adapter
from xfer_bench.models.heads import Headed
from xfer_bench.models.loading import checked_config, load, loading, read, tokenizer_of
from xfer_bench.models.safety import ADAPTER_WEIGHTS

if TYPE_CHECKING:
    from peft import PeftConfig

# The name of the adapter inside the wrapped model: a part of parameter names, so one that no model uses.
_NAME = "adapter_to_merge"
_HEADS = ("classifier", "score")


def with_adapter(
    folder: Path, *, base: Path, head: str, tokenizer: Path, labels: Mapping[int, str] | None = None
) -> Headed:
    """The adapter in `folder` merged into the model in `base`; float32.

    head: the stock head that both have together. tokenizer: the folder that has it. labels: the classes, for a
    sequence classification head. Raises CheckpointError when peft is absent, a weight is missing or of the wrong
    shape, the head is not trained, or the sum is not finite.
    """
    config = checked_config(base, labels=labels)
    with loading(folder):
        configured = _configured(read_adapter(folder))
        weights = {name.removeprefix(PREFIX): tensor for name, tensor in read(folder / ADAPTER_WEIGHTS).items()}
        # A head that the adapter brings whole takes the place of the base model's, which may have other classes.
        loaded = load(base, head, config=config, without=weights)
        untrained = loaded.missing - weights.keys()
        if untrained:
            raise CheckpointError(
                f"{folder}: neither it nor its base model has a trained {head} head; both lack {min(untrained)}"
            )
        model = _merged(loaded.model, configured, weights, folder)
    return Headed(model=model, tokenizer=tokenizer_of(tokenizer), fresh=frozenset())


def _configured(adapter: Adapter) -> "PeftConfig":
    try:
        from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftType
    except ImportError:
        raise CheckpointError(
            f"{adapter.folder} is an adapter, and the package that merges those is absent: "
            "pip install xfer-bench[adapters]"
        ) from None
    kind = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(adapter.config["peft_type"])]
    known = {field.name for field in fields(kind)}
    unknown = sorted(name for name, value in adapter.config.items() if name not in known and value)
    if unknown:
        raise CheckpointError(
            f"{adapter.folder}: the installed peft does not know its {', '.join(unknown)}; "
            "upgrade it: pip install -U xfer-bench[adapters]"
        )
    # No name of a model and no mapping: peft would look one up on the Hub, and import a module by the other.
    left_out = {"base_model_name_or_path", "revision", "auto_mapping", "runtime_config", "inference_mode"}
    used: dict[str, Any] = {
        name: value for name, value in adapter.config.items() if name in known and name not in left_out
    }
    if used.get("task_type") == "SEQ_CLS":
        # As peft's wrapper for this task does: the head is saved whole under either name.
        used["modules_to_save"] = [*(used.get("modules_to_save") or []), *_HEADS]
    return kind(**used, inference_mode=True)


def _merged(model: PreTrainedModel, configured: "PeftConfig", weights: Mapping[str, torch.Tensor], folder: Path) -> Any:
    from peft import PEFT_TYPE_TO_TUNER_MAPPING, PeftType, set_peft_model_state_dict

    # The generator is put back: what peft draws at first is overwritten, and is nobody else's business. The tuner
    # itself, without peft's wrapper for training: that one warns of its own use of a deprecated property.
    with torch.random.fork_rng(devices=[]):
        tuner: Any = PEFT_TYPE_TO_TUNER_MAPPING[PeftType(configured.peft_type)](model, configured, _NAME)
    result: Any = set_peft_model_state_dict(tuner.model, dict(weights), adapter_name=_NAME)
    lacking = sorted(name for name in result.missing_keys if _NAME in name.split("."))
    if lacking:
        first = lacking[0].replace(f".{_NAME}", "")
        raise CheckpointError(f"{folder}: the adapter lacks {len(lacking)} weights, such as {first}")
    if result.unexpected_keys:
        stray = min(result.unexpected_keys)
        raise CheckpointError(f"{folder}: its base model has no place for {stray}; is it the one that it was made for?")
    return tuner.merge_and_unload(safe_merge=True).eval()
