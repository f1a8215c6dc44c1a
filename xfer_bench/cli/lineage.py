"""`lineage`: where a checkpoint comes from, and whether it still is what was written. No torch."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xfer_bench.cli.status import Layout
from xfer_bench.errors import CheckpointError

if TYPE_CHECKING:
    from xfer_bench.training.ancestry import Ancestor

_LIBRARIES = ("xfer-bench", "torch", "transformers", "tokenizers", "accelerate", "peft")
_SHORT = 8


def lineage(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="The folder of a checkpoint of ours.")],
    output: Annotated[Layout, typer.Option("--format", help="How it is printed.")] = Layout.TABLE,
) -> None:
    """Print the ancestry of a checkpoint of ours, and compare its files with their recorded digests.

    Parents are verified too where they lie in the same store. Exit code 1 when a file was changed or is missing.
    """
    from xfer_bench.training.ancestry import ancestry

    line = ancestry(checkpoint)
    if output is Layout.JSON:
        typer.echo(json.dumps(_value(line), indent=2, ensure_ascii=False))
    else:
        for text in lineage_lines(line):
            typer.echo(text)
    wrong = sum(len(one.wrong) for one in line)
    if wrong:
        files = sum(len(one.files) for one in line)
        raise CheckpointError(f"{checkpoint}: {wrong} of {files} files are not as they were recorded; do not use it")


def lineage_lines(line: "Sequence[Ancestor]") -> Iterator[str]:
    """A tree: the pretrained model, then each stage under the one before."""
    yield _origin(line[-1].lineage["origin"])
    for depth, one in enumerate(line):
        indent = "   " * depth
        yield f"{indent}└─ {_title(one)}"
        # The line down to the next stage.
        bar = f"{indent}   {'│' if one is not line[-1] else ' '}  "
        for text in _facts(one):
            yield f"{bar}{text}"


def _origin(origin: Mapping[str, Any]) -> str:
    revision = f" at {origin['revision']}" if origin.get("revision") else ""
    trimmed = ", its vocabulary trimmed" if origin.get("trimmed") else ""
    content = str(origin.get("identity")).removeprefix("sha256-")[:_SHORT]
    return f"{origin.get('name')}{revision} (content {content}){trimmed}"


def _title(one: "Ancestor") -> str:
    if one.path is None:
        return f"{one.key[:_SHORT]}  {one.task}: not in this store, so neither known nor verified"
    return f"{one.key[:_SHORT]}  {one.lineage['role']}: {one.task} in {', '.join(one.lineage['languages'])}"


def _facts(one: "Ancestor") -> Iterator[str]:
    if one.path is None:
        return
    known = one.lineage
    counts = {name: known.get(name) for name in ("examples", "steps", "tokens")}
    yield "saw " + ", ".join(f"{count:,} {name}" for name, count in counts.items() if count is not None)
    if len(known["parts"]) > 1:
        yield from (
            f"{part['task']} in {', '.join(part['wanted']['languages'])}: {part['share']:.0%} of the batches, "
            f"from {part['examples']:,} examples"
            + (f", head {part['head']}" if part["mlm"] is None else ", masked words")
            for part in known["parts"]
        )
    yield f"seeds: {', '.join(f'{name} {seed}'.replace('_', ' ') for name, seed in known['seeds'].items())}"
    if known.get("development_accuracy") is not None:
        yield (
            f"development accuracy {known['development_accuracy']:.1f} on {known['development_items']:,} items "
            f"(chance {known['chance']:.1f})"
        )
    versions = known.get("versions", {})
    yield ", ".join(f"{name} {versions[name]}" for name in _LIBRARIES if name in versions)
    commit = f"commit {known['git_commit']}" if known.get("git_commit") else "commit not recorded"
    yield f"{commit}, training code {str(known.get('training_source'))[:_SHORT]}"
    yield f"trained on {known.get('device')} in {known.get('precision')}"
    for run in known.get("runs", []):
        yield f"run {run['run']}"
    yield f"files: {_files(one)}"


def _files(one: "Ancestor") -> str:
    right = len(one.files) - len(one.wrong)
    parts = [f"{right} ok", *(f"{name} {verdict}" for name, verdict in one.wrong.items())]
    parts += [f"{name} not recorded" for name in one.unrecorded]
    return ", ".join(parts)


def _value(line: "Sequence[Ancestor]") -> dict[str, Any]:
    stages = [
        {
            "key": one.key,
            "task": one.task,
            "path": None if one.path is None else str(one.path),
            "lineage": {name: value for name, value in one.lineage.items() if name not in {"files", "sizes"}},
            "files": dict(one.files),
            "unrecorded": list(one.unrecorded),
        }
        for one in line
    ]
    return {"origin": line[-1].lineage["origin"], "stages": stages, "ok": not any(one.wrong for one in line)}
