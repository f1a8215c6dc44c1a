"""Several cores, each with sequences of its own: no core waits for another between two operations.

Splitting the sequences rather than every operation was 4 % faster on two idle cores, and far more where something
else runs on one of them, since the many small operations of a layer otherwise each wait for the slower half.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import TypeVar

import torch

Part = TypeVar("Part")
Answer = TypeVar("Answer")

# Fewer tokens a core make the matrices too flat; all cores then share each operation.
TOKENS_EACH = 256


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """Threads that each compute on one core. count: how many."""

    count: int
    _threads: ThreadPoolExecutor

    @classmethod
    def open(cls) -> "Lanes":
        """One lane for each of torch's threads; they end when the value is let go."""
        count = torch.get_num_threads()
        threads = ThreadPoolExecutor(count, thread_name_prefix="lane")
        together = Barrier(count)

        def alone() -> None:
            # Asking comes first: a thread that never asked takes the number of the process at its first operation,
            # whatever it was told before. The barrier sees that each of them does.
            torch.get_num_threads()
            torch.set_num_threads(1)
            together.wait()

        for started in [threads.submit(alone) for _ in range(count)]:
            started.result()
        # It is also what threads started later begin with.
        torch.set_num_threads(count)
        return cls(count=count, _threads=threads)

    def pays(self, tokens: int) -> bool:
        """Whether a batch of so many tokens should be split."""
        return self.count > 1 and tokens >= TOKENS_EACH * self.count

    def map(self, function: Callable[[int, Part], Answer], parts: Sequence[Part]) -> list[Answer]:
        """function(lane, part) for each part, all at once; at most as many parts as lanes."""
        return list(self._threads.map(function, range(len(parts)), parts))
