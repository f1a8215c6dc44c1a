"""Every sequence is in one batch, and no batch is beyond its budget."""

from hypothesis import given
from hypothesis import strategies as st

from xfer_bench.evaluation.batching import length_sorted


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
