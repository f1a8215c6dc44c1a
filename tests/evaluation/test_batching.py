"""Every sequence is in one batch of one shelf, no batch is beyond its budget, and items are finished shelf by shelf."""

from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xfer_bench.evaluation.batching import Shelf, length_sorted, shelves


@given(lengths=st.lists(st.integers(1, 200), max_size=80), budget=st.integers(1, 600))
def test_batches_are_a_partition_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = length_sorted(lengths, budget=budget)
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[position] for position in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
    in_order = [lengths[position] for batch in batches for position in batch]
    assert in_order == sorted(lengths, reverse=True)


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40), budget=st.integers(1, 300))
def test_a_batch_is_closed_only_when_the_next_sequence_does_not_fit(lengths: list[int], budget: int) -> None:
    batches = length_sorted(lengths, budget=budget)
    assert all(lengths[batch[0]] * (len(batch) + 1) > budget for batch in batches[:-1])


def test_equal_lengths_keep_their_order() -> None:
    assert length_sorted([3, 3, 5, 3], budget=9) == [[2], [0, 1, 3]]
    assert length_sorted([], budget=9) == []


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[int], list[list[int]]]:
    """Lengths of distinct sequences, and for each item those that it needs; every sequence is needed."""
    lengths = draw(st.lists(st.integers(1, 60), min_size=1, max_size=40))
    sequence = st.integers(0, len(lengths) - 1)
    needs = draw(st.lists(st.lists(sequence, min_size=1, max_size=5), max_size=20))
    left = sorted(set(range(len(lengths))) - set(chain.from_iterable(needs)))
    return lengths, [*needs, *(left[start : start + 3] for start in range(0, len(left), 3))]


def cut(lengths: list[int], needs: list[list[int]], *, budget: int, tokens: int) -> list[Shelf]:
    owners = np.repeat(np.arange(len(needs)), [len(one) for one in needs])
    return shelves(np.array(lengths), owners, np.array(list(chain.from_iterable(needs))), budget=budget, tokens=tokens)


@given(request=requests(), budget=st.integers(1, 300), tokens=st.integers(1, 500))
def test_every_sequence_is_on_one_shelf(request: tuple[list[int], list[list[int]]], budget: int, tokens: int) -> None:
    lengths, needs = request
    made = cut(lengths, needs, budget=budget, tokens=tokens)
    placed = [int(one) for shelf in made for batch in shelf.batches for one in batch]
    assert sorted(placed) == list(range(len(lengths)))
    for shelf in made:
        own = [[lengths[one] for one in batch] for batch in shelf.batches]
        assert shelf.tokens == sum(map(sum, own))
        assert shelf.padded == sum(max(batch) * len(batch) for batch in own)
        assert all(len(batch) == 1 or max(batch) * len(batch) <= budget for batch in own)


@given(request=requests(), budget=st.integers(1, 300), tokens=st.integers(1, 500))
def test_a_shelf_ends_items_and_is_not_much_too_large(
    request: tuple[list[int], list[list[int]]], budget: int, tokens: int
) -> None:
    lengths, needs = request
    made = cut(lengths, needs, budget=budget, tokens=tokens)
    shelf_of = {int(one): number for number, shelf in enumerate(made) for batch in shelf.batches for one in batch}
    # Each shelf finishes an item, so whatever was scored for it is worth a commit.
    finished = {max(shelf_of[one] for one in need) for need in needs}
    assert finished == set(range(len(made)))
    # It is as large as asked for, but for the rest of one item.
    most = max(sum({one: lengths[one] for one in need}.values()) for need in needs)
    assert all(shelf.tokens <= max(tokens, most) + most for shelf in made)


@given(request=requests())
def test_the_same_request_is_cut_in_the_same_way(request: tuple[list[int], list[list[int]]]) -> None:
    first, second = (cut(*request, budget=100, tokens=200) for _ in range(2))
    as_lists = [[[batch.tolist() for batch in shelf.batches] for shelf in made] for made in (first, second)]
    assert as_lists[0] == as_lists[1]


def test_padding_is_a_few_percent_of_real_lengths() -> None:
    # Lengths like XNLI's; in data order in batches of 32 they would be padded by more than half.
    lengths = np.random.default_rng(0).lognormal(3.4, 0.5, 20_000).astype(int) + 5
    everything = [[one] for one in range(len(lengths))]
    made = cut(lengths.tolist(), everything, budget=4096, tokens=50_000)
    assert len(made) > 1
    tokens, padded = sum(shelf.tokens for shelf in made), sum(shelf.padded for shelf in made)
    assert (padded - tokens) / padded < 0.02


def test_nothing_to_score_is_no_shelf() -> None:
    nothing = np.array([], dtype=np.int64)
    assert shelves(nothing, nothing, nothing, budget=10, tokens=10) == []
