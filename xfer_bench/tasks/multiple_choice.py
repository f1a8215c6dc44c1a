"""Multiple choice: which candidate continues, explains or answers the text? One logit a candidate, softmax over them.

The text is the context and the question, where there are both. XCOPA is given its question in English in every
language. Its item numbers are those of English COPA: the labels of all 500 test and 100 validation items are equal
under the same `idx`, so that one item number is one item in all twelve languages.
"""

from types import MappingProxyType

from xfer_bench.tasks.cells import TEXT_OR_WHOLE
from xfer_bench.tasks.parts import in_splits
from xfer_bench.tasks.readers import choices, read_c3, read_copa, read_keyed
from xfer_bench.tasks.task import TEST, TRAIN, VALIDATION, Format, Part, Task

MULTIPLE_CHOICE = Format(name="multiple_choice", head="multiple_choice")

_COPA_COLUMNS = ("premise", "choice1", "choice2", "question", "label", "idx")
_COPA_TEST = Part(
    split=TEST,
    languages=("en",),
    repository="extra/copa_test_gold",  # the benchmark's own test labels are hidden on the Hub
    config="default",
    read=read_copa,
    columns=_COPA_COLUMNS,
    upstream="https://github.com/a-brassard/copa-sse @ 62f50bf25f4ee91ea851a3e59a66693498b41bc1",
)
_COPA_PART = Part(
    split=TRAIN,
    languages=("en",),
    repository="aps/super_glue",
    config="copa",
    read=read_copa,
    columns=_COPA_COLUMNS,
)
_XCOPA_PART = Part(
    split=VALIDATION,
    languages=("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"),
    repository="cambridgeltl/xcopa",
    config="{language}",
    read=read_copa,
    columns=_COPA_COLUMNS,
)

XCOPA = Task(
    name="xcopa",
    format=MULTIPLE_CHOICE,
    parts=(*in_splits(_XCOPA_PART, VALIDATION, TEST), *in_splits(_COPA_PART, VALIDATION), _COPA_TEST),
    licence="CC BY 4.0; English: BSD-2-Clause",
    chance=1 / 2,
    parallel=True,
    settings=MappingProxyType({"CO": ("copa",), "SI": ("siqa",), "SI+CO": ("siqa", "copa")}),
    repair="xcopa",
)

COPA = Task(
    name="copa",
    format=MULTIPLE_CHOICE,
    parts=(*in_splits(_COPA_PART, TRAIN, VALIDATION), _COPA_TEST),
    licence="BSD-2-Clause",
    chance=1 / 2,
    same_source=MappingProxyType({"xcopa": "it is XCOPA's own English training set"}),
)

_SIQA_COLUMNS = ("context", "question", "answerA", "answerB", "answerC", "label")

# Social IQa counts its choices from 1, in strings.
read_siqa = choices(
    text=("context", "question"),
    candidates=("answerA", "answerB", "answerC"),
    label=TEXT_OR_WHOLE,
    first=1,
)

SIQA = Task(
    name="siqa",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("en",),
            repository="allenai/social_i_qa",
            config="default",
            read=read_siqa,
            columns=_SIQA_COLUMNS,
        ),
        TRAIN,
        VALIDATION,
    ),
    licence="not stated upstream",
    chance=1 / 3,
)

SIQA_PT = Task(
    name="siqa_pt",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("pt",),
            repository="extra/social_i_qa_pt",
            config="default",
            read=read_siqa,
            columns=_SIQA_COLUMNS,
            upstream="https://github.com/fabiograssiotto/SocialIQA_pt @ 32b0f283d31631fee9dd1366ed451dbc6a6c7e38",
        ),
        TRAIN,
        VALIDATION,
    ),
    licence="not stated upstream",
    chance=1 / 3,
    machine_translated=True,
)

_KEYED_COLUMNS = ("id", "question", "choices", "answerKey")

CSQA = Task(
    name="csqa",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("en",),
            repository="tau/commonsense_qa",
            config="default",
            read=read_keyed,
            columns=_KEYED_COLUMNS,
        ),
        TRAIN,
        VALIDATION,
    ),
    licence="not stated upstream",
    chance=1 / 5,
)

CSQA_V1 = Task(
    name="csqa_v1",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("en",),
            repository="extra/commonsense_qa_v1.0",
            config="default",
            read=read_keyed,
            columns=_KEYED_COLUMNS,
            upstream="https://github.com/salesforce/cos-e @ fd0cafcc3e30fd24e3e1742934e8fcbf677315c9",
        ),
        TRAIN,
        VALIDATION,
    ),
    licence="BSD-3-Clause",
    chance=1 / 3,
)

HELLASWAG = Task(
    name="hellaswag",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("en",),
            repository="Rowan/hellaswag",
            config="default",
            read=choices(text=("ctx",), candidates="endings", label=TEXT_OR_WHOLE),
            columns=("ctx", "endings", "label"),
        ),
        TRAIN,
        VALIDATION,
    ),
    licence="MIT",
    chance=1 / 4,
)

COSMOSQA = Task(
    name="cosmosqa",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("en",),
            repository="allenai/cosmos_qa",
            config="default",
            read=choices(
                text=("context", "question"),
                candidates=("answer0", "answer1", "answer2", "answer3"),
            ),
            columns=("context", "question", "answer0", "answer1", "answer2", "answer3", "label"),
        ),
        TRAIN,
        VALIDATION,
    ),
    licence="not stated upstream",
    chance=1 / 4,
)

C3 = Task(
    name="c3",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("zh",),
            repository="extra/c3",
            config="default",
            read=read_c3,
            columns=("id", "context", "question", "choice", "answer"),
            upstream="https://github.com/nlpdata/c3 @ 1f41682ebb684d63afe7c583c8f38e137fc8a826",
        ),
        TRAIN,
        VALIDATION,
        TEST,
    ),
    licence="non-commercial research only (non-commercial)",
    chance=0.27,  # 2 to 4 choices: the mean of 1/choices over the training items is 0.271
)

JCOMMONSENSEQA = Task(
    name="jcommonsenseqa",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("ja",),
            repository="extra/jcommonsenseqa",
            config="default",
            read=choices(
                text=("question",),
                candidates=("choice0", "choice1", "choice2", "choice3", "choice4"),
                item="q_id",
            ),
            columns=("q_id", "question", "choice0", "choice1", "choice2", "choice3", "choice4", "label"),
            upstream="https://github.com/yahoojapan/JGLUE @ 6f071c09316baae89c3d083a90985b4b1cb9968c",
        ),
        TRAIN,
        VALIDATION,
    ),
    licence="CC BY-SA 4.0",
    chance=1 / 5,
)

KOBEST_HELLASWAG = Task(
    name="kobest_hellaswag",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("ko",),
            repository="skt/kobest_v1",
            config="hellaswag",
            read=choices(
                text=("context",),
                candidates=("ending_1", "ending_2", "ending_3", "ending_4"),
            ),
            columns=("context", "ending_1", "ending_2", "ending_3", "ending_4", "label"),
        ),
        TRAIN,
        VALIDATION,
        TEST,
    ),
    licence="not stated upstream (CC BY-SA 4.0 in its paper)",
    chance=1 / 4,
)

KOBEST_COPA = Task(
    name="kobest_copa",
    format=MULTIPLE_CHOICE,
    parts=in_splits(
        Part(
            split=TRAIN,
            languages=("ko",),
            repository="skt/kobest_v1",
            config="copa",
            read=choices(
                text=("premise", "question"),
                candidates=("alternative_1", "alternative_2"),
            ),
            columns=("premise", "question", "alternative_1", "alternative_2", "label"),
        ),
        TRAIN,
        VALIDATION,
        TEST,
    ),
    licence="not stated upstream (CC BY-SA 4.0 in its paper)",
    chance=1 / 2,
    barred=MappingProxyType(
        {"xcopa": "its training set holds Korean translations of COPA test items, which are XCOPA's test items"}
    ),
)
