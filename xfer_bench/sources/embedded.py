"""Where the embedded data and study files lie: inside an installed wheel, or in `data/` of a checkout."""

from pathlib import Path

from xfer_bench.errors import SourceError, StudyError

REPOSITORIES = frozenset({"xfer-bench/quickstart"})


def root() -> Path:
    """The folder that is read like a mirror and holds the embedded repositories. Raises SourceError without one."""
    return _folder("quickstart")


def study_file(name: str) -> Path:
    """The study file of this name that comes along. Raises StudyError naming those that do."""
    studies = {path.stem: path for path in sorted(_folder("studies").glob("*.toml"))}
    if name not in studies:
        raise StudyError(f"no study file {name}; give a path, or one that comes along: {', '.join(studies)}")
    return studies[name]


def _folder(name: str) -> Path:
    package = Path(__file__).resolve().parents[1]
    places = [folder / "data" / name for folder in (package, package.parent)]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise SourceError(f"the embedded data are missing; looked in {places[0]} and {places[1]}: install again")
    return found
