"""Sequences of like length share a batch, under a budget of tokens."""

from collections.abc import Sequence


def length_sorted(lengths: Sequence[int], *, budget: int) -> list[list[int]]:
    """Positions in `lengths`, longest first, in batches of at most `budget` tokens, padding included.

    A single sequence beyond the budget is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        longest = lengths[batches[-1][0]] if batches else 0
        if batches and longest * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
