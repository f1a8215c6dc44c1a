"""Natural language inference: does the premise entail, leave open or contradict the hypothesis?

Every repository here stores the label as 0 entailment, 1 neutral, 2 contradiction, our canonical order. Each premise
of XNLI comes three times in a row, once per label, aligned in all languages: those three items are a cluster.
"""

from types import MappingProxyType

from xfer_bench.tasks.parts import in_splits
from xfer_bench.tasks.readers import nli_pairs
from xfer_bench.tasks.task import TEST, TRAIN, VALIDATION, Format, Part, Task

NLI = Format(name="nli", head="sequence_classification", labels=("entailment", "neutral", "contradiction"))

_CHANCE = 1 / 3
_COLUMNS = ("premise", "hypothesis", "label")
_XNLI_LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
_XNLI_LICENCE = "CC BY-NC 4.0 (non-commercial)"

_XNLI_PART = Part(
    split=VALIDATION,
    languages=_XNLI_LANGUAGES,
    repository="facebook/xnli",
    config="{language}",
    read=nli_pairs(cluster="triple"),
    columns=_COLUMNS,
)

XNLI = Task(
    name="xnli",
    format=NLI,
    parts=in_splits(_XNLI_PART, VALIDATION, TEST),
    licence=_XNLI_LICENCE,
    chance=_CHANCE,
    parallel=True,
    settings=MappingProxyType({"NLI": ("mnli",)}),
    averages_english=True,
)

# The parallel validation items as a small training set in any mix of languages: the same content, and only the
# language differs. It has no validation part: the seeded tenth that is held out is the same in every language.
XNLI_DEV = Task(
    name="xnli_dev",
    format=NLI,
    parts=(
        Part(
            split=TRAIN,
            languages=_XNLI_LANGUAGES,
            repository="facebook/xnli",
            config="{language}",
            read=nli_pairs(cluster="triple"),
            columns=_COLUMNS,
            upstream_split="validation",
        ),
    ),
    licence=_XNLI_LICENCE,
    chance=_CHANCE,
    parallel=True,
    barred=MappingProxyType({"xnli": "its training items are XNLI's validation items"}),
)

MNLI = Task(
    name="mnli",
    format=NLI,
    parts=(
        Part(
            split=TRAIN,
            languages=("en",),
            repository="facebook/xnli",
            config="en",
            read=nli_pairs(),
            columns=_COLUMNS,
        ),
        Part(
            split=VALIDATION,
            languages=("en",),
            repository="facebook/xnli",
            config="en",
            read=nli_pairs(cluster="triple"),
            columns=_COLUMNS,
        ),
    ),
    licence="train: OANC and Creative Commons licences; validation: CC BY-NC 4.0 (non-commercial)",
    chance=_CHANCE,
    same_source=MappingProxyType({"xnli": "it is XNLI's own English training set"}),
)

LINGNLI = Task(
    name="lingnli",
    format=NLI,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("en",),
            repository="extra/lingnli",
            config="default",
            read=nli_pairs(),
            columns=_COLUMNS,
            upstream="https://github.com/Alicia-Parrish/ling_in_loop @ 9def304e19161efa3a3959349021e6a7860b0afe",
        ),
        TRAIN,
        VALIDATION,
    ),
    licence="not stated upstream (premises from MultiNLI)",
    chance=_CHANCE,
    same_source=MappingProxyType({"xnli": "its premises are those of XNLI's English training set"}),
)

OCNLI = Task(
    name="ocnli",
    format=NLI,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("zh",),
            repository="extra/ocnli",
            config="default",
            read=nli_pairs(premise="sentence1", hypothesis="sentence2"),
            columns=("sentence1", "sentence2", "label"),
            upstream="https://github.com/CLUEbenchmark/OCNLI @ b53efdee17257a5c33993cf6fcf8ffff0497ea0e",
        ),
        TRAIN,
        VALIDATION,
    ),
    licence="CC BY-NC 2.0 (non-commercial)",
    chance=_CHANCE,
)

INDONLI = Task(
    name="indonli",
    format=NLI,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("id",),
            repository="afaji/indonli",
            config="indonli",
            read=nli_pairs(),
            columns=_COLUMNS,
        ),
        TRAIN,
        VALIDATION,
    ),
    licence="not stated upstream (premises CC BY-SA 3.0 and 4.0)",
    chance=_CHANCE,
)

FARSTAIL = Task(
    name="farstail",
    format=NLI,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("fa",),
            repository="extra/farstail",
            config="default",
            read=nli_pairs(),
            columns=_COLUMNS,
            upstream="https://github.com/dml-qom/FarsTail @ 5d6322c40368ea5fab50e406e083e537a7d97817",
        ),
        TRAIN,
        VALIDATION,
    ),
    licence="Apache-2.0",
    chance=_CHANCE,
)

INFERES = Task(
    name="inferes",
    format=NLI,
    parts=(
        Part(
            split=TRAIN,
            languages=("es",),
            repository="extra/inferes",
            config="default",
            read=nli_pairs(),
            columns=_COLUMNS,
            upstream="https://github.com/venelink/inferes @ b7bc3a72cb9a2ec1d7a69d088d09df7ab036de32",
        ),
    ),
    licence="not stated upstream",
    chance=_CHANCE,
)

JSICK = Task(
    name="jsick",
    format=NLI,
    parts=(
        Part(
            split=TRAIN,
            languages=("ja",),
            repository="extra/jsick",
            config="default",
            read=nli_pairs(),
            columns=_COLUMNS,
            upstream="https://github.com/verypluming/JSICK @ b3034994192fae2f41b5937bcf69544e4282fc39",
        ),
    ),
    licence="CC BY-SA 4.0 (its README says CC BY 4.0)",
    chance=_CHANCE,
)
