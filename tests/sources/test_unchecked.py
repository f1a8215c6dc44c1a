from pathlib import Path

import pytest

from tests.sources.small_mirror import nli_task, pairs, write
from xfer_bench.errors import SourceError
from xfer_bench.sources.source import Sources
from xfer_bench.sources.unchecked import every_row


def test_every_row_is_there_and_those_of_no_use_are_marked(tmp_path: Path) -> None:
    columns = pairs(6)
    columns["premise"][1] = " "
    columns["label"][2] = -1
    write(tmp_path, "some/pairs", {"en/train.parquet": columns})
    task = nli_task()
    rows = every_row(Sources(data_root=tmp_path), task, part=task.parts[0], language="en")
    assert rows.items["usable"].to_list() == [True, False, True, True, True, True]
    assert rows.items["label"][2] == -1
    assert rows.columns["hypothesis"].to_list() == columns["hypothesis"]
    assert rows.total == 6


def test_a_reader_that_loses_rows_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "some/pairs", {"en/train.parquet": pairs(6)})
    whole = nli_task()
    task = nli_task(read=lambda frame: whole.parts[0].read(frame).head(4))
    with pytest.raises(SourceError, match="the reader gave 4 rows for 6; it must keep every row"):
        every_row(Sources(data_root=tmp_path), task, part=task.parts[0], language="en")
