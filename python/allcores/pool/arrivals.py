"""The chunks of a map in the order in which they end, for results that may come as they come.

The engine tells the notifier thread of a chunk's end as it does for a future that somebody looks
into; here it is put into a queue. A chunk that was withdrawn is told of as well, and one that is
submitted again is told of twice; who takes from the queue passes over what has not ended.
"""

from __future__ import annotations

import queue
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._core import Slot

    # A chunk of a feed, which knows this module.
    Chunk = Any


class Arrivals:
    """The chunks that have ended, the first one first. `watch` is the runtime's."""

    def __init__(self, watch: Callable[[Slot, Expected], bool]) -> None:
        self._watch = watch
        self._ended: queue.SimpleQueue[Chunk] = queue.SimpleQueue()

    def expect(self, chunk: Chunk) -> None:
        """Has `chunk` arrive when it has ended; one that is with no worker has arrived."""
        if chunk.slot is None or not self._watch(chunk.slot, Expected(chunk, self._ended)):
            self._ended.put(chunk)

    def wait(self, seconds: float | None) -> Chunk:
        """The next that has arrived; raises `TimeoutError` when so many seconds have passed."""
        try:
            return self._ended.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None


class Expected:
    """What the notifier is told to settle."""

    __slots__ = ("_chunk", "_ended")

    def __init__(self, chunk: Chunk, ended: queue.SimpleQueue[Chunk]) -> None:
        self._chunk = chunk
        self._ended = ended

    def settle(self) -> None:
        self._ended.put(self._chunk)

    def fail(self, error: BaseException) -> None:
        """Cannot be asked for: `settle` does not raise."""

    def on_child(self) -> None:
        """In a forked child: nobody may wait there."""
