"""Small invented files in the formats of the upstreams; and, where there is a mirror, its own rows written so."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.sources.small_mirror import HAS_REAL_MIRROR, REAL_MIRROR
from tests.sources.upstream_files import CASES, PAIRS, PLAIN, c3, farstail, jsick, lingnli, write_lines
from xfer_bench.errors import SourceError
from xfer_bench.sources.catalogue import Source, source
from xfer_bench.sources.pins import ACCEPT
from xfer_bench.sources.source import Sources
from xfer_bench.sources.upstream import convert, how_to_get
from xfer_bench.tasks import TASKS


def of(repository: str) -> Source:
    """Without the digests of the upstream's own files: these are invented."""
    known = source(repository)
    assert known is not None
    return replace(known, sha256={})


def splits_of(repository: str) -> list[str]:
    return list(of(repository).files)


def as_read(path: Path, repository: str, split: str) -> list[dict[str, Any]]:
    frame = pl.read_parquet(path / repository / "default" / f"{split}-*.parquet")
    return frame.to_dicts()


@pytest.mark.parametrize("repository", CASES)
def test_an_upstream_s_files_become_the_repository_that_the_task_reads(repository: str, tmp_path: Path) -> None:
    writer, _, rows = CASES[repository]
    (tmp_path / "files").mkdir()
    files = [path for split in splits_of(repository) for path in writer(tmp_path / "files", rows, split)]
    done = convert(of(repository), files[::-1], tmp_path / "mirror")
    assert [one.split for one in done] == splits_of(repository)
    for one in done:
        assert as_read(tmp_path / "mirror", repository, one.split) == [dict(row) for row in rows]
        assert (one.rows, one.verified) == (len(rows), ())
    task = next(task for task in TASKS.values() if repository in {part.repository for part in task.parts})
    for part in task.parts:
        if part.repository == repository:
            raw, revision = Sources(data_root=tmp_path / "mirror").raw(part, part.languages[0])
            assert (raw.height, revision) == (len(rows), "")


def test_the_portuguese_social_iqa_holds_out_its_last_rows_and_drops_what_the_translation_lost(tmp_path: Path) -> None:
    row = {"context": "c", "question": "q", "answerA": "a", "answerB": "b", "answerC": "d", "correct": "C"}
    lost = {**row, "answerB": None}
    file = write_lines(tmp_path / "socialIQa_v1.4_trn_pt.jsonl", [row, lost, *[{**row, "correct": "A"}] * 1501])
    done = convert(of("extra/social_i_qa_pt"), [file], tmp_path)
    assert [(one.split, one.rows) for one in done] == [("train", 2), ("validation", 1500)]
    first = as_read(tmp_path, "extra/social_i_qa_pt", "train")[0]
    assert first["label"] == "3"


def test_files_of_one_split_are_enough_for_it(tmp_path: Path) -> None:
    files = farstail(tmp_path, PAIRS, "validation")
    assert [one.split for one in convert(of("extra/farstail"), files, tmp_path)] == ["validation"]
    assert not list((tmp_path / "extra" / "farstail").rglob("train*"))


class TestRefused:
    def refusal(self, repository: str, files: list[Path], root: Path, *, known: Source | None = None) -> str:
        with pytest.raises(SourceError) as caught:
            convert(known or of(repository), files, root)
        message = str(caught.value)
        assert "\n" not in message
        assert not list(root.rglob("*.parquet"))
        return message

    def test_another_sha256_than_the_known_one_shows_both_and_can_be_accepted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (file,) = farstail(tmp_path, PAIRS, "train")
        known = source("extra/farstail")
        assert known is not None
        with monkeypatch.context() as strict:
            strict.delenv(ACCEPT)
            message = self.refusal("extra/farstail", [file], tmp_path, known=known)
        assert hashlib.sha256(file.read_bytes()).hexdigest()[:16] in message
        assert "552cfe796652dc5e" in message
        assert f"set {ACCEPT}=extra/farstail" in message
        assert convert(known, [file], tmp_path)[0].verified == ()

    def test_a_known_sha256_is_told(self, tmp_path: Path) -> None:
        (file,) = farstail(tmp_path, PAIRS, "train")
        known = replace(
            of("extra/farstail"), sha256={"data/Train-word.csv": hashlib.sha256(file.read_bytes()).hexdigest()}
        )
        (done,) = convert(known, [file], tmp_path)
        assert done.verified == ("Train-word.csv",)

    def test_other_rows_than_the_pinned_ones(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(ACCEPT)
        message = self.refusal("extra/jsick", jsick(tmp_path, PLAIN, "train"), tmp_path)
        assert message.startswith("extra/jsick (default, train): the rows have changed: ")

    def test_a_file_that_is_none_of_the_upstream_s(self, tmp_path: Path) -> None:
        message = self.refusal("extra/jsick", [tmp_path / "other.tsv"], tmp_path)
        assert "extra/jsick is not made of it, but of train.tsv of https://github.com/verypluming/JSICK @" in message

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert self.refusal("extra/jsick", [tmp_path / "train.tsv"], tmp_path).startswith("no file ")

    def test_a_split_of_which_a_file_is_missing(self, tmp_path: Path) -> None:
        files = c3(tmp_path, CASES["extra/c3"][2], "train")
        message = self.refusal("extra/c3", files[:1], tmp_path)
        assert message == "extra/c3 (train) lacks c3-m-train.json; give all its files"

    def test_two_files_for_one(self, tmp_path: Path) -> None:
        files = lingnli(tmp_path, CASES["extra/lingnli"][2], "train")
        again = tmp_path / "train_round1_baseline_combined.jsonl"
        again.write_bytes(files[0].read_bytes())
        assert "are both train_round1_baseline*.jsonl; give one" in self.refusal(
            "extra/lingnli", [*files, again], tmp_path
        )

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ('{"sentence1": "a"}\n', "row 0 has no 'label'"),
            ('{"sentence1": "a", "label": "maybe"}\n', "row 0 has no 'sentence2'"),
            (
                '{"sentence1": "a", "sentence2": "b", "label": "maybe", "genre": "tv"}\n',
                "row 0 is not as the upstream writes it: the label is 'maybe'; it must be one of entailment",
            ),
            ("{", "row 0 is not as the upstream writes it"),
            ("[1]", "a line holds a list, not an object"),
            ("", "no row in dev.json"),
            ("\x00\x01", "row 0 is not as the upstream writes it"),
        ],
    )
    def test_a_file_of_another_format(self, tmp_path: Path, text: str, says: str) -> None:
        file = tmp_path / "dev.json"
        file.write_text(text)
        assert says in self.refusal("extra/ocnli", [file], tmp_path)

    def test_a_table_with_other_columns(self, tmp_path: Path) -> None:
        file = tmp_path / "train.tsv"
        file.write_text("a\tb\n1\t2\n")
        assert "row 0 has no 'entailment_label_Ja'" in self.refusal("extra/jsick", [file], tmp_path)

    def test_a_repository_of_the_hub(self, tmp_path: Path) -> None:
        assert "is not made from files" in self.refusal("facebook/xnli", [], tmp_path)


def test_what_to_download_is_told_with_the_commit() -> None:
    told = how_to_get(of("extra/ocnli"))
    assert "https://github.com/CLUEbenchmark/OCNLI @ b53efdee17257a5c33993cf6fcf8ffff0497ea0e" in told
    assert "data/ocnli/train.10k.json" in told


@pytest.mark.mirror
@pytest.mark.skipif(not HAS_REAL_MIRROR, reason="needs the mirror: set XFER_BENCH_DATA")
@pytest.mark.parametrize("repository", CASES)
def test_the_mirror_s_rows_come_back_through_the_upstream_s_format(
    repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ACCEPT)
    writer = CASES[repository][0]
    split = splits_of(repository)[-1]
    rows = pl.read_parquet(REAL_MIRROR / repository / "default" / f"{split}-*.parquet").to_dicts()
    done = convert(of(repository), writer(tmp_path, rows, split), tmp_path / "mirror")
    assert [(one.split, one.rows) for one in done] == [(split, len(rows))]
