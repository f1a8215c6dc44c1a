"""A task described in a file: its rows pass the checks of every task, and an error names its line and key."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.small_study import small_mirror
from tests.sources.local_hub import COMMIT, local_hub
from tests.sources.small_mirror import write
from tests.tasks.descriptions import CHOICES, COPA, PAIRS, SIQA, Write, letters_mirror, pairs_mirror, sentences, writer
from xfer_bench.errors import SourceError, TaskError
from xfer_bench.sources.source import Sources
from xfer_bench.study import Study
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.description import Description
from xfer_bench.tasks.own import load_tasks

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def described(tmp_path: Path) -> Write:
    return writer(tmp_path)


class TestRows:
    def test_pairs_are_read_under_their_own_names(self, tmp_path: Path, described: Write) -> None:
        task = load_tasks([described(PAIRS)])["two_nli"]
        assert (task.languages, task.splits) == (("en", "eu"), ("train", "validation", "test"))
        assert task.languages_of("train") == ("en",)
        assert task.format is TASKS["xnli"].format
        assert task.chance == pytest.approx(1 / 3)
        rows = Sources(data_root=pairs_mirror(tmp_path)).rows(task, language="eu", split="test")
        assert (rows.frame.height, rows.dropped) == (29, 1)
        first = rows.frame.row(0, named=True)
        assert (first["text"], first["candidates"]) == ("the cat fell 0 eu", ["the dog broke 0"])
        # contradicts, entails, open: in canonical order 2, 0, 1.
        assert rows.frame["label"][:3].to_list() == [2, 0, 1]
        assert rows.frame["cluster"][:4].to_list() == ["0", "0", "0", "1"]
        assert rows.frame["item"].to_list() == [str(row) for row in range(29)]

    def test_letters_structures_and_a_column_of_languages(self, tmp_path: Path, described: Write) -> None:
        task = load_tasks([described(CHOICES)])["letters"]
        sources = Sources(data_root=letters_mirror(tmp_path))
        english, basque = (sources.rows(task, language=code, split="test") for code in ("en", "eu"))
        # A blank question, and an answer that is none of the letters.
        assert (english.frame.height, english.dropped) == (1, 2)
        assert english.frame.select("item", "text", "label").row(0) == ("7", "what fell?", 1)
        assert english.frame["candidates"].to_list() == [["cat", "cup"]]
        assert basque.frame.select("item", "cluster", "language", "label").row(0) == ("7", "7", "eu", 0)

    def test_a_described_benchmark_reads_what_the_registered_one_reads(self, tmp_path: Path, described: Write) -> None:
        sources = Sources(data_root=small_mirror(tmp_path / "mirror"))
        for name, text in (("xcopa", COPA), ("siqa", SIQA)):
            own = load_tasks([described(text)])[f"own_{name}"]
            language, split = own.languages[0], own.splits[0]
            theirs = sources.rows(TASKS[name], language=language, split=split)
            assert sources.rows(own, language=language, split=split).fingerprint == theirs.fingerprint
            assert own.chance == pytest.approx(TASKS[name].chance)

    def test_rows_come_from_the_hub_at_the_commit_that_is_named(self, tmp_path: Path, described: Write) -> None:
        text = f"""name = "two_nli"
format = "nli"
repository = "some/pairs"
revision = "{COMMIT}"
config = "{{language}}"
languages = ["en"]
licence = "none"
splits = {{ test = "test" }}
columns = {{ premise = "premise", hypothesis = "hypothesis", label = "label" }}
"""
        script = """
import sys
from pathlib import Path
from xfer_bench.sources.source import Sources
from xfer_bench.tasks.own import load_tasks
read = Sources(data_root=None).rows(load_tasks([Path(sys.argv[1])])["two_nli"], language="en", split="test")
print(read.revision, read.frame["label"].to_list(), read.frame["cluster"].to_list())
"""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XFER_BENCH_"))}
        with local_hub() as address:
            answer = subprocess.run(
                [sys.executable, "-c", script, str(described(text))],
                env={**kept, "HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": address, "PYTHONPATH": str(REPOSITORY)},
                cwd=tmp_path, capture_output=True, text=True, check=True,
            )  # fmt: skip
        assert answer.stdout.strip() == f"{COMMIT} [0, 1, 2, 0, 1, 2] ['0', '0', '0', '3', '3', '3']"

    def test_lists_of_structures_and_answers_that_are_one_of_the_choices(
        self, tmp_path: Path, described: Write
    ) -> None:
        rows: dict[str, list[Any]] = {
            "question": ["a", "b", "c"],
            "options": [[{"name": "x"}, {"name": "y"}], [{"name": "y"}, {"name": "y"}], [{"name": "x"}, {"name": "y"}]],
            "answer": ["y", "y", "none"],
        }
        root = write(tmp_path, "example/letters", {"default/main-0.parquet": rows})
        text = CHOICES.replace("choices.text", "options.name").replace("choices.label", "options.name")
        lines = [line for line in text.splitlines() if not line.startswith(("language", "item"))]
        task = load_tasks([described("\n".join(['languages = ["en"]', *lines]).replace('"none"', '"CC0"'))])["letters"]
        read = Sources(data_root=root).rows(task, language="en", split="test")
        assert (read.frame["label"].to_list(), read.dropped) == ([1], 2)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (
                {"gold": ["maybe"] * 30},
                r"example/pairs \(eu, test\): row 0 has the label 'maybe'; allowed are 'entails'",
            ),
            ({"sentence2": ["", *["b"] * 29], "gold": ["-"] * 30}, "no usable row for two_nli in 'eu' among 30"),
            ({"sentence1": list(range(30))}, r"row 0: the column 'sentence1' holds 0 \(Int64\); it must be text"),
            ({"gold": None}, r"example/pairs \(eu, test\): .* lacks the column 'gold'; it has sentence1"),
        ],
    )
    def test_rows_pass_the_checks_of_every_task(
        self, tmp_path: Path, described: Write, change: dict[str, Any], says: str
    ) -> None:
        rows = sentences(30, language="eu") | change
        files = {"eu/test-0.parquet": {name: values for name, values in rows.items() if values is not None}}
        sources = Sources(data_root=write(tmp_path, "example/pairs", files))
        with pytest.raises(SourceError, match=says) as caught:
            sources.rows(load_tasks([described(PAIRS)])["two_nli"], language="eu", split="test")
        assert "\n" not in str(caught.value)

    def test_a_field_that_a_structure_lacks_is_named(self, tmp_path: Path, described: Write) -> None:
        sources = Sources(data_root=letters_mirror(tmp_path))
        for old, new, says in (
            ("choices.text", "choices.texts", "no 'texts' in the column 'choices', which has text, label"),
            ("choices.text", "question.text", "no 'text' in the column 'question', which is String"),
        ):
            task = load_tasks([described(CHOICES.replace(old, new))])["letters"]
            with pytest.raises(SourceError, match=says):
                sources.rows(task, language="en", split="test")

    def test_numbers_out_of_range_and_hidden_ones_are_refused_unless_they_are_said_to_be_none(
        self, tmp_path: Path, described: Write
    ) -> None:
        rows = sentences(30, language="eu") | {"gold": [0, 1, -1] * 10}
        sources = Sources(data_root=write(tmp_path, "example/pairs", {"eu/test-0.parquet": rows}))
        numbers = re.sub("labels = .*\n", "", PAIRS, count=1)
        with pytest.raises(
            SourceError, match="row 2: the column 'gold' holds -1: the labels are hidden; allowed are 0 to"
        ):
            sources.rows(load_tasks([described(numbers)])["two_nli"], language="eu", split="test")
        numbers = numbers.replace('["-"]', "[-1]")
        read = sources.rows(load_tasks([described(numbers)])["two_nli"], language="eu", split="test")
        assert (set(read.frame["label"]), read.dropped) == ({0, 1}, 10)


class TestFile:
    @pytest.mark.parametrize(
        ("old", "new", "line", "says"),
        [
            ('format = "nli"', 'format = "pairs"', 2, "format: Input should be 'nli' or 'multiple_choice', got"),
            ("example/pairs", "../pairs", 3, "repository: String should match pattern"),
            ("example/pairs", "/etc/pairs", 3, "repository: String should match pattern"),
            ('"{language}"', '"../x"', 4, "config: String should match pattern"),
            ('"{language}"', '"default"', 17, "columns: nothing tells 'en' from 'eu' in test: put {language} into"),
            ('"{language}"', "3", 4, "config: Input should be a valid string, got 3"),
            ('"en", "eu"', '"en", "en"', 5, "languages: the language 'en' is given twice"),
            ('"en", "eu"', '"en", "EU"', 5, "languages.1: String should match pattern"),
            ('licence = "none"\n', "", None, "licence: this key is required"),
            ("parallel = true", 'parallel = "yes"', 7, "parallel: Input should be a valid boolean, got 'yes'"),
            ("rows_per_cluster = 3\n", "", None, "rows_per_cluster: a parallel task of pairs needs this or"),
            ("rows_per_cluster", "rows_per_clusters", 8, "rows_per_clusters: unknown key; allowed here: barred"),
            (', "contradicts"]', "]", 9, "labels: 2 labels; pairs have 3: entailment, neutral, contradiction, in this"),
            ('"contradicts"]', '"open"]', 9, "labels: a label is given twice"),
            ('test = "test"', 'dev = "test"', 15, "splits.dev: Input should be 'train', 'validation' or 'test', got"),
            ('["en"] }\nval', '["fr"] }\nval', 12, "splits: train is given in 'fr'; the task's languages are en, eu"),
            ('{ name = "dev",', '{ nane = "dev",', 14, "splits.validation.nane: unknown key; allowed here: languages"),
            ("premise =", "text =", 17, "columns: format 'nli' is read from premise and hypothesis: premise"),
            ('"gold"', '"gold"\nchoices = "x"', 17, "columns: format 'nli' is read from premise and hypothesis: ch"),
            ('"gold"', '"gold"\nkeys = "x"', 17, "columns: keys are of multiple choice"),
            ("hypothesis", "hypotheses", 19, "columns.hypotheses: unknown key; allowed here: choices, cluster"),
            ('"gold"', '"gold"\n[values.other]\na = "b"', None, "values: 'other' is no column of text; there are"),
            ('NLI = ["two_nli"]', "NLI = []", 23, "settings.NLI: Tuple should have at least 1 item"),
            ("[splits]", 'revision = "main"\n[splits]', 12, "revision: String should match pattern"),
        ],
    )  # fmt: skip
    def test_an_error_names_file_line_and_key(
        self, described: Write, old: str, new: str, line: int | None, says: str
    ) -> None:
        assert old in PAIRS
        path = described(PAIRS.replace(old, new, 1))
        with pytest.raises(TaskError) as caught:
            load_tasks([path])
        message = str(caught.value)
        assert message.startswith(f"{path}{f':{line}' if line else ''}: {says}")
        assert "\n" not in message

    @pytest.mark.parametrize("content", [None, b"\xff\xfe", b"name = "])
    def test_a_file_that_is_no_toml_is_refused(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "task.toml"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(TaskError, match=r"task\.toml: (not TOML|cannot be read as a task)"):
            load_tasks([path])

    def test_the_number_of_choices_is_known_from_their_columns_or_said(self, described: Write) -> None:
        assert load_tasks([described(COPA)])["own_xcopa"].chance == 1 / 2
        with pytest.raises(TaskError, match="chance: this key is required: how many choices a list holds is not known"):
            load_tasks([described(CHOICES.replace("chance = 0.5\n", ""))])

    def test_configurations_by_language_and_languages_in_the_name_of_a_split(self, described: Write) -> None:
        table = '[configs]\nen = "english"\neu = "basque{x}"\n[splits]'
        task = load_tasks([described(PAIRS.replace('config = "{language}"\n', "").replace("[splits]", table))])[
            "two_nli"
        ]
        assert [part.config.format(language=part.languages[0]) for part in task.parts[2:]] == ["english", "basque{x}"]
        in_splits = PAIRS.replace('config = "{language}"\n', "").replace('test = "test"', 'test = "test_{language}"')
        assert [part.upstream_split for part in load_tasks([described(in_splits)])["two_nli"].parts[2:]] == [
            *("test_en", "test_eu")
        ]
        for other, says in (
            ('config = "x"\n[configs]\nen = "a"\neu = "b"\n[splits]', "configs: there is a config already"),
            ('[configs]\nen = "a"\n[splits]', "languages: they are en, eu, and those of configs are en"),
        ):
            with pytest.raises(TaskError, match=says):
                load_tasks([described(PAIRS.replace('config = "{language}"\n', "").replace("[splits]", other))])

    def test_the_files_of_the_documentation_are_tasks(self, described: Write) -> None:
        text = (REPOSITORY / "docs" / "own-task.md").read_text(encoding="utf-8")
        blocks = [block for block in re.findall("```toml\n(.*?)```", text, flags=re.DOTALL) if "repository" in block]
        tasks = load_tasks(described(block, f"{place}.toml") for place, block in enumerate(blocks))
        assert set(tasks) - set(TASKS) == {"two_nli", "copa_hr", "science"}
        study = next(block for block in re.findall("```toml\n(.*?)```", text, flags=re.DOTALL) if "[[arms]]" in block)
        assert Study.from_toml(described(study)).targets[0].task == "two_nli"
        for key in Description.model_fields:
            assert f"`{key}`" in text or f"`[{key}]`" in text or f"[{key}." in text or f"`{key}." in text, key
