"""Adapters as `peft` saves them: what they change, the model that they change, and which head results. No torch.

An adapter is a folder with `adapter_config.json` and `adapter_model.safetensors`. It is scored merged into its base.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from xfer_bench.errors import CheckpointError
from xfer_bench.models.architectures import Head, architecture_of, ending, unknown, without_head
from xfer_bench.models.origin import folder_of
from xfer_bench.models.safety import ADAPTER_CONFIG, ADAPTER_WEIGHTS, INDEX, SINGLE, json_object

# Kinds that merge into the base model's weights without a trace; each is tested against peft's own forward.
MERGEABLE = ("HRA", "IA3", "LOHA", "LOKR", "LORA", "MISS", "OFT")

# How a parameter is called in an adapter's file.
PREFIX = "base_model.model."

_TASKS: Mapping[str, Head] = {"SEQ_CLS": "sequence_classification"}
# A module that peft would import by its name, layers that are repeated or switched by the input, mixtures of adapters,
# and what changes the model otherwise than by a sum.
_UNMERGEABLE = (
    *("megatron_config", "layer_replication", "alora_invocation_tokens", "arrow_config"),
    *("target_parameters", "monteclora_config", "kasa_config"),
)
# Starts that leave the base model's weights as they are, or change them in a way that can be repeated. Others draw
# random numbers, or need data or quantised weights that are not here.
_REPEATABLE = (True, False, None, "gaussian", "eva", "pissa", "olora")
# Where stock heads keep the layer that gives the scores: as many rows as classes.
_LAST = (
    *("classifier", "classifier.out_proj", "classifier.linear_out"),
    *("score", "classification_head.out_proj", "logits_proj"),
)


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """An adapter on the disk. config: its configuration. shapes: of the tensors in its file, by their names there."""

    folder: Path
    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def base(self) -> str:
        """The base model as the configuration names it."""
        return str(self.config.get("base_model_name_or_path") or "")

    @property
    def inside(self) -> Path | None:
        """The folder within the adapter's own that its base model's name leads to; None when there is none."""
        folder = self.folder / self.base
        try:
            return folder if self.base and not Path(self.base).is_absolute() and folder.is_dir() else None
        # A name longer than the file system allows.
        except OSError:
            return None

    @property
    def outputs(self) -> int | None:
        """Outputs of the head that was saved with the adapter; None when it was saved without one."""
        return next((shape[0] for last in _LAST if (shape := self.shapes.get(f"{PREFIX}{last}.weight"))), None)


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter and no whole checkpoint."""
    whole = (folder / SINGLE).is_file() or (folder / INDEX).is_file()
    return (folder / ADAPTER_CONFIG).is_file() and not whole


def read_adapter(folder: Path) -> Adapter:
    """The adapter in `folder`; no weights are read. Raises CheckpointError for damaged files."""
    file = folder / ADAPTER_WEIGHTS
    config = json_object(folder / ADAPTER_CONFIG)
    try:
        with safe_open(str(file), framework="np", backend="pread") as opened:
            shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: damaged safetensors ({error})") from None
    return Adapter(folder=folder, config=config, shapes=shapes)


def refusal(adapter: Adapter) -> str:
    """Why the adapter cannot be merged, or has no head that is scored here; "" when nothing speaks against it."""
    config = adapter.config
    kind = config.get("peft_type")
    if kind not in MERGEABLE:
        return f"adapters of the kind {kind} are not merged into a model here; those that are: {', '.join(MERGEABLE)}"
    for field in _UNMERGEABLE:
        if config.get(field):
            return f"its {ADAPTER_CONFIG} sets {field}, with which an adapter cannot be merged"
    start = config.get("init_lora_weights")
    if start not in _REPEATABLE:
        return (
            f"it starts from {start}, which cannot be repeated here; "
            "convert it with peft's save_pretrained(path_initial_model_for_weight_conversion=…)"
        )
    task = config.get("task_type")
    known = task is None or (isinstance(task, str) and task in _TASKS)
    return "" if known else f"its task type {task} has no head that is scored here; SEQ_CLS has"


def base_folder(adapter: Adapter) -> Path:
    """The folder of the base model, found like any other model: a directory, the starter, or a Hub id.

    A relative name means a directory inside the adapter's folder, else one under the working directory, as for peft,
    else a repository. Raises CheckpointError when it cannot be had; offline, that is when it is not on this machine.
    """
    name = adapter.base
    revision = str(adapter.config.get("revision") or "")
    if not name:
        raise CheckpointError(f"its {ADAPTER_CONFIG} names no base model (base_model_name_or_path)")
    if ".." in Path(name).parts or "\0" in name:
        raise CheckpointError(f"its base model {name!r} leads out of a folder; name it by an absolute path or a Hub id")
    try:
        local = adapter.inside or Path(name)
        # Hub ids only have a branch, and this is the one that is meant when none is named.
        if local.is_dir() and revision == "main":
            revision = ""
        return folder_of(str(adapter.inside or name), revision=revision)
    except (CheckpointError, OSError) as error:
        raise CheckpointError(
            f"its base model {name!r} cannot be had ({error}); base_model_name_or_path in {ADAPTER_CONFIG} says where"
        ) from None


def head_on(adapter: Adapter, base: Mapping[str, Any]) -> tuple[Head | None, str]:
    """The head that the adapter and its base model have together, and "" or the reason why it cannot be scored.

    base: configuration of the base model. Whether every weight of the head was trained is seen when it is loaded.
    """
    architecture = _architecture(adapter) or architecture_of(base)
    head = _TASKS.get(str(adapter.config.get("task_type"))) or ending(architecture)
    if base.get("quantization_config"):
        return None, "its base model is quantised; name the one before quantisation"
    if head is None:
        return None, without_head(architecture)
    reason = unknown(architecture, base) if ending(architecture) else ""
    if not reason and adapter.outputs is None and ending(architecture_of(base)) != head:
        reason = (
            f"neither it nor its base model {adapter.base} has a trained {head} head; "
            "train it with modules_to_save naming the head"
        )
    return (None, reason) if reason else (head, "")


def classes_on(adapter: Adapter, base: Mapping[str, Any]) -> dict[int, str] | None:
    """Names of the outputs of a sequence classification head; None where nothing says which is which.

    An adapter's file has the head's weights and no names. A `config.json` beside it may give them; else the base
    model's are taken, when they are names and as many as the head has outputs.
    """
    own = adapter.folder / "config.json"
    for config in ([json_object(own)] if own.is_file() else []) + [base]:
        names = _named(config.get("id2label"))
        if names:
            return names if adapter.outputs in (None, len(names)) else None
    return None


def _named(id2label: Any) -> dict[int, str] | None:
    if not isinstance(id2label, Mapping):
        return None
    try:
        names = {int(index): str(label) for index, label in id2label.items()}
    except ValueError:
        return None
    return None if all(label == f"LABEL_{index}" for index, label in names.items()) else names


def _architecture(adapter: Adapter) -> str:
    """What peft writes down of the model that was trained, where no task type says it. Only the name is used."""
    mapping = adapter.config.get("auto_mapping")
    named = mapping.get("base_model_class") if isinstance(mapping, Mapping) else None
    return str(named or "")
