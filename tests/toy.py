"""A tiny random model with a real tokenizer, made on the spot: what tests train, score and trim without a network."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
)

Head: TypeAlias = Literal["none", "sequence_classification", "multiple_choice"]
Kind: TypeAlias = Literal["bert", "xlm-roberta"]

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
WORDS = 500


def unigram_pieces(texts: Iterable[str], *, words: int = WORDS) -> list[tuple[str, float]]:
    """Specials, every character, and the commonest words and their beginnings, with log frequencies as scores.

    Counting rather than training, because the library's trainer does not promise the same pieces twice.
    """
    characters: Counter[str] = Counter({SPACE: 1})
    longer: Counter[str] = Counter()
    for text in texts:
        for word in text.split():
            characters.update(word)
            marked = SPACE + word
            longer.update(marked[:end] for end in range(2, len(marked) + 1))
    common = sorted(longer.items(), key=lambda entry: (-entry[1], entry[0]))[:words]
    counted = sorted(characters.items()) + common
    total = math.log(sum(count for _, count in counted))
    return [(special, 0.0) for special in SPECIALS] + [(piece, math.log(count) - total) for piece, count in counted]


def tiny_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A Unigram tokenizer over these texts; `<s> A </s></s> B </s>`, padding id 1, `<unk>` id 3."""
    backend = Tokenizer(models.Unigram(unigram_pieces(texts), unk_id=SPECIALS.index("<unk>"), byte_fallback=False))
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")]
    )
    backend.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", SPECIALS.index("<s>")), ("</s>", SPECIALS.index("</s>"))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_max_length=128,
    )


def tiny_checkpoint(
    folder: Path,
    texts: Iterable[str],
    *,
    seed: int = 0,
    kind: Kind = "bert",
    head: Head = "none",
    id2label: Mapping[int, str] | None = None,
) -> Path:
    """An ordinary checkpoint directory with random weights: hidden 32, 2 layers, 2 heads, 128 positions, padding id 1.

    folder: made if absent; the same arguments give the same bytes.
    texts: what the vocabulary covers; at the least their characters.
    id2label: the classes of the sequence classification head; three unnamed ones by default.
    """
    tokenizer = tiny_tokenizer(texts)
    labels = dict(id2label) if id2label is not None else {index: f"LABEL_{index}" for index in range(3)}
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        # XLM-R counts positions from the padding id on, so it needs two more for the same length.
        max_position_embeddings=130 if kind == "xlm-roberta" else 128,
        type_vocab_size=2 if kind == "bert" else 1,
        pad_token_id=SPECIALS.index("<pad>"),
        bos_token_id=SPECIALS.index("<s>"),
        eos_token_id=SPECIALS.index("</s>"),
    )
    if head == "sequence_classification":
        config.id2label = labels
        config.label2id = {label: index for index, label in labels.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if head == "sequence_classification":
            model = AutoModelForSequenceClassification.from_config(config)
        elif head == "multiple_choice":
            model = AutoModelForMultipleChoice.from_config(config)
        else:
            model = AutoModel.from_config(config, add_pooling_layer=False)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
