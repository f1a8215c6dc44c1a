"""The code that decides what a stage's training gives, as a digest. Nothing here imports torch."""

from pathlib import Path

from xfer_bench import models
from xfer_bench.digest import source_digest

# All of this room but what only reads finished stages.
_DECIDING = (
    "adapting", "arguments", "batches", "callbacks", "determinism", "fitting", "job", "keeping", "material", "memory",
    "objective", "order", "probe", "stages", "tokenised", "trainer",
)  # fmt: skip


def training_source() -> str:
    """Digest of the training code and of the model code that it runs."""
    here = Path(__file__).parent
    there = Path(models.__file__).parent
    code = [here / f"{name}.py" for name in _DECIDING]
    return source_digest(*code, *(there / name for name in ("encoding.py", "heads.py", "multitask.py", "precision.py")))
