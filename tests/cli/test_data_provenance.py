import json
from pathlib import Path

from typer.testing import CliRunner, Result

from tests.predictions import make_data, make_predictions
from xfer_bench.cli.data import app
from xfer_bench.errors import ResultsError
from xfer_bench.results import Results


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["provenance", *arguments])


def test_the_rows_behind_results_are_listed(tmp_path: Path) -> None:
    predictions = make_predictions(seeds=(0,))
    Results(tmp_path).add(predictions, data=make_data(predictions))
    result = run(str(tmp_path))
    assert result.exit_code == 0, result.output
    assert sum("some/rows" in line for line in result.output.splitlines()) >= 1
    assert len(json.loads(run(str(tmp_path), "--format", "json").output)["data"]) == 5


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = run(str(tmp_path / "gone"))
    assert isinstance(result.exception, ResultsError)
