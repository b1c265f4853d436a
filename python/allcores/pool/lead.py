"""How far a map runs ahead of its consumer, and how many items its next chunk holds.

A map keeps a *window* of chunks with the pool: `2 * workers + 2`, or `buffersize`.

* `buffersize=n`: at most n chunks are submitted and not yet taken.
* All iterables have a length: the window counts the chunks that have not ended, so that workers
  go on while the consumer waits for a long one, or does not consume at all.
* Otherwise (generators, `itertools.count`) nobody knows how many items are wanted, and each that
  is taken may cost something: the window counts the chunks that were not yet taken (four windows
  of them while the consumer waits for a long one), and no more items are ahead of the consumer
  than it has been given, and a window. Who stops after ten results has made us take at most
  `2 * 10 + window` items; who goes on sees chunks grow as with a list, up to `MOST_LAZY` items. A
  `chunksize` is taken at its word.

A consumer has been *given* a chunk's items when it comes for the next chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Sizes(Protocol):
        """Knows how many items the next chunk of a map should hold."""

        def batch_size(self, function: int | None, left: int | None, /) -> int: ...


MOST_LAZY = 8_192
"""A chunk of an iterable without a length holds no more: a window of them is a few megabytes."""


class Lead:
    """What was taken of the items, what was given of the results, and what follows from it."""

    def __init__(
        self,
        iterables: tuple[Iterable[Any], ...],
        *,
        chunksize: int | None,
        buffersize: int | None,
        max_workers: int,
    ) -> None:
        self.length = length_of(iterables)
        self.is_strict = buffersize is not None
        self.is_eager = self.length is not None and buffersize is None
        self.window = buffersize or 2 * max_workers + 2
        self.window_past_a_long_one = self.window
        if self.length is None and not self.is_strict and chunksize is None:
            self.window_past_a_long_one = 4 * self.window
        self.few = 2 * max_workers
        """When fewer chunks are under way it is time to submit more, whoever consumes."""
        self.taken = 0
        self.given = 0
        self._size = 1 if chunksize is None and self.is_strict else chunksize

    def next_size(self, pool: Sizes, function: int | None) -> int:
        """How many items to take for the next chunk; 0 for none before more results are taken."""
        if self._size is not None:
            return self._size
        if self.length is not None:
            return pool.batch_size(function, max(self.length - self.taken, 1))
        allowed = self.window + self.given
        room = allowed - (self.taken - self.given)
        return min(pool.batch_size(function, None), allowed // self.window, room, MOST_LAZY)


def length_of(iterables: tuple[Iterable[Any], ...]) -> int | None:
    """How many items there are, if that can be known."""
    lengths = []
    for iterable in iterables:
        if not isinstance(iterable, Sized):
            return None
        lengths.append(len(iterable))
    return min(lengths)
