"""How far a map runs ahead of its consumer, and how many items its next chunk holds.

A map keeps a *window* of chunks with the pool: `2 * workers + 2`, or `buffersize`.

* `buffersize=n`: at most n items are submitted and not yet taken, in chunks of a window's share of
  n at most; the first window before a result is taken, so that not all of them are small. With a
  `chunksize`, at most n chunks.
* All iterables have a length: the window counts the chunks that have not ended, so that workers
  go on while the consumer waits for a long one, or does not consume at all.
* Otherwise (generators, `itertools.count`) nobody knows how many items are wanted, and each that
  is taken may cost something: the window is in items. It begins with `2 * workers + 2`, and grows
  by one with every `GROWTH` results that were given, up to `MOST_LAZY` times that: who stops after
  ten results has made us take two items more than the first window, and who goes on sees chunks
  grow as with a list, to a size that costs nothing any more. It is divided into as many chunks as
  any other window (four times as many while the consumer waits for a long one). A `chunksize` is
  taken at its word.

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


MOST_LAZY = 1_024
"""A chunk of an iterable without a length holds no more. Larger ones were measured to be no quicker
(`benchmarks.lazy_map`: 13 to 15 million items a second with 1,024, 2,048 and 8,192; 10 with 256).
"""

GROWTH = 4
"""Of so many results that were given, one lets the next item be taken earlier."""


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
        self.few = 2 * max_workers
        """When fewer chunks are under way it is time to submit more, whoever consumes."""
        self.taken = 0
        self.given = 0
        self._size = chunksize
        self._first_window = 2 * max_workers + 2
        self._buffer: int | None = None
        """Items that may be ahead, where that is said in items and enough for more than one a
        chunk.
        """
        self._window = self.window_past_a_long_one = buffersize or self._first_window
        if chunksize is None and buffersize is not None:
            if buffersize < 2 * self._first_window:
                self._size = 1
            else:
                self._buffer = buffersize
        elif chunksize is None and self.length is None:
            self.window_past_a_long_one = 4 * self._window

    @property
    def window(self) -> int:
        """So many chunks may be with the pool."""
        return self._window if self.given or self._buffer is None else self._first_window

    def next_size(self, pool: Sizes, function: int | None) -> int:
        """How many items to take for the next chunk; 0 for none before more results are taken."""
        if self._size is not None:
            return self._size
        rest = None if self.length is None else max(self.length - self.taken, 1)
        ahead = self.taken - self.given
        if self._buffer is not None:
            size = min(pool.batch_size(function, rest), self._buffer // self._first_window)
            return size if size <= self._buffer - ahead else 0
        if rest is not None:
            return pool.batch_size(function, rest)
        allowed = min(self._window + self.given // GROWTH, self._window * MOST_LAZY)
        size = min(pool.batch_size(function, None), allowed // self._window)
        return min(size, allowed - ahead)


def length_of(iterables: tuple[Iterable[Any], ...]) -> int | None:
    """How many items there are, if that can be known."""
    lengths = []
    for iterable in iterables:
        if not isinstance(iterable, Sized):
            return None
        lengths.append(len(iterable))
    return min(lengths)
