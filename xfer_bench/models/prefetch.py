"""Bringing a model of the Hub into a plain folder, by the rules of `origin`: safetensors only, no code."""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from xfer_bench.models import starter
from xfer_bench.models.origin import CONTENT, check_names
from xfer_bench.sources.downloads import listing
from xfer_bench.sources.prefetch import Order, order
from xfer_bench.study import Study

FOLDER = "models"


def of_study(study: Study) -> Iterator[tuple[str, str]]:
    """(name, revision) of every model that a study starts from, without those that are here already."""
    for one in study.per_model():
        if one.model != starter.NAME and not _is_local(one.model):
            yield one.model, one.revision


def look(model: str, *, revision: str, root: Path) -> Order:
    """Ask the Hub for a model's files; they go to DIR/models/<owner>/<name>.

    Raises CheckpointError for a repository without safetensors, SourceError when it cannot be had.
    """
    identifier, _, named = model.partition("@")
    found = listing(identifier, kind="model", revision=revision or named)
    check_names(found.files, f"{identifier} on the Hub")
    files = [file for name, file in found.files.items() if any(fnmatch(name, one) for one in CONTENT)]
    # A pattern's star goes across folders, and what lies in one is not the model.
    return order([file for file in files if "/" not in file.name], root / FOLDER / identifier)


def _is_local(model: str) -> bool:
    """Whether `origin` would take the name for a directory."""
    return model.startswith((".", "/", "~")) or Path(model).exists()
