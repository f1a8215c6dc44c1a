import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_bench.training.order import Amount, order_of

MANY = 10**6  # steps
LENGTHS = [int(length) for length in np.random.default_rng(0).integers(3, 60, 1_000)]


def alone(lengths: list[int], *, epochs: float, batch_size: int, seed: int, steps: int = MANY) -> list[int]:
    """The order of a stage of one part."""
    amount = Amount(batch_size=batch_size, examples=max(1, round(epochs * len(lengths))), steps=steps)
    return order_of([lengths], [1.0], amount, seed=seed)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=120),
    epochs=st.integers(1, 4),
    batch_size=st.integers(1, 33),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_epoch_is_a_permutation(lengths: list[int], epochs: int, batch_size: int, seed: int) -> None:
    order = alone(lengths, epochs=epochs, batch_size=batch_size, seed=seed)
    assert len(order) == epochs * len(lengths)
    for start in range(0, len(order), len(lengths)):
        assert sorted(order[start : start + len(lengths)]) == list(range(len(lengths)))
    assert order == alone(lengths, epochs=epochs, batch_size=batch_size, seed=seed)


@settings(max_examples=60, deadline=None)
@given(
    epochs=st.floats(0.01, 3, allow_nan=False), batch_size=st.integers(1, 40), steps=st.integers(1, 60),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_the_order_is_bounded_by_steps_and_epochs(epochs: float, batch_size: int, steps: int, seed: int) -> None:
    lengths = LENGTHS[:90]
    order = alone(lengths, epochs=epochs, batch_size=batch_size, steps=steps, seed=seed)
    assert len(order) == min(max(1, round(90 * epochs)), steps * batch_size)
    # A shorter stage sees the beginning of a longer one, so a limit on steps changes nothing before it.
    longer = alone(lengths, epochs=int(np.ceil(epochs)), batch_size=batch_size, seed=seed)
    assert order == longer[: len(order)]


def test_the_seed_decides_the_order_and_no_epoch_repeats_another() -> None:
    order = alone(LENGTHS, epochs=2, batch_size=16, seed=0)
    assert order != alone(LENGTHS, epochs=2, batch_size=16, seed=1)
    assert order[:1_000] != order[1_000:]


def test_items_of_like_length_share_a_batch_and_the_incomplete_one_comes_last() -> None:
    order = alone(LENGTHS, epochs=1, batch_size=16, seed=0)
    batches = [[LENGTHS[item] for item in order[start : start + 16]] for start in range(0, 1_000, 16)]
    assert [len(batch) for batch in batches] == [16] * 62 + [8]
    padded = sum(max(batch) * len(batch) for batch in batches)
    shuffled = np.random.default_rng(1).permutation(LENGTHS).tolist()
    at_random = sum(max(shuffled[start : start + 16]) * 16 for start in range(0, 992, 16))
    assert padded < 1.1 * sum(LENGTHS) < 0.8 * at_random
    # Long and short batches come in random order.
    longest = [max(batch) for batch in batches]
    assert longest != sorted(longest, reverse=True)


PARTS = [LENGTHS[:300], LENGTHS[300:400], LENGTHS[400:450]]


def _batches(order: list[int], size: int) -> list[list[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]


def _part(item: int) -> int:
    return 0 if item < 300 else 1 if item < 400 else 2


@settings(max_examples=30, deadline=None)
@given(shares=st.tuples(*[st.floats(0.05, 1)] * 3), steps=st.integers(1, 80), seed=st.integers(0, 99))
def test_every_batch_is_of_one_part_and_each_part_has_its_share(
    shares: tuple[float, float, float], steps: int, seed: int
) -> None:
    order = order_of(PARTS, shares, Amount(batch_size=8, examples=8 * steps, steps=steps), seed=seed)
    batches = _batches(order, 8)
    assert len(batches) == steps
    parts = [{_part(item) for item in batch} for batch in batches]
    assert all(len(part) == 1 for part in parts)
    for part, share in enumerate(shares):
        assert abs(sum(one == {part} for one in parts) - steps * share / sum(shares)) <= 1


def test_a_part_comes_in_the_order_that_it_has_alone() -> None:
    order = order_of(PARTS, [0.5, 0.3, 0.2], Amount(batch_size=8, examples=800, steps=100), seed=3)
    first = [item for item in order if _part(item) == 0]
    assert first == alone(PARTS[0], epochs=2, batch_size=8, seed=3)[: len(first)]
    # A small part with a large share begins anew, and none of its items comes thrice before all came twice.
    last = [item for item in order if _part(item) == 2]
    assert sorted(last[:50]) == sorted(last[50:100]) == list(range(400, 450))


def test_parts_are_mixed_and_the_seed_decides_how() -> None:
    amount = Amount(batch_size=4, examples=400, steps=100)
    turns = [
        [_part(batch[0]) for batch in _batches(order_of(PARTS, [1, 1, 1], amount, seed=seed), 4)] for seed in (0, 1)
    ]
    assert turns[0] != turns[1]
    assert all(set(turn[start : start + 25]) == {0, 1, 2} for turn in turns for start in range(0, 100, 25))


@pytest.mark.parametrize("tokens", [1, 500, 5_000])
def test_a_number_of_tokens_ends_the_order_at_the_first_batch_that_reaches_it(tokens: int) -> None:
    amount = Amount(batch_size=8, examples=10**6, steps=MANY, tokens=tokens)
    order = order_of([LENGTHS], [1.0], amount, seed=0)
    assert sum(LENGTHS[item] for item in order) >= tokens > sum(LENGTHS[item] for item in order[:-8])
    assert order == alone(LENGTHS, epochs=3, batch_size=8, seed=0)[: len(order)]
