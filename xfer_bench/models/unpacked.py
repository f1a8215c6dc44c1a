"""The parts of a Hugging Face checkpoint made from the starter's packed file: configuration, tokenizer, weights."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from xfer_bench.models.packed import Packed

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Progress: TypeAlias = Callable[[int, int], None]

SPECIALS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}

# The tokenizer was trained on text where the fullwidth tilde stayed as it is; NFKC alone would make it an ASCII one.
# It passes NFKC disguised as a character that no text contains (private use).
KEPT_FROM_NFKC = {"\uff5e": "\U000f0000"}

_LAYER_PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def config_of(packed: Packed) -> dict[str, Any]:
    """The BertConfig as JSON. Padding is 1, as in the tokenizer; the original's 0 would be `<s>`."""
    return {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": packed.bos,
        "classifier_dropout": None,
        "dtype": "float32",
        "eos_token_id": packed.eos,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": packed.hidden,
        "initializer_range": 0.02,
        "intermediate_size": packed.feed_forward,
        "layer_norm_eps": packed.epsilon,
        "max_position_embeddings": packed.positions,
        "model_type": "bert",
        "num_attention_heads": packed.heads,
        "num_hidden_layers": packed.layers,
        "pad_token_id": packed.pad,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "type_vocab_size": packed.token_types,
        "vocab_size": packed.vocabulary,
    }


def tokenizer_of(packed: Packed) -> "Tokenizer":
    """XLM-R's tokenizer: Unigram with `<s> A </s>` and `<s> A </s></s> B </s>`, all type ids 0.

    Its normalisation is NFKC and the single characters where the file's map departs from it: control characters go,
    space-like ones become spaces.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    by_replacement: dict[str, str] = {}
    for character, replacement in packed.normalisation.items():
        if unicodedata.normalize("NFKC", character) != replacement:
            by_replacement[replacement] = by_replacement.get(replacement, "") + f"\\x{{{ord(character):X}}}"
    departures = [
        normalizers.Replace(Regex(f"[{members}]"), replacement) for replacement, members in by_replacement.items()
    ]
    disguises = [normalizers.Replace(character, disguise) for character, disguise in KEPT_FROM_NFKC.items()]
    reversals = [normalizers.Replace(disguise, character) for character, disguise in KEPT_FROM_NFKC.items()]
    tokenizer = Tokenizer(
        models.Unigram(list(zip(packed.pieces, packed.scores, strict=True)), unk_id=packed.unk, byte_fallback=False)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [*departures, *disguises, normalizers.NFKC(), *reversals, normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    begin, end = packed.pieces[packed.bos], packed.pieces[packed.eos]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} {end} $B {end}",
        special_tokens=[(begin, packed.bos), (end, packed.eos)],
    )
    specials = sorted(set(SPECIALS.values()), key=packed.pieces.index)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in specials])
    return tokenizer


def write_weights(packed: Packed, path: Path, *, progress: Progress | None = None) -> None:
    """Write every tensor in float32 under BertModel's names as one safetensors file, a dozen megabytes at a time.

    The format is a length, a JSON header padded with spaces, and the tensors one after another
    (huggingface.co/docs/safetensors); writing it directly keeps the 470 MB out of memory.
    """
    names = tensor_names(packed)
    shapes = {target: _shape(packed, source) for source, target in names.items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    total = 0
    for target, (rows, columns) in shapes.items():
        size = 4 * rows * columns
        shape = [rows, columns] if rows > 1 else [columns]
        header[target] = {"dtype": "F32", "shape": shape, "data_offsets": [total, total + size]}
        total += size
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        done = 0
        for source, target in names.items():
            for chunk in packed.rows(source, columns=shapes[target][1]):
                file.write(chunk.astype("<f4", copy=False).tobytes())
                done += 4 * chunk.size
                if progress is not None:
                    progress(done, total)


def tensor_names(packed: Packed) -> dict[str, str]:
    """The file's tensor names to those of `BertModel`."""
    names = {
        "emb.word": "embeddings.word_embeddings.weight",
        "emb.pos": "embeddings.position_embeddings.weight",
        "emb.type": "embeddings.token_type_embeddings.weight",
        "emb.ln.w": "embeddings.LayerNorm.weight",
        "emb.ln.b": "embeddings.LayerNorm.bias",
    }
    for layer, (short, long) in ((n, part) for n in range(packed.layers) for part in _LAYER_PARTS.items()):
        names[f"l{layer}.{short}.w"] = f"encoder.layer.{layer}.{long}.weight"
        names[f"l{layer}.{short}.b"] = f"encoder.layer.{layer}.{long}.bias"
    return names


def _shape(packed: Packed, name: str) -> tuple[int, int]:
    """Rows and columns of a tensor; one row for a vector."""
    elements = packed.tensors[name].elements
    is_matrix = name in {"emb.word", "emb.pos", "emb.type"} or name.split(".")[-2] in {"q", "k", "v", "ao", "fi", "fo"}
    if not is_matrix or name.endswith(".b"):
        return 1, elements
    columns = packed.feed_forward if name.endswith("fo.w") else packed.hidden
    return elements // columns, columns
