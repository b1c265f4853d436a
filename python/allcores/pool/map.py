"""`map`: an iterator over the results of a feed, in order, or as chunks end.

After an exception that a call raised the iterator can go on: asking for the next result
gives the next item's. Whoever does not ask, as a `for` loop doesn't, lets go of the iterator
by the same exception, and with it of all items that have not started. So the standard
library's meaning (an error cancels the rest) holds where it can be seen, and nothing is lost
for those who hold the iterator.

A result is handed over without a reference staying behind.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator

from .._core import Unroll
from .feed import Feed, error_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .feed import Meter, Part
    from .options import Terms
    from .runtime import Runtime


def start_map(
    runtime: Runtime,
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    *,
    timeout: float | None,
    chunksize: int | None,
    buffersize: int | None,
    max_workers: int,
    terms: Terms | None = None,
    return_exceptions: bool = False,
    ordered: bool = True,
    meter: Meter | None = None,
    part: Part | None = None,
) -> Iterator[Any]:
    """The iterator over the results; the first window of chunks is submitted by now."""
    deadline = None if timeout is None else time.monotonic() + timeout
    if not iterables:
        return iter(())
    feed = Feed(
        runtime,
        fn,
        iterables,
        chunksize=chunksize,
        buffersize=buffersize,
        max_workers=max_workers,
        terms=terms,
        ordered=ordered,
        meter=meter,
        part=part,
    )
    feed.begin()
    return Results(feed, deadline, return_exceptions)


class Results(Unroll):
    """The results of a `map`, in order of the items.

    `next` raises what the call raised, with the next item's turn after it; `TimeoutError` when the
    map's time is up. `close` gives up what has not started, as dropping the iterator does.
    """

    _feed: Feed | None
    _deadline: float | None
    _keeps_exceptions: bool
    _values: list[Any]
    _errors: dict[int, Any]
    _position: int
    _has_raised: bool

    def __new__(cls, feed: Feed, deadline: float | None, return_exceptions: bool) -> Results:
        results = super().__new__(cls)
        results._feed = feed
        results._deadline = deadline
        results._keeps_exceptions = return_exceptions
        results._values = []
        results._errors = {}
        results._position = 0
        results._has_raised = False
        return results

    def refill(self) -> list[Any] | bytes | None:
        """The next results, the last one first, or pickled scalars; None at the end. Raises an
        item's exception.
        """
        error: BaseException | None
        try:
            found, error = self._next()
        except BaseException:
            self._has_raised = True
            self.close()
            raise
        if error is None:
            return found
        try:
            raise error
        finally:
            # The traceback must not keep the iterator alive, nor the error itself.
            del self, error

    def close(self) -> None:
        """Gives up what has not started."""
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.give_up()

    def __del__(self) -> None:
        feed = vars(self).get("_feed")
        if feed is None:
            return
        undone = feed.give_up()
        if undone and not self._has_raised:
            warnings.warn(
                f"a map of `{feed.name}` was dropped before its end; {undone} items were not run\n"
                "hint: take all results, or call its `close()`",
                ResourceWarning,
                stacklevel=2,
            )

    def _next(self) -> tuple[list[Any] | bytes | None, BaseException | None]:
        while not self._values:
            feed = self._feed
            if feed is None:
                return None, None
            chunk = feed.next_chunk(self._deadline)
            if chunk is None:
                self._feed = None
                feed.give_up()
                return None, None
            values, self._errors = feed.values_of(chunk)
            if isinstance(values, bytes):
                return values, None
            if not self._errors:
                if values:
                    values.reverse()
                    return values, None
                continue
            if self._keeps_exceptions:
                for position, stand_in in self._errors.items():
                    values[position] = error_from(stand_in)
                values.reverse()
                return values, None
            self._position = 0
            values.reverse()
            self._values = values
        return self._up_to_error()

    def _up_to_error(self) -> tuple[list[Any] | None, BaseException | None]:
        """The values before the next error of this chunk, or that error."""
        values, errors = self._values, self._errors
        ready: list[Any] = []
        while values and self._position not in errors:
            ready.append(values.pop())
            self._position += 1
        if ready:
            ready.reverse()
            return ready, None
        values.pop()
        error = error_from(errors[self._position])
        self._position += 1
        self._has_raised = True
        if self._feed is not None:
            self._feed.pause()
        return None, error
