"""The code that decides what a stage's training gives, as a digest. Nothing here imports torch."""

from pathlib import Path

from xfer_bench import models
from xfer_bench.digest import source_digest


def training_source() -> str:
    """Digest of the training code and of the model code that it runs."""
    here = Path(__file__).parent
    there = Path(models.__file__).parent
    code = [here / name for name in ("batches.py", "probe.py", "stages.py", "trainer.py")]
    return source_digest(*code, *(there / name for name in ("encoding.py", "heads.py", "precision.py")))
