"""A model with only the token rows that its texts need: lighter by far on a CPU, and the same logits on those texts.

Most of a small multilingual model is its embedding matrix, and a study's languages use a fraction of it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from xfer_bench.durable import whole_folder
from xfer_bench.errors import CheckpointError
from xfer_bench.models.sliced import slice_weights

Ids: TypeAlias = NDArray[np.int32]
Parts: TypeAlias = dict[str, Any]

RECORD = "vocabulary.json"
TEXTS_AT_ONCE = 2048


@dataclass(frozen=True, kw_only=True)
class TrimReport:
    """kept, before: rows of the embedding matrix after and before; texts: how many different ones were covered."""

    kept: int
    before: int
    texts: int


def trim(origin_path: Path, texts: Iterable[str], destination: Path, *, covers: Sequence[str] = ()) -> TrimReport:
    """Write a checkpoint that lacks the token rows which none of these texts uses.

    origin_path: a checkpoint directory with a Unigram tokenizer; nothing in it is changed.
    texts: exactly as they will be encoded, one side of a pair at a time: a piece depends on what stands before it.
    destination: must not exist; it appears whole or not at all.
    covers: fingerprints of the data the texts come from, noted in `vocabulary.json` for whoever reuses the folder.

    Every text is encoded again with the new tokenizer and compared. Other texts made of the same characters are
    encoded too, without `<unk>`, but perhaps in smaller pieces. Raises CheckpointError for other kinds of tokenizer
    and when the folder exists or cannot be written.
    """
    if destination.exists():
        raise CheckpointError(f"{destination} exists already; give a folder that does not")
    tokenizer = AutoTokenizer.from_pretrained(origin_path)
    # What AutoTokenizer made of the files, since a model's own class may rebuild parts of tokenizer.json.
    backend = Tokenizer.from_str(_unigram(tokenizer, origin_path).to_str())
    backend.no_truncation()
    backend.no_padding()
    distinct = list(dict.fromkeys(texts))
    before = list(_encode(backend, distinct))
    parts: Parts = json.loads(backend.to_str())
    kept = kept_ids(parts, before)
    parts = renumbered(parts, kept)
    trimmed = Tokenizer.from_str(json.dumps(parts, ensure_ascii=False))
    _compare(before, _encode(trimmed, distinct), kept, origin_path)
    try:
        with whole_folder(destination) as draft:
            rows = slice_weights(origin_path, draft, kept)
            _wrap(trimmed, tokenizer).save_pretrained(draft)
            report = TrimReport(kept=len(kept), before=rows, texts=len(distinct))
            record = {**asdict(report), "covers": sorted(set(covers))}
            (draft / RECORD).write_text(f"{json.dumps(record, indent=2)}\n", encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"cannot write the trimmed model to {destination}: {error.strerror or error}") from None
    return report


def kept_ids(parts: Parts, encoded: Iterable[Ids]) -> Ids:
    """The ids to keep, ascending: all that occur, all added tokens, and what keeps every segmentation as it is.

    parts: a tokenizer.json. encoded: the ids of the texts.

    A Unigram tokenizer takes the path of pieces with the highest sum of scores. Removing pieces that lie on no best
    path leaves every best path in place, and no other path gains, with one exception: where a single character loses
    its piece, `<unk>` may stand for it. `<unk>` scores the lowest score in the vocabulary less 10, so as long as the
    piece with the lowest score stays, it scores less than any piece it could stand in for, and the best path stays
    the best. Ties are decided by position, which does not change either.

    Single characters of kept pieces are kept as well, though no text here needs them: that is what lets other texts
    of the same languages be encoded without `<unk>`.
    """
    vocabulary = parts["model"]["vocab"]
    kept = {int(token["id"]) for token in parts["added_tokens"]}
    if parts["model"]["unk_id"] is not None:
        kept.add(parts["model"]["unk_id"])
    kept.add(min(range(len(vocabulary)), key=lambda index: vocabulary[index][1]))
    for ids in encoded:
        kept.update(ids.tolist())
    characters = {character for index in kept if index < len(vocabulary) for character in vocabulary[index][0]}
    kept.update(index for index, (piece, _) in enumerate(vocabulary) if piece in characters)
    if parts["model"].get("byte_fallback"):
        # These stand for the bytes of any character without a piece.
        kept.update(i for i, (piece, _) in enumerate(vocabulary) if piece.startswith("<0x") and piece.endswith(">"))
    return np.array(sorted(kept), dtype=np.int32)


def renumbered(parts: Parts, kept: Ids) -> Parts:
    """The tokenizer.json with only these ids, numbered anew from 0 in the same order."""
    number = {old: new for new, old in enumerate(kept.tolist())}
    model = parts["model"]
    vocabulary = [model["vocab"][old] for old in number if old < len(model["vocab"])]
    return {
        **parts,
        "model": {**model, "vocab": vocabulary, "unk_id": number.get(model["unk_id"])},
        "added_tokens": [{**token, "id": number[token["id"]]} for token in parts["added_tokens"]],
        "post_processor": _renumber_template(parts["post_processor"], number),
    }


def _renumber_template(part: Any, number: Mapping[int, int]) -> Any:
    """A post-processor with the ids of the tokens it adds renumbered; they are all added tokens, hence kept."""
    if part is None:
        return None
    if part["type"] == "Sequence":
        return {**part, "processors": [_renumber_template(inner, number) for inner in part["processors"]]}
    if part["type"] == "TemplateProcessing":
        specials = {
            name: {**special, "ids": [number[old] for old in special["ids"]]}
            for name, special in part["special_tokens"].items()
        }
        return {**part, "special_tokens": specials}
    return {name: [value[0], number[value[1]]] if name in {"sep", "cls"} else value for name, value in part.items()}


def _unigram(tokenizer: Any, origin_path: Path) -> Tokenizer:
    backend: Tokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
    kind = "a tokenizer without tokenizer.json" if backend is None else type(backend.model).__name__
    if backend is None or kind != "Unigram":
        raise CheckpointError(
            f"{origin_path} has a vocabulary of kind {kind}; only Unigram vocabularies can be trimmed"
        )
    return backend


def _encode(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[Ids]:
    """The ids of each text with its special tokens, and last those of a pair."""
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        for encoding in tokenizer.encode_batch_fast(list(texts[start : start + TEXTS_AT_ONCE])):
            yield np.array(encoding.ids, dtype=np.int32)
    if texts:
        yield np.array(tokenizer.encode(texts[0], texts[-1]).ids, dtype=np.int32)


def _compare(before: Iterable[Ids], after: Iterable[Ids], kept: Ids, origin_path: Path) -> None:
    """Raise CheckpointError unless the new ids stand for the old ones everywhere."""
    for old, new in zip(before, after, strict=True):
        if not np.array_equal(old, kept[new]):
            raise CheckpointError(f"the vocabulary of {origin_path} cannot be trimmed without changing how text is cut")


def _wrap(trimmed: Tokenizer, original: Any) -> PreTrainedTokenizerFast:
    """The trimmed tokenizer in the class that takes tokenizer.json as it is, with the original's settings."""
    flags: dict[str, AddedToken] = {token.content: token for token in original.added_tokens_decoder.values()}
    named = {name: flags.get(str(token), str(token)) for name, token in original.special_tokens_map.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=trimmed,
        model_max_length=original.model_max_length,
        padding_side=original.padding_side,
        truncation_side=original.truncation_side,
        **named,
    )
