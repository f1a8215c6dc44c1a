"""Equal sequences are scored once, and every item gets the scores of its own candidates, in their order."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.evaluation.small_checkpoints import MIXED, rows
from xfer_bench.evaluation.batching import shelves
from xfer_bench.evaluation.blocks import STORED
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.columns import Column, column
from xfer_bench.evaluation.tokens import Encoded, Tokens, tokens_of
from xfer_bench.evaluation.work import TIE, Part, Work, work_of
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import Task


class Bench:
    """Columns whose tokens are made up: one for each character of the candidate, so that equal candidates are equal."""

    def __init__(self, folder: Path) -> None:
        self.sources: Sources = rows(folder / "mirror")
        self.store = PredictionStore(folder / "store")

    def part(self, task: Task, language: str, positions: Sequence[int] | None = None) -> Part:
        one = column(
            task, language=language, split="test", limit=None, sources=self.sources, remember=self.store.remember
        )
        chosen = np.arange(one.items) if positions is None else np.array(positions)
        return Part(column=one, positions=chosen, tokens=self.tokens(one))

    def tokens(self, one: Column) -> Tokens:
        items = one.rows.with_row_index("place").explode("candidates")
        ids = [list(candidate.encode()) for candidate in items["candidates"]]
        encoded = Encoded(items=items["place"].to_list(), ids=ids, types=None, truncated=0)
        return tokens_of(one, identity="made up", store=self.store, encode=lambda _: encoded)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def sums(work: Work, *, outputs: int = 1) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """(distinct, outputs) scores that say which sequence they are of: the sum of its ids, and then more."""
    cut = shelves(work.lengths, work.owners, work.sequences, budget=50, tokens=200)
    scores = np.full((len(work.lengths), outputs), np.nan, dtype=np.float32)
    for shelf in cut:
        for batch, piece in zip(shelf.batches, work.pieces(shelf), strict=True):
            assert piece.types is None
            ends = np.cumsum(piece.lengths)
            for place, start, end in zip(batch, ends - piece.lengths, ends, strict=True):
                scores[place] = piece.ids[start:end].sum() + np.arange(outputs)
    assert np.isfinite(scores).all()
    return scores


def expected(frame: pl.DataFrame) -> list[list[float]]:
    return [[float(sum(one.encode())) for one in candidates] for candidates in frame["candidates"]]


def everything(work: Work) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.ones(work.items, dtype=np.bool_)


def test_choices_get_their_own_scores_in_their_order(bench: Bench) -> None:
    parts = [bench.part(MIXED, language) for language in ("en", "sw")]
    work = work_of(parts)
    frame, ties = work.answers(everything(work), sums(work), order=(), weights="w")
    items = pl.concat(part.column.rows for part in parts)
    assert frame["scores"].to_list() == expected(items)
    assert frame["prediction"].to_list() == [int(np.argmax(one)) for one in expected(items)]
    assert frame.select("language", "item", "cluster", "label").equals(
        items.select("language", "item", "cluster", "label")
    )
    assert frame["row"].to_list() == [row for part in parts for row in part.column.digests]
    assert frame.select("weights", "task", "variant", "split").unique().rows() == [("w", "mixed", "published", "test")]
    assert dict(frame.schema) == STORED
    assert ties == 0


def test_equal_sequences_are_scored_once(bench: Bench) -> None:
    parts = [bench.part(MIXED, language) for language in ("en", "sw")]
    work = work_of(parts)
    texts = [one for part in parts for candidates in part.column.rows["candidates"] for one in candidates]
    assert len(work.sequences) == len(texts)
    assert len(work.lengths) == len(set(texts)) < len(texts)
    twice = work_of([*parts, *parts])
    assert len(twice.lengths) == len(work.lengths)
    assert len(twice.sequences) == 2 * len(work.sequences)


def test_only_the_chosen_items_are_work(bench: Bench) -> None:
    chosen = [1, 2, 9, 24]
    work = work_of([bench.part(MIXED, "en", chosen), bench.part(MIXED, "sw", [0])])
    frame, _ = work.answers(everything(work), sums(work), order=(), weights="w")
    wanted = [bench.part(MIXED, "en").column.rows[chosen], bench.part(MIXED, "sw").column.rows[[0]]]
    assert frame["scores"].to_list() == expected(pl.concat(wanted))
    assert len(work.sequences) == sum(len(one) for one in expected(pl.concat(wanted)))


def test_items_are_finished_when_all_their_sequences_are(bench: Bench) -> None:
    part = bench.part(MIXED, "en")
    work = work_of([part])
    candidates = part.column.rows["candidates"]
    done = np.zeros(len(work.lengths), dtype=np.bool_)
    assert not work.finished(done).any()
    done[work.sequences[work.owners == 3]] = True
    finished = work.finished(done)
    assert finished[3]
    scored = set(candidates[3])
    assert finished.tolist() == [set(one) <= scored for one in candidates]
    assert work.finished(np.ones_like(done)).all()
    # What is finished can be taken before the rest is there.
    scores = sums(work)
    scores[~done] = np.nan
    frame, _ = work.answers(finished, scores, order=(), weights="w")
    assert frame["item"].to_list() == part.column.rows.filter(finished)["item"].to_list()
    assert frame["scores"].to_list() == expected(part.column.rows.filter(finished))


def test_nothing_chosen_is_an_empty_table(bench: Bench) -> None:
    work = work_of([bench.part(MIXED, "en")])
    frame, ties = work.answers(~everything(work), sums(work), order=(), weights="w")
    assert (dict(frame.schema), frame.height, ties) == (STORED, 0, 0)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_classes_are_put_into_the_task_s_order(bench: Bench, order: tuple[int, ...]) -> None:
    part = bench.part(TASKS["xnli"], "en")
    work = work_of([part])
    frame, _ = work.answers(everything(work), sums(work, outputs=3), order=order, weights="w")
    assert frame["scores"].to_list() == [[one[0] + output for output in order] for one in expected(part.column.rows)]
    assert set(frame["prediction"]) == {order.index(2)}


@pytest.mark.parametrize(
    ("scores", "tied"),
    [
        ([0.0, 0.0, 0.0], True),
        ([1.0, 2.0, 2.0], True),
        ([2.0, 1.0, 2.0], True),
        ([1.0, 2.0, 2.0 + TIE / 2], True),
        ([1.0, 2.0, 2.0 + 4 * TIE], False),
        # Only the two highest count.
        ([1.0, 1.0, 2.0], False),
    ],
)
def test_ties_are_counted_and_go_to_the_first(bench: Bench, scores: list[float], tied: bool) -> None:
    part = bench.part(TASKS["xnli"], "en")
    work = work_of([part])
    table = np.tile(np.array(scores, dtype=np.float32), (len(work.lengths), 1))
    frame, ties = work.answers(everything(work), table, order=(0, 1, 2), weights="w")
    assert ties == (part.column.items if tied else 0)
    assert set(frame["prediction"]) == {int(np.argmax(np.array(scores, dtype=np.float32)))}


def test_ties_among_choices_are_counted_item_by_item(bench: Bench) -> None:
    part = bench.part(MIXED, "en")
    work = work_of([part])
    frame, ties = work.answers(everything(work), np.zeros_like(sums(work)), order=(), weights="w")
    assert set(frame["prediction"]) == {0}
    assert ties == part.column.items
