"""Writes the quickstart data: `python data/quickstart/generate.py`.

The sentences lie in `frames/`, one file a language; this file only combines them, so that what pairs with what is the
same in every language. Orders come from digests of the items, never from a random generator, and so the same
sentences give the same bytes on every machine.

Every choice sentence is right as often as its share of the choices: a pass goes once over all frames of a split and
takes the wrong choices by a permutation of the frames, so each sentence is right once and wrong once (of three
choices: twice). Frames never lie in two splits.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

LANGUAGES = ("en", "de", "es", "fr", "tr", "ru", "ar", "hi", "sw", "zh", "th", "vi")
REASONING_LANGUAGES = ("de", "es", "tr", "sw", "zh", "ar")
REPOSITORY = Path("xfer-bench/quickstart")
NAMES = ("Alex", "Sam", "Robin", "Kim", "Jordan", "Taylor", "Morgan", "Casey", "Jamie", "Riley", "Avery", "Quinn")
QUESTIONS = ("cause", "effect")

# The events whose cause and effect do not also stand against each other in an item, because at least in some language
# the cause would make a passable effect, or the reverse. For all others they do, which makes the question matter.
PLAIN = {
    "validation": ("glass", "garden", "bread", "final", "baby"),
    "test": ("net", "castle", "wedding", "coffee", "farmer", "queue", "sunburn", "violin", "coat", "stairs"),
}
VALIDATION_EVENTS = 10
VALIDATION_REASONING = 7

Row: TypeAlias = dict[str, Any]
Frames: TypeAlias = Mapping[str, Sequence[str]]
Turns: TypeAlias = Mapping[str, Sequence[int]]
Item: TypeAlias = tuple[str, str, str, str]  # the frame, the question, the frame and the kind of the wrong choice

# Picked by reading what they pair: no wrong choice may pass for right.
BENCHMARK_TURNS: dict[str, Turns] = {
    "validation": {"cause": (9,), "effect": (64,)},
    "test": {"cause": (392, 931), "effect": (170, 2786)},
}
COPA_TURNS = {"validation": (0, 72), "train": (6, 28, 49)}
FRAMES = Path(__file__).parent / "frames"


def read(name: str) -> dict[str, Any]:
    """One file of sentences, without its ending: tables of frames, in the order of the file."""
    return tomllib.loads((FRAMES / f"{name}.toml").read_text(encoding="utf-8"))


def mixed(items: Iterable[Any]) -> list[Any]:
    """These items in an order that only depends on them."""
    return sorted(items, key=lambda item: hashlib.sha256(repr(item).encode()).digest())


def part(frames: Frames, split: str, validation: int) -> dict[str, Sequence[str]]:
    """The first `validation` frames, or the others."""
    entries = list(frames.items())
    return dict(entries[:validation] if split == "validation" else entries[validation:])


def cycled(keys: Sequence[str], turn: int) -> dict[str, str]:
    """Each frame's wrong frame: the next one in the order of this turn, round to the first."""
    order = [key for _, key in mixed((turn, key) for key in keys)]
    return dict(zip(order, order[1:] + order[:1], strict=True))


def shifted(keys: Sequence[str], by: int) -> dict[str, str]:
    """Each frame's wrong frame: the one so many places on."""
    return {key: keys[(place + by) % len(keys)] for place, key in enumerate(keys)}


def cause_and_effect_items(keys: Sequence[str], turns: Turns, contrasted: Sequence[str]) -> list[Item]:
    """A pass for each turn of each question, and one that sets the cause and effect of a frame against each other."""
    items = []
    for question, other in zip(QUESTIONS, reversed(QUESTIONS), strict=True):
        for turn in turns[question]:
            items += [(key, question, wrong, question) for key, wrong in cycled(keys, turn).items()]
        items += [(key, question, key, other) for key in contrasted]
    return items


def cause_and_effect_rows(frames: Frames, items: Sequence[Item]) -> Iterator[Row]:
    """The columns of COPA; half of each question's labels are 0. Names are the same throughout an item."""
    seen = dict.fromkeys(QUESTIONS, 0)
    for number, (key, question, wrong_key, wrong_kind) in enumerate(mixed(items)):
        label = seen[question] % 2
        seen[question] += 1
        right = frames[key][1 + QUESTIONS.index(question)]
        wrong = frames[wrong_key][1 + QUESTIONS.index(wrong_kind)]
        choices = (right, wrong) if label == 0 else (wrong, right)
        premise, choice1, choice2 = named((frames[key][0], *choices), number)
        yield {
            "premise": premise,
            "choice1": choice1,
            "choice2": choice2,
            "question": question,
            "label": label,
            "idx": number,
        }


def named(texts: Iterable[str], number: int) -> list[str]:
    """The texts with the names of item `number` put in; unchanged where they have no place for one."""
    name, other = (NAMES[(number + away) % len(NAMES)] for away in (0, 5))
    return [text.replace("{name}", name).replace("{other}", other) for text in texts]


def benchmark(language: str, split: str) -> list[Row]:
    """The XCOPA-like benchmark: 40 validation items on 10 events, 160 test items on 30."""
    frames = part(read(language)["events"], split, VALIDATION_EVENTS)
    contrasted = [key for key in frames if key not in PLAIN[split]]
    items = cause_and_effect_items(list(frames), BENCHMARK_TURNS[split], contrasted)
    if split == "validation":
        items += [(key, kind, wrong, kind) for kind in QUESTIONS for key, wrong in shifted(PLAIN[split], 4).items()]
    return list(cause_and_effect_rows(frames, items))


def triples(premises: Iterable[Sequence[str]]) -> Iterator[Row]:
    """Three rows a premise, one a label, in one of the six orders, by turns."""
    orders = ((0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0), (0, 2, 1), (1, 0, 2))
    for number, (premise, *hypotheses) in enumerate(premises):
        for label in orders[number % len(orders)]:
            yield {"premise": premise, "hypothesis": hypotheses[label], "label": label}


def nli_benchmark(language: str, split: str) -> list[Row]:
    """The XNLI-like benchmark; what is neutral to an event is its cause and its effect, by turns."""
    frames = part(read(language)["events"], split, VALIDATION_EVENTS)
    premises = []
    for number, (event, cause, effect, entailed, contradicted) in enumerate(frames.values()):
        premises.append((event, entailed, (cause, effect)[number % 2], contradicted))
    return list(triples(premises))


def copa(split: str) -> list[Row]:
    """English training items on causes and effects: 320, and 60 for validation."""
    frames = read("copa")[split]
    turns = dict.fromkeys(QUESTIONS, COPA_TURNS[split])
    return list(cause_and_effect_rows(frames, cause_and_effect_items(list(frames), turns, list(frames))))


def nli(split: str) -> list[Row]:
    """English inference training: 480 rows, and 90 for validation; each premise with three names or nearly so."""
    frames = read("nli")[split]
    numbered = [(key, turn) for turn in range(3) for key in frames][: 30 if split == "validation" else 160]
    names = {key: place for place, key in enumerate(frames)}
    premises = [named(frames[key], names[key] + 5 * turn) for key, turn in mixed(numbered)]
    return list(triples(premises))


def three_choices(keys: Sequence[str], passes: Iterable[tuple[int, int, int]]) -> list[tuple[int, str, str, str]]:
    """A pass is a question and two shifts: over all frames, (the question, the frame, two wrong frames)."""
    items = []
    for question, first, second in passes:
        one, two = shifted(keys, first), shifted(keys, second)
        items += [(question, key, one[key], two[key]) for key in keys]
    return mixed(items)


def placed(right: str, wrong: Sequence[str], number: int) -> tuple[list[str], int]:
    """Three choices with the right one at `number` modulo three, and that place."""
    label = number % 3
    choices = list(wrong)
    choices.insert(label, right)
    return choices, label


def siqa(split: str) -> list[Row]:
    """English social commonsense: 400 items, and 80 for validation; why, what next, how one feels."""
    frames = read("siqa")[split]
    questions = ("Why was that?", "What will {name} want to do next?", "How would {name} feel afterwards?")
    # Feelings recur every ten frames, so no shift may be a multiple of ten, nor the two differ by one.
    passes = [(0, 1, 3), (1, 2, 5), (2, 3, 7), (0, 4, 6), (1, 7, 9), (2, 1, 5), (0, 2, 8), (1, 3, 4)]
    if split == "train":
        passes = [*passes, (2, 14, 16), (2, 12, 19)]
    rows = []
    for number, (question, key, *others) in enumerate(three_choices(list(frames), passes)):
        choices, label = placed(frames[key][question + 1], [frames[other][question + 1] for other in others], number)
        context, asked, *answers = named((frames[key][0], questions[question], *choices), number)
        rows.append({"context": context, "question": asked, **dict(zip(_ANSWERS, answers, strict=True))})
        rows[-1]["label"] = str(label + 1)
    return rows


_ANSWERS = ("answerA", "answerB", "answerC")


def reasoning(split: str) -> list[Row]:
    """Six languages, 67 or 66 items each, and 14 or 13 for validation; the wrong choices differ by language."""
    rows = []
    for place, language in enumerate(REASONING_LANGUAGES):
        frames = read(language)["reasoning"]
        questions = frames.pop("questions")
        frames = part(frames, split, VALIDATION_REASONING)
        if split == "validation":
            passes = [(0, 1 + place % 3, 5), (1, 2, 4 + place % 3)]
            count = 14 if place < 2 else 13
        else:
            passes = [(0, 1 + place, 8), (1, 2 + place, 10), (0, 9, 11 + place), (1, 9, 11 + place)]
            count = 67 if place < 4 else 66
        for number, (question, key, *others) in enumerate(three_choices(list(frames), passes)[:count]):
            wrong = [frames[other][question + 1] for other in others]
            choices, label = placed(frames[key][question + 1], wrong, number)
            rows.append(
                {
                    "id": f"{language}-{split}-{number}",
                    "language": language,
                    "context": frames[key][0],
                    "question": questions[question],
                    "choices": choices,
                    "label": label,
                }
            )
    return mixed(rows)


def tables() -> dict[str, dict[str, list[Row]]]:
    """Configuration to split to rows."""
    made: dict[str, dict[str, list[Row]]] = {}
    for language in LANGUAGES:
        made[language] = {split: benchmark(language, split) for split in ("validation", "test")}
    for language in LANGUAGES:
        made[f"nli-{language}"] = {split: nli_benchmark(language, split) for split in ("validation", "test")}
    for name, rows in {"copa": copa, "nli": nli, "siqa": siqa, "reasoning": reasoning}.items():
        made[name] = {split: rows(split) for split in ("train", "validation")}
    return made


def readme(made: Mapping[str, Mapping[str, Sequence[Row]]]) -> str:
    """The card: the configurations as the Hub reads them, then what a reader should know."""
    lines = ["---", "license: apache-2.0", "language:", *(f"- {language}" for language in LANGUAGES), "configs:"]
    for config, splits in made.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: {config}/{split}.jsonl"]
    return "\n".join([*lines, "---", "", (FRAMES.parent / "CARD.md").read_text(encoding="utf-8")])


def build() -> dict[Path, str]:
    """Every file's path under `data/quickstart`, and its text."""
    made = tables()
    files = {REPOSITORY / "README.md": readme(made)}
    for config, splits in made.items():
        for split, rows in splits.items():
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
            files[REPOSITORY / config / f"{split}.jsonl"] = "".join(lines)
    return files


def write(folder: Path) -> None:
    """Writes the files under this folder, over what is there."""
    for path, text in build().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(__file__).parent)
