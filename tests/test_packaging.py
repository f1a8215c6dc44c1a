"""What is shipped: the wheel works in an empty environment and an empty directory, and the declarations are honest."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import xfer_bench

REPOSITORY = Path(__file__).resolve().parents[1]
CONSTRAINTS = REPOSITORY / "constraints.txt"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))

# The main job at its smallest: every step of the path, on a handful of items.
SMALLEST = """
name = "smallest"
model = "starter"
trim_vocabulary = true

[recipe]
epochs = 1
batch_size = 8
max_length = 48
freeze_layers = 10

[[arms]]
name = "none"

[[arms]]
name = "english"
stages = [{ task = "quickstart_siqa", examples = 16 }]

[[targets]]
task = "quickstart_xcopa"
setting = "CO"
train = [{ task = "quickstart_copa", examples = 16 }]
languages = ["en", "sw"]
limit = 8
"""


def _run(command: Sequence[str | Path], *, cwd: Path, environment: dict[str, str] | None = None) -> str:
    """Standard output of a program that has to succeed."""
    ended = subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder], cwd=REPOSITORY)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment with nothing in it but the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    scripts = Path(sysconfig.get_path("scripts", "venv", vars={"base": str(folder)}))
    # Byte code is left to the first import: most of what the dependencies carry is never imported here.
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python")
    _run((*pip, "install", "--no-compile", "-c", CONSTRAINTS, f"{wheel}[starter]"), cwd=folder)
    yield scripts
    shutil.rmtree(folder)


@pytest.fixture
def clean(tmp_path: Path) -> dict[str, str]:
    """The variables of a user who has set none of ours, has an empty cache and is offline."""
    ours = {"PYTHONPATH", "XFER_BENCH_DATA", "HF_HOME"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"HF_HUB_OFFLINE": "1", "XFER_BENCH_CACHE": str(tmp_path / "cache")}


def _requirements(*lists: list[str]) -> list[Requirement]:
    return [Requirement(line) for requirements in lists for line in requirements]


def _pins() -> dict[str, str]:
    lines = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def test_declared_dependencies_are_those_imported() -> None:
    graph = grimp.build_graph("xfer_bench", include_external_packages=True, cache_dir=None)
    outside = {name for name in graph.modules if name.split(".")[0] != "xfer_bench"} - sys.stdlib_module_names
    owners = packages_distributions()
    imported = {canonicalize_name(owners[name][0]) for name in outside}
    # The starter's package is read as data, and never imported.
    extras = PROJECT["project"]["optional-dependencies"]
    needed = _requirements(PROJECT["project"]["dependencies"], extras["adapters"])
    assert imported == {canonicalize_name(requirement.name) for requirement in needed}


def test_every_declared_dependency_is_pinned_within_its_range() -> None:
    extras, groups = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
    declared = _requirements(PROJECT["project"]["dependencies"], *extras.values(), groups["dev"])
    pins = _pins()
    assert [str(one) for one in declared if pins[canonicalize_name(one.name)] not in one.specifier] == []


def test_pins_name_no_build() -> None:
    # A local version such as 2.13.0+cpu exists on no public index, and would keep a GPU from being used elsewhere.
    assert [pin for pin in _pins().values() if "+" in pin] == []


def test_root_script_is_the_same_program(tmp_path: Path) -> None:
    version = _run([sys.executable, REPOSITORY / "cli.py", "--version"], cwd=tmp_path)
    assert version == f"xfer-bench {xfer_bench.__version__}\n"


def test_wheel_holds_the_package_and_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    about = f"xfer_bench-{xfer_bench.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"xfer_bench", about}
    assert {
        "xfer_bench/py.typed",
        "xfer_bench/data/studies/quickstart.toml",
        "xfer_bench/data/quickstart/xfer-bench/quickstart/en/test.jsonl",
        f"{about}/entry_points.txt",
        f"{about}/licenses/LICENSE",
    } <= names
    for pattern in (
        "data/quickstart/**/*.jsonl",
        "data/*/*.toml",
        "data/published/*.csv",
        "data/languages*.csv",
        "data/sources.toml",
        "xfer_bench/**/*.*",
    ):
        there = {path.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob(pattern) if path.suffix != ".pyc"}
        assert {name if name.startswith("xfer_bench/") else f"xfer_bench/{name}" for name in there} <= names
    assert [name for name in names if name.endswith(".pyc")] == []


def test_installed_wheel_does_the_main_job_in_an_empty_directory(
    environment: Path, clean: dict[str, str], tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    program = environment / "xfer-bench"
    assert _run([program, "--version"], cwd=here, environment=clean) == f"xfer-bench {xfer_bench.__version__}\n"
    assert "quickstart_xcopa" in _run([program, "tasks"], cwd=here, environment=clean)

    (here / "smallest.toml").write_text(SMALLEST)
    compared = _run([program, "run", "smallest.toml", "-o", "out"], cwd=here, environment=clean)
    assert "english" in compared
    assert len(list((here / "out" / "checkpoints").glob("*/lineage.json"))) == 3
    assert list((here / "out" / "results").rglob("*.parquet"))
    assert {path.suffix for path in (here / "out" / "figures").iterdir()} == {".pdf", ".png", ".csv", ".txt"}
