"""Writes `repairs/xcopa.toml` from a mirror: `python data/repairs.py MIRROR`. Items' numbers and two words, no texts.

Reads English COPA and XCOPA as they were published, whatever was repaired before.
"""

import sys
import textwrap
from pathlib import Path

import polars as pl

from xfer_bench.sources.source import Sources, part_of
from xfer_bench.tasks.multiple_choice import XCOPA
from xfer_bench.tasks.task import TEST, VALIDATION, Split

ENGLISH = "en"
HEAD = '''\
# XCOPA's `question` where it differs from English COPA's under the same `idx`: the item, under the value that is right.
# Written by `python data/repairs.py MIRROR`. Numbers only.

repository = "cambridgeltl/xcopa"
column = "question"
key = "idx"
values = ["cause", "effect"]
rule = """\\
    An item of XCOPA is a translation of the item of English COPA with the same idx, and asks what it asks: the cause \\
    of the premise or its effect. The choices were translated for that question, so another one has no right answer."""
source = """\\
    English COPA (Roemmele et al. 2011; the validation items as in SuperGLUE, the test items with their gold \\
    answers). The questions of the six translations et, ht, qu, ta, vi and zh are equal to English COPA's on all 500 \\
    test and 100 validation items; the Thai ones were reported in allenai/natural-instructions #522 and mended there \\
    in #564."""
'''


def questions(sources: Sources, split: Split, language: str) -> dict[int, str]:
    """`idx` to the question as it was published."""
    raw, _ = sources.raw(part_of(XCOPA, language, split), language)
    return dict(raw.select(pl.col("idx").cast(pl.Int64), "question").iter_rows())


def tables(sources: Sources) -> list[str]:
    """A TOML table for each split and language with items to repair."""
    found = []
    splits: tuple[Split, ...] = (TEST, VALIDATION)
    for split in splits:
        right = questions(sources, split, ENGLISH)
        for language in sorted(set(XCOPA.languages_of(split)) - {ENGLISH}):
            published = questions(sources, split, language)
            assert published.keys() == right.keys(), (split, language)
            lists = []
            for value in ("cause", "effect"):
                wrong = sorted(item for item in right if right[item] == value and published[item] != value)
                if wrong:
                    lines = textwrap.wrap(", ".join(map(str, wrong)), 116)
                    lists.append("\n".join([f"{value} = [", *(f"  {line}" for line in lines), "]"]))
            if lists:
                found.append("\n".join([f"[items.{split}.{language}]", *lists]))
    return found


def text(sources: Sources) -> str:
    """The whole file."""
    return "\n\n".join([HEAD.rstrip("\n"), *tables(sources)]) + "\n"


if __name__ == "__main__":
    file = Path(__file__).with_name("repairs") / "xcopa.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text(Sources(data_root=Path(sys.argv[1]))), encoding="utf-8")
