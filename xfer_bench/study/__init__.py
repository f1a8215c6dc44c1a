"""A study: what the user wrote, as frozen values read from TOML. Syntax only: whether its tasks, languages and budgets
exist is decided in `plan`."""

from xfer_bench.study.stages import MlmSpec, PartSpec, StageSpec
from xfer_bench.study.values import Apart, Arm, Budget, Contrast, Seeds, Study, Target

__all__ = ["Apart", "Arm", "Budget", "Contrast", "MlmSpec", "PartSpec", "Seeds", "StageSpec", "Study", "Target"]
