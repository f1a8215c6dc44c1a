"""Laws of the embedded data: committed as generated, balanced, parallel, without duplicates, and mute without texts."""

import importlib.util
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from xfer_bench.sources import mirror
from xfer_bench.tasks.quickstart import (
    QUICKSTART_COPA,
    QUICKSTART_NLI,
    QUICKSTART_REASONING,
    QUICKSTART_SIQA,
    QUICKSTART_XCOPA,
    QUICKSTART_XNLI,
    REPOSITORY,
)
from xfer_bench.tasks.task import Task

FOLDER = Path(__file__).parents[2] / "data" / "quickstart"
LANGUAGES = ("en", "de", "es", "fr", "tr", "ru", "ar", "hi", "sw", "zh", "th", "vi")
SCRIPTS = {"ru": "CYRILLIC", "ar": "ARABIC", "hi": "DEVANAGARI", "zh": "CJK", "th": "THAI"}
ENDINGS = {"hi": "।", "zh": "。", "th": ""}
SIZES = {
    **{language: {"validation": 40, "test": 160} for language in LANGUAGES},
    **{f"nli-{language}": {"validation": 30, "test": 90} for language in LANGUAGES},
    "copa": {"train": 320, "validation": 60},
    "nli": {"train": 480, "validation": 90},
    "siqa": {"train": 400, "validation": 80},
    "reasoning": {"train": 400, "validation": 80},
}
TASKS = (QUICKSTART_XCOPA, QUICKSTART_XNLI, QUICKSTART_COPA, QUICKSTART_NLI, QUICKSTART_SIQA, QUICKSTART_REASONING)
BENCHMARK = [(language, split) for language in LANGUAGES for split in ("validation", "test")]
PAIRED = [*BENCHMARK, ("copa", "train"), ("copa", "validation")]

Row = dict[str, Any]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart_generate", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = generator()


def rows(config: str, split: str) -> list[Row]:
    path = FOLDER / REPOSITORY / config / f"{split}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def choices(row: Row) -> list[str]:
    for names in (("choice1", "choice2"), ("answerA", "answerB", "answerC")):
        if names[0] in row:
            return [row[name] for name in names]
    return list(row["choices"])


def place(row: Row) -> int:
    return int(row["label"]) - 1 if "answerA" in row else int(row["label"])


def texts(row: Row) -> list[str]:
    """What a model reads of a row, the language's own texts only: the question may be in English."""
    own = [row[name] for name in ("premise", "hypothesis", "context") if name in row]
    return own if "hypothesis" in row else own + choices(row)


def nameless(text: str) -> str:
    return re.sub(rf"\b({'|'.join(GENERATOR.NAMES)})\b", "N", text)


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", nameless(text).lower()))


# --- committed as generated, in the Hub's layout --------------------------------------------------------------------


def test_the_committed_files_are_what_the_generator_makes() -> None:
    made = {path.as_posix(): text.encode() for path, text in GENERATOR.build().items()}
    folder = FOLDER / "xfer-bench"
    committed = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert committed == made


def test_writing_makes_the_same_files(tmp_path: Path) -> None:
    GENERATOR.write(tmp_path)
    for path in GENERATOR.build():
        assert (tmp_path / path).read_bytes() == (FOLDER / path).read_bytes()


def test_the_readme_declares_every_configuration_and_split() -> None:
    front = yaml.safe_load((FOLDER / REPOSITORY / "README.md").read_text(encoding="utf-8").split("---")[1])
    declared = {one["config_name"]: {file["split"] for file in one["data_files"]} for one in front["configs"]}
    assert declared == {config: set(splits) for config, splits in SIZES.items()}
    assert front["language"] == list(LANGUAGES)


@pytest.mark.parametrize("config", SIZES)
def test_sizes(config: str) -> None:
    assert {split: len(rows(config, split)) for split in SIZES[config]} == SIZES[config]


def test_the_whole_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.jsonl")) < 1_500_000


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_tasks_read_every_row(task: Task) -> None:
    for part in task.parts:
        for language in part.languages:
            config = part.config.format(language=language)
            frame = mirror.read(
                FOLDER, repository=part.repository, config=config, split=part.split, columns=part.columns
            )
            read = part.read(frame)
            assert read.height == SIZES[config][part.split]
            assert read.null_count().sum_horizontal().item() == 0


# --- labels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("config", "split"), PAIRED)
def test_half_the_labels_of_each_question_are_the_first_choice(config: str, split: str) -> None:
    counts = Counter((row["question"], row["label"]) for row in rows(config, split))
    assert counts == dict.fromkeys([(q, x) for q in ("cause", "effect") for x in (0, 1)], SIZES[config][split] // 4)


@pytest.mark.parametrize("config", [*(f"nli-{language}" for language in LANGUAGES), "nli"])
def test_each_premise_has_three_rows_running_one_of_each_label(config: str) -> None:
    for split in SIZES[config]:
        found = rows(config, split)
        for start in range(0, len(found), 3):
            triple = found[start : start + 3]
            assert len({row["premise"] for row in triple}) == 1
            assert sorted(row["label"] for row in triple) == [0, 1, 2]
        assert len({tuple(row["label"] for row in found[i : i + 3]) for i in range(0, len(found), 3)}) == 6


@pytest.mark.parametrize("config", ["siqa", "reasoning"])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_right_one_of_three_lies_everywhere_alike(config: str, split: str) -> None:
    found = rows(config, split)
    for language in {row.get("language") for row in found}:
        counts = Counter(place(row) for row in found if row.get("language") == language)
        assert set(counts) == {0, 1, 2}
        assert max(counts.values()) - min(counts.values()) <= 1


# --- parallel, in every language's own script ------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_items_are_parallel(language: str, split: str) -> None:
    for config, shared in ((language, ("idx", "question", "label")), (f"nli-{language}", ("label",))):
        english = rows(config.replace(language, "en") if "nli" in config else "en", split)
        assert [[row[name] for name in shared] for row in rows(config, split)] == [
            [row[name] for name in shared] for row in english
        ]
    assert [row["idx"] for row in rows(language, split)] == list(range(SIZES[language][split]))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("prefix", ["", "nli-"])
def test_texts_pair_one_to_one_with_the_english_ones(language: str, prefix: str) -> None:
    pairs: set[tuple[str, str]] = set()
    for split in ("validation", "test"):
        for row, english in zip(rows(prefix + language, split), rows(f"{prefix}en", split), strict=True):
            pairs.update(zip(texts(row), texts(english), strict=True))
    assert len({own for own, _ in pairs}) == len({other for _, other in pairs}) == len(pairs)


def of_language() -> Iterator[tuple[str, str]]:
    for language, split in BENCHMARK:
        for row in rows(language, split) + rows(f"nli-{language}", split):
            yield from ((language, text) for text in texts(row))
    for split in ("train", "validation"):
        for row in rows("reasoning", split):
            yield from ((row["language"], text) for text in [*texts(row), row["question"]])


def test_every_letter_is_of_the_language_s_script() -> None:
    for language, text in set(of_language()):
        script = SCRIPTS.get(language, "LATIN")
        letters = [character for character in text if unicodedata.category(character).startswith("L")]
        assert letters
        assert {unicodedata.name(letter).split()[0] for letter in letters} == {script}, text


def test_sentences_end_as_is_customary() -> None:
    for language, text in set(of_language()):
        if language == "th":
            assert unicodedata.category(text[-1])[0] in "LM"
        else:
            assert text.endswith((ENDINGS.get(language, "."), "?", "؟", "？"))
        assert text == text.strip() == unicodedata.normalize("NFC", text)
        assert "  " not in text


@pytest.mark.parametrize(("split", "sizes"), [("train", {67, 66}), ("validation", {14, 13})])
def test_reasoning_is_spread_evenly_over_its_languages(split: str, sizes: set[int]) -> None:
    counts = Counter(row["language"] for row in rows("reasoning", split))
    assert set(counts) == {"de", "es", "tr", "sw", "zh", "ar"}
    assert set(counts.values()) == sizes


# --- nothing twice, nothing shared -----------------------------------------------------------------------------------


def content(row: Row) -> tuple[str, ...]:
    own = texts(row)
    return (own[0], row.get("question", ""), *(sorted(own[1:]) if "hypothesis" not in row else own[1:]))


@pytest.mark.parametrize("config", SIZES)
def test_no_row_comes_twice(config: str) -> None:
    found = [content(row) for split in SIZES[config] for row in rows(config, split)]
    assert len(set(found)) == len(found)
    ids = [row["id"] for split in SIZES[config] for row in rows(config, split) if "id" in row]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("config", SIZES)
def test_splits_share_no_sentence(config: str) -> None:
    one, other = ({nameless(text) for row in rows(config, split) for text in texts(row)} for split in SIZES[config])
    assert not one & other


@pytest.mark.parametrize("config", ["copa", "nli", "siqa"])
def test_training_shares_no_frame_and_no_sentence_with_the_benchmark(config: str) -> None:
    frames = GENERATOR.read(config)
    assert not (set(frames["train"]) | set(frames["validation"])) & set(GENERATOR.read("en")["events"])
    assert not set(frames["train"]) & set(frames["validation"])
    trained = {nameless(text) for split in SIZES[config] for row in rows(config, split) for text in texts(row)}
    tested = {
        text for task in ("en", "nli-en") for split in SIZES[task] for row in rows(task, split) for text in texts(row)
    }
    assert not trained & tested
    overlaps = (len(words(a) & words(b)) / len(words(a) | words(b)) for a in trained for b in tested)
    assert max(overlaps) <= 0.6


@pytest.mark.parametrize("language", ["de", "es", "tr", "sw", "zh", "ar"])
def test_multilingual_training_shares_no_sentence_with_the_benchmark(language: str) -> None:
    found = [row for split in ("train", "validation") for row in rows("reasoning", split)]
    trained = {text for row in found if row["language"] == language for text in texts(row)}
    tested = {
        text
        for config in (language, f"nli-{language}")
        for split in ("validation", "test")
        for row in rows(config, split)
        for text in texts(row)
    }
    assert trained
    assert tested
    assert not trained & tested


# --- mute without the premise ----------------------------------------------------------------------------------------


def tallies(found: Iterable[Row]) -> tuple[Counter[str], Counter[str]]:
    """How often each sentence is the right choice, and how often a wrong one."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for row in found:
        for number, choice in enumerate(choices(row)):
            (right if number == place(row) else wrong)[nameless(choice)] += 1
    return right, wrong


@pytest.mark.parametrize(("config", "split"), PAIRED)
def test_each_choice_is_as_often_right_as_wrong(config: str, split: str) -> None:
    right, wrong = tallies(rows(config, split))
    assert right == wrong
    assert min(right.values()) >= 2


@pytest.mark.parametrize("split", ["train", "validation"])
def test_each_of_three_choices_is_right_once_in_three(split: str) -> None:
    found = rows("siqa", split)
    for row in found:
        row["question"] = nameless(row["question"])
    right, wrong = tallies(found)
    assert {choice: 2 * count for choice, count in right.items()} == wrong
    found = rows("reasoning", split)
    right, wrong = tallies(found)
    # Cutting a pass short for the size leaves one or two of its rows out, and so at most two counts of a sentence.
    assert max(abs(wrong[choice] - 2 * right[choice]) for choice in right | wrong) <= 4


def by_sentence(row: Row, right: Counter[str], wrong: Counter[str], *, leave_out: bool) -> float:
    """The share of a point that choosing the sentence more often right earns; a tie earns half."""
    margins = []
    for number, choice in enumerate(choices(row)):
        itself = 0 if not leave_out else (1 if number == place(row) else -1)
        margins.append(right[choice] - wrong[choice] - itself)
    own, other = margins[place(row)], margins[1 - place(row)]
    return 0.5 if own == other else float(own > other)


@pytest.mark.parametrize(("config", "split"), BENCHMARK)
def test_counting_choices_scores_chance_and_never_above(config: str, split: str) -> None:
    found = rows(config, split)
    right, wrong = tallies(found)
    assert sum(by_sentence(row, right, wrong, leave_out=False) for row in found) == len(found) / 2
    # Exact balance makes a sentence's other items speak against it, so that this baseline is below chance, not at it.
    assert sum(by_sentence(row, right, wrong, leave_out=True) for row in found) <= len(found) / 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_longer_choice_is_right_about_half_the_time(language: str) -> None:
    score = 0.0
    found = rows(language, "test")
    for row in found:
        lengths = [len(choice) for choice in choices(row)]
        own, other = lengths[place(row)], lengths[1 - place(row)]
        score += 0.5 if own == other else float(own > other)
    assert abs(score / len(found) - 0.5) <= 0.1


def word_scores(found: Iterable[Row]) -> dict[str, float]:
    """Smoothed log odds of a word standing in a right rather than a wrong choice."""
    right, wrong = (Counter[str](), Counter[str]())
    for row in found:
        for number, choice in enumerate(choices(row)):
            (right if number == place(row) else wrong).update(words(choice))
    return {word: math.log((right[word] + 1) / (wrong[word] + 1)) for word in right | wrong}


@pytest.mark.parametrize("training", [("copa", "train"), ("en", "validation")])
def test_choices_alone_teach_nothing_about_the_test(training: tuple[str, str]) -> None:
    odds = word_scores(rows(*training))
    found = rows("en", "test")
    score = 0.0
    for row in found:
        sums = [sum(odds.get(word, 0.0) for word in words(choice)) for choice in choices(row)]
        own, other = sums[place(row)], sums[1 - place(row)]
        score += 0.5 if math.isclose(own, other) else float(own > other)
    assert abs(score / len(found) - 0.5) <= 0.05


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_question_has_to_be_read_in_a_quarter_of_the_items(split: str) -> None:
    found = rows("en", split)
    answers = {(row["premise"], row["question"]): choices(row)[place(row)] for row in found}
    turned = {"cause": "effect", "effect": "cause"}
    hard = [row for row in found if answers[row["premise"], turned[row["question"]]] in choices(row)]
    assert 4 * len(hard) == len(found)


def test_words_shared_with_the_premise_do_not_tell_the_right_choice() -> None:
    found = rows("en", "test")
    score = 0.0
    for row in found:
        shared = [len(words(choice) & words(row["premise"])) for choice in choices(row)]
        own, other = shared[place(row)], shared[1 - place(row)]
        score += 0.5 if own == other else float(own > other)
    assert abs(score / len(found) - 0.5) <= 0.1


def test_a_hypothesis_alone_tells_less_than_six_labels_in_ten() -> None:
    """Naive Bayes on the hypothesis' words, learnt from the training set; above chance, as in the real benchmarks."""
    counts = [Counter[str]() for _ in range(3)]
    for row in rows("nli", "train"):
        counts[row["label"]].update(words(row["hypothesis"]))
    vocabulary = len(counts[0] | counts[1] | counts[2])
    hits = 0
    found = rows("nli-en", "test")
    for row in found:
        scores = [
            sum(math.log((count[word] + 1) / (count.total() + vocabulary)) for word in words(row["hypothesis"]))
            for count in counts
        ]
        hits += scores.index(max(scores)) == row["label"]
    assert hits / len(found) <= 0.6
