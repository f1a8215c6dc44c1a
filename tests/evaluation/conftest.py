"""A place with checkpoints and a mirror, and a desk in it; a file of tests with another place has its own."""

from pathlib import Path

import pytest

from tests.evaluation.asking import Desk
from tests.evaluation.small_checkpoints import choosing, classifying, rows


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror, two checkpoints that choose, of one tokenizer, and one that classifies."""
    root = tmp_path_factory.mktemp("place")
    rows(root / "mirror")
    choosing(root / "choosing")
    choosing(root / "other", seed=1)
    classifying(root / "classifying")
    return root


@pytest.fixture
def desk(place: Path, tmp_path: Path) -> Desk:
    return Desk(mirror=place / "mirror", folder=tmp_path)
