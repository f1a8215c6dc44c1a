"""What became of a study's stages: finished, failed with a reason, lost with the failed ones. No torch."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xfer_bench.durable import write_json
from xfer_bench.plan import Stage
from xfer_bench.training.checkpoints import Checkpoint

# In the folder where a stage is made: why it cannot be.
FAILED = "failed.json"
_SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A stage that could not be trained to its end.

    label: what it trains. when: ISO 8601. resumes: whether another try goes on from its last state, or anew.
    recorded: whether later calls leave it alone until they are asked to retry; else they try it by themselves.
    earlier: it failed in an earlier call and was not tried again in this one.
    """

    key: str
    label: str
    reason: str
    when: str
    resumes: bool
    recorded: bool = True
    earlier: bool = False

    def __str__(self) -> str:
        again = " (earlier; not tried again)" if self.earlier else ""
        return f"{self.key[:8]} {self.label}{again}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Collapsed:
    """A finished stage whose result answers every development item alike: trained and scored like any other."""

    key: str
    label: str

    def __str__(self) -> str:
        return f"{self.key[:8]} {self.label}: it answers every development item alike"


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained(Mapping[str, Checkpoint]):
    """What became of a study: a mapping from the names of the runs that are finished to their checkpoints.

    failures: stages that could not be trained. lost: the runs that are not finished, each with the failure that it
    waits for. collapsed: finished stages that answer every development item alike.
    """

    checkpoints: Mapping[str, Checkpoint]
    failures: tuple[Failure, ...] = ()
    lost: Mapping[str, Failure]
    collapsed: tuple[Collapsed, ...] = ()

    def __getitem__(self, run: str) -> Checkpoint:
        return self.checkpoints[run]

    def __iter__(self) -> Iterator[str]:
        return iter(self.checkpoints)

    def __len__(self) -> int:
        return len(self.checkpoints)


def label_of(stage: Stage) -> str:
    """How messages call a stage."""
    return f"{stage.role} {stage.task}, seed {stage.data_seed}"


def failure_of(stage: Stage, reason: str, *, resumes: bool, recorded: bool = True) -> Failure:
    """A failure of this moment. reason: one line, which may begin with the stage's label."""
    label = label_of(stage)
    return Failure(
        key=stage.key,
        label=label,
        reason=reason.removeprefix(f"{label}: "),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        resumes=resumes,
        recorded=recorded,
    )


def is_collapsed(lineage: Mapping[str, Any]) -> bool:
    """Whether a stage's result gives one answer to all of its development items, of which there are several."""
    several = (lineage.get("development_items") or 0) > 1
    return several and lineage.get("development_majority") == 100.0


def record_failure(work: Path, failure: Failure) -> None:
    """Mark the stage that is made in this folder as failed. Raises OSError."""
    kept = {name: value for name, value in asdict(failure).items() if name not in {"recorded", "earlier"}}
    write_json(work / FAILED, {"schema": _SCHEMA, **kept})


def recorded_failure(work: Path) -> Failure | None:
    """Why the stage that is made in this folder failed; None when it did not."""
    path = work / FAILED
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Failure(
            key=str(found.get("key", "")),
            label=str(found.get("label", "")),
            reason=str(found["reason"]),
            when=str(found.get("when", "")),
            resumes=bool(found.get("resumes", False)),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Failure(key="", label="", reason=f"{FAILED} cannot be read ({error})", when="", resumes=False)
