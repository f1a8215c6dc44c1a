"""The benchmarks and training sets: the literal registry, and the one way to look a task up.

Adding a task touches the file of its format (or a new one) and the registry below, nothing else.
"""

from collections.abc import Mapping
from types import MappingProxyType

from xfer_bench.errors import TaskError
from xfer_bench.tasks.exams import EXAMS
from xfer_bench.tasks.multiple_choice import (
    C3,
    COPA,
    COSMOSQA,
    CSQA,
    CSQA_V1,
    HELLASWAG,
    JCOMMONSENSEQA,
    KOBEST_COPA,
    KOBEST_HELLASWAG,
    SIQA,
    SIQA_PT,
    XCOPA,
)
from xfer_bench.tasks.nli import FARSTAIL, INDONLI, INFERES, JSICK, LINGNLI, MNLI, OCNLI, XNLI, XNLI_DEV
from xfer_bench.tasks.paraphrase import PAWSX, PAWSX_DEV
from xfer_bench.tasks.quickstart import (
    QUICKSTART_COPA,
    QUICKSTART_NLI,
    QUICKSTART_REASONING,
    QUICKSTART_SIQA,
    QUICKSTART_XCOPA,
    QUICKSTART_XNLI,
)
from xfer_bench.tasks.task import Task
from xfer_bench.tasks.text import TATOEBA_TEXT, WIKIPEDIA

__all__ = ["TASKS", "Task", "find"]

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        task.name: task
        for task in (
            XNLI,
            XCOPA,
            MNLI,
            LINGNLI,
            COPA,
            SIQA,
            CSQA,
            CSQA_V1,
            HELLASWAG,
            COSMOSQA,
            EXAMS,
            KOBEST_HELLASWAG,
            KOBEST_COPA,
            C3,
            JCOMMONSENSEQA,
            SIQA_PT,
            OCNLI,
            INDONLI,
            FARSTAIL,
            INFERES,
            JSICK,
            XNLI_DEV,
            PAWSX,
            PAWSX_DEV,
            WIKIPEDIA,
            TATOEBA_TEXT,
            QUICKSTART_XCOPA,
            QUICKSTART_XNLI,
            QUICKSTART_COPA,
            QUICKSTART_NLI,
            QUICKSTART_SIQA,
            QUICKSTART_REASONING,
        )
    }
)


def find(name: str, *, among: Mapping[str, Task] = TASKS) -> Task:
    """The task of this name. Raises TaskError naming the tasks that there are.

    What a registry says in its KeyError besides the name, such as why it could not look further, is said too.
    """
    try:
        return among[name]
    except KeyError as missing:
        more = "".join(f"; {reason}" for reason in missing.args[1:])
        raise TaskError(f"no task named {name!r}; choose one of {', '.join(sorted(among))}{more}") from None
