"""The code that scores, tokenises, digests and reads is its own version: a change of it is noticed."""

import ast
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import xfer_bench
from tests.evaluation.places import checkpoint
from xfer_bench.evaluation.digests import (
    digesting_source,
    function_digest,
    scoring_source,
    tokenizing_digest,
)

PACKAGE = Path(xfer_bench.__file__).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("digests") / "c", "multiple_choice")


CHANGING = """
import importlib, json, sys
from pathlib import Path
from xfer_bench.evaluation import digests
from xfer_bench.evaluation.columns import reading_source

root = Path(sys.argv[1]) / "xfer_bench"
assert Path(digests.__file__).is_relative_to(root), digests.__file__
assert len(sys.argv) == 2


def sources():
    digests.scoring_source.cache_clear()
    reading_source.cache_clear()
    return [digests.scoring_source(), digests.digesting_source(), digests.tokenizing_digest([]), reading_source()]


before = sources()
changed = {"scoring": [], "digesting": [], "tokenizing": [], "reading": []}
for file in sorted(root.rglob("*.py")):
    content = file.read_bytes()
    file.write_bytes(content + b"#")
    for kind, old, new in zip(changed, before, sources(), strict=True):
        if old != new:
            changed[kind].append(str(file.relative_to(root)))
    file.write_bytes(content)
assert sources() == before
print(json.dumps(changed))
"""


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The source files whose change changes each digest of source code, found by changing each file of a copy."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, root / "xfer_bench", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", CHANGING, str(root)],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return {kind: set(names) for kind, names in json.loads(done.stdout).items()}


def imported(file: Path) -> set[Path]:
    """The modules of the package that a module imports, also inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("xfer_bench"):
            inside = PACKAGE.parent / node.module.replace(".", "/")
            candidates = [inside.with_suffix(".py"), *(inside / f"{alias.name}.py" for alias in node.names)]
            found |= {path for path in candidates if path.is_file()}
    return found


def reached(*starts: str) -> set[str]:
    """All modules of the package that these import, directly or not; themselves too."""
    todo, seen = [PACKAGE / start for start in starts], set[Path]()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += imported(file)
    return {str(file.relative_to(PACKAGE)) for file in seen}


# Reached by what scores, and deciding none of its numbers: what is found, where it comes from, whether it may be used,
# what a table is called.
HARMLESS = {
    *("errors.py", "digest.py", "durable.py", "frames.py"),
    *("evaluation/discovery.py", "models/architectures.py", "models/origin.py", "models/safety.py"),
    *("models/starter.py", "models/packed.py", "models/unpacked.py"),
    *("evaluation/blocks.py", "evaluation/columns.py", "evaluation/tokens.py", "evaluation/cache.py"),
    *("evaluation/mounts.py", "models/tokens.py"),
}


class TestSource:
    def test_everything_that_scores_is_in_the_digest(self, changing: dict[str, set[str]]) -> None:
        reaching = reached("evaluation/evaluator.py", "evaluation/work.py", "evaluation/batching.py")
        rooms = {name for name in reaching if name.partition("/")[0] not in {"sources", "tasks"}}
        assert rooms - HARMLESS <= changing["scoring"]

    def test_both_files_of_one_name_count(self, changing: dict[str, set[str]]) -> None:
        assert {"models/loading.py", "evaluation/loading.py"} <= changing["scoring"]

    def test_what_does_not_score_is_not_in_it(self, changing: dict[str, set[str]]) -> None:
        rooms = {name.partition("/")[0] for name in changing["scoring"]}
        assert rooms == {"evaluation", "models"}
        others = {"evaluation/cache.py", "evaluation/sweep.py", "evaluation/engines.py", "evaluation/budgets.py"}
        assert not changing["scoring"] & others

    def test_what_makes_tokens_is_in_theirs(self, changing: dict[str, set[str]]) -> None:
        assert changing["tokenizing"] == {"models/encoding.py", "models/loading.py"}

    def test_what_digests_is_in_what_is_remembered_of_it(self, changing: dict[str, set[str]]) -> None:
        assert changing["tokenizing"] < changing["digesting"]
        assert {"evaluation/digests.py", "models/safety.py", "models/origin.py"} <= changing["digesting"]

    def test_what_reads_rows_is_in_what_is_remembered_of_them(self, changing: dict[str, set[str]]) -> None:
        assert "evaluation/columns.py" in changing["reading"]
        for room in ("sources", "tasks"):
            files = {str(file.relative_to(PACKAGE)) for file in (PACKAGE / room).glob("*.py")}
            assert files <= changing["reading"]

    @pytest.mark.parametrize("library", ["tokenizers", "transformers", "peft"])
    def test_another_version_of_a_library_is_another_digest(
        self, folder: Path, tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "adapter_config.json").write_text("{}")

        def found() -> dict[str, str]:
            scoring_source.cache_clear()
            return {
                "scoring": scoring_source(),
                "tokens": tokenizing_digest([folder]),
                "remembered": digesting_source(),
                "adapter": function_digest([tmp_path, folder]),
                "whole": function_digest([folder]),
            }

        before = found()
        with monkeypatch.context() as patch:
            patch.setattr(
                "xfer_bench.evaluation.digests.version", lambda name: "0.0" if name == library else version(name)
            )
            changed = {name for name, new in found().items() if new != before[name]}
        assert found() == before
        # Adapters are merged by peft; whatever else is scored does not meet it.
        merging, others = {"remembered", "adapter"}, {"remembered", "scoring", "tokens"}
        assert changed == (merging if library == "peft" else others)
