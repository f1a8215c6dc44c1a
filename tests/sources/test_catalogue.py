import re
from pathlib import Path

import pytest

from xfer_bench.errors import SourceError
from xfer_bench.sources import embedded
from xfer_bench.sources.catalogue import _read, catalogue, revision, source
from xfer_bench.sources.formats import CONVERTERS
from xfer_bench.tasks import TASKS

PARTS = [part for task in TASKS.values() for part in task.parts]


def test_every_repository_of_the_registry_has_an_entry_and_none_is_left_over() -> None:
    assert set(catalogue().sources) == {part.repository for part in PARTS}


def test_what_a_task_says_of_its_upstream_the_catalogue_says_too() -> None:
    for part in PARTS:
        known = catalogue().sources[part.repository]
        assert bool(part.upstream) == bool(known.converter)
        if part.upstream:
            assert part.upstream == known.address


def test_converters_are_known_and_each_is_used() -> None:
    used = {one.converter for one in catalogue().sources.values() if one.converter}
    assert used == set(CONVERTERS)


def test_what_is_made_from_files_names_them_and_digests_are_of_those() -> None:
    for one in catalogue().sources.values():
        assert bool(one.converter) == bool(one.files)
        named = {name for names in one.files.values() for name in names}
        assert set(one.sha256) <= named
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in one.sha256.values())


def test_revisions_are_commits_of_the_hub() -> None:
    for one in catalogue().sources.values():
        for commit in (one.revision, one.commit):
            assert not commit or re.fullmatch("[0-9a-f]{40}", commit)
        assert not (one.revision and one.converter)
    assert revision("facebook/xnli") == "b8dd5d7af51114dbda02c0e3f6133f332186418e"
    assert revision("some/pairs") == ""
    assert source("some/pairs") is None


def test_licences_that_forbid_commercial_use_are_those_that_the_tasks_call_so() -> None:
    called = {part.repository for task in TASKS.values() for part in task.parts if "non-commercial" in task.licence}
    assert {one.repository for one in catalogue().sources.values() if one.non_commercial} == called


def test_every_citation_has_an_entry_under_its_key_and_every_entry_is_cited() -> None:
    cited = {key for one in catalogue().sources.values() for key in one.citations}
    assert cited == set(catalogue().bibtex)
    for key, entry in catalogue().bibtex.items():
        assert re.match(rf"@(inproceedings|article|misc){{{key},\n", entry)
        assert entry.count("{") == entry.count("}")
        for field in ("title", "author", "year"):
            assert re.search(rf"^  {field} = {{.+}},?$", entry, re.MULTILINE)
    for one in catalogue().sources.values():
        assert one.citations or one.repository in embedded.REPOSITORIES


@pytest.mark.parametrize("text", ["[[source]", "[bibtex]", '[[source]]\nlicence = "x"\n[bibtex]', "source = 3"])
def test_a_damaged_catalogue_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(text)
    with pytest.raises(SourceError, match=r"sources.toml cannot be read: [^\n]*; install again$"):
        _read(path)
