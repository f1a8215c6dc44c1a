"""Rules that choose among the checkpoints of a training, as data."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from xfer_bench.errors import ResultsError
from xfer_bench.stats.estimates import ENGLISH

RuleName: TypeAlias = Literal["own", "last", "target", "oracle", "average"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a checkpoint is chosen among those of one training; of equal ones the earliest.

    own: by the accuracy on the training language's development split, which zero-shot transfer may see. last: the
    last step. target: for each language the best on that language's own validation items, English among them (CO-TLV,
    Ponti et al. 2020), which zero-shot transfer may not see. oracle: for each language the best on the very items that
    are scored, which no one may see: an upper bound. average: none is chosen; the accuracies of the last k are
    averaged.
    """

    name: RuleName
    k: int | None = None
    split: str = "validation"
    language: str = ENGLISH

    def __post_init__(self) -> None:
        if self.name not in get_args(RuleName):
            raise ResultsError(
                f"no selection rule named {self.name!r}; choose one of own, last, target, oracle, average:K"
            )
        if (self.name == "average") != (self.k is not None) or (self.k is not None and self.k < 1):
            raise ResultsError(
                f"the rule {self.name!r} cannot have k = {self.k}; average:K has a K from 1, others none"
            )

    @classmethod
    def from_text(cls, text: str) -> "Rule":
        """`own`, `last`, `target`, `oracle` or `average:3`. Raises ResultsError for another."""
        name, colon, count = text.partition(":")
        if name not in get_args(RuleName) or bool(colon) != (name == "average") or (colon and not count.isdecimal()):
            raise ResultsError(
                f"no selection rule {text!r}; choose one of own, last, target, oracle, average:K, as average:3"
            )
        return cls(name=name, k=int(count) if colon else None)  # type: ignore[arg-type]

    @property
    def label(self) -> str:
        """For a table: what was done, and whether transfer is still zero-shot."""
        return {
            "own": f"own development ({self.language} {self.split})",
            "last": "last",
            "target": f"selected on target-language {self.split} (not zero-shot)",
            "oracle": "oracle (not zero-shot)",
            "average": f"average of the last {self.k}",
        }[self.name]

    @property
    def zero_shot(self) -> bool:
        """Whether nothing of the target languages was seen."""
        return self.name not in {"target", "oracle"}
