"""What can go wrong, as a tree.

Every message says what was wrong, what was found and what would be allowed, on one line; the command line prints
that line and exits with code 1.

    XferBenchError
    ├── StudyError        the study file: syntax, keys, impossible combinations
    ├── TaskError         a task, language or split that does not exist, or cannot be used so
    ├── SourceError       rows that are missing, damaged or outside their schema
    ├── CheckpointError   a model or checkpoint that cannot be used
    ├── TrainingError     a stage that cannot be trained to its end
    │   └── OutOfMemoryError    for want of memory, with the smallest batch
    ├── CacheError        the prediction store
    └── ResultsError      a results folder, or predictions that cannot be compared
"""


class XferBenchError(Exception):
    """Anything this package refuses to do; the message is one line."""


class StudyError(XferBenchError):
    """The study file is wrong."""


class TaskError(XferBenchError):
    """No such task, language or split, or it cannot be used like that."""


class SourceError(XferBenchError):
    """Rows are missing, damaged or outside their schema."""


class CheckpointError(XferBenchError):
    """A model or a checkpoint cannot be used."""


class TrainingError(XferBenchError):
    """A stage cannot be trained to its end."""


class OutOfMemoryError(TrainingError):
    """A stage's smallest batch does not fit into memory: it may go on where there is more of it."""


class CacheError(XferBenchError):
    """The prediction store cannot be read or written."""


class ResultsError(XferBenchError):
    """A results folder is empty or inconsistent, or what was asked cannot be computed from it."""
