"""The iterator over a map's results, as the rungs inside this process have it.

Results come in *blocks*: some values, and by position what was raised instead. What is raised is
raised in its turn, and `next` goes on with the next item; whoever does not ask for it, as a `for`
loop doesn't, lets go of the iterator and so of all items that have not started. The same as for
maps of processes (`pool.map`), whose blocks are the chunks that workers send.
"""

from __future__ import annotations

import time
import warnings

from .._core import Unroll

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    Block = tuple[list[Any], dict[int, BaseException]]

    class Source(Protocol):
        """Where blocks come from."""

        name: str

        def next_block(self, deadline: float | None) -> Block | None:
            """The next values (anything where an error is) and errors, in a list and a dictionary
            that are the caller's; None at the end. Raises `TimeoutError`, or what the iterable
            raised.
            """

        def pause(self) -> None:
            """Keeps what has not started from it, until the next block is asked for."""

        def give_up(self) -> int:
            """Takes and starts no more; how many items that leaves undone, as far as is known."""


class Blocks(Unroll):
    """The results of a map. `close` gives up what has not started, as dropping it does."""

    _source: Source | None
    _deadline: float | None
    _keeps_exceptions: bool
    _values: list[Any]
    _errors: dict[int, BaseException]
    _position: int
    _has_raised: bool

    def __new__(cls, source: Source, *, within: float | None, return_exceptions: bool) -> Blocks:
        """`within` is the seconds that the whole map has."""
        blocks = super().__new__(cls)
        blocks._source = source
        blocks._deadline = None if within is None else time.monotonic() + within
        blocks._keeps_exceptions = return_exceptions
        blocks._values = []
        blocks._errors = {}
        blocks._position = 0
        blocks._has_raised = False
        return blocks

    def refill(self) -> list[Any] | None:
        """The next results, the last one first; None at the end. Raises an item's exception."""
        try:
            values, error = self._next()
        except BaseException:
            self._has_raised = True
            self.close()
            raise
        if error is None:
            return values
        try:
            raise error
        finally:
            # The traceback must not keep the iterator alive, nor the error itself.
            del self, error

    def close(self) -> None:
        """Gives up what has not started."""
        source, self._source = self._source, None
        self._values, self._errors = [], {}
        if source is not None:
            source.give_up()

    def __del__(self) -> None:
        source = vars(self).get("_source")
        if source is None:
            return
        undone = source.give_up()
        if undone and not self._has_raised:
            warnings.warn(
                f"a map of `{source.name}` was dropped before its end; {undone} items were not "
                "run\nhint: take all results, or call its `close()`",
                ResourceWarning,
                stacklevel=2,
            )

    def _next(self) -> tuple[list[Any] | None, BaseException | None]:
        while not self._values:
            source = self._source
            if source is None:
                return None, None
            block = source.next_block(self._deadline)
            if block is None:
                self.close()
                return None, None
            values, errors = block
            if not errors and values:
                values.reverse()
                return values, None
            if self._keeps_exceptions:
                for position, error in errors.items():
                    values[position] = error
                errors = {}
            values.reverse()
            if not errors and values:
                return values, None
            self._values, self._errors, self._position = values, errors, 0
        return self._up_to_error()

    def _up_to_error(self) -> tuple[list[Any] | None, BaseException | None]:
        """The values before the next error of this block, or that error."""
        values, errors = self._values, self._errors
        ready: list[Any] = []
        while values and self._position not in errors:
            ready.append(values.pop())
            self._position += 1
        if ready:
            ready.reverse()
            return ready, None
        values.pop()
        error = errors.pop(self._position)
        self._position += 1
        self._has_raised = True
        if self._source is not None:
            self._source.pause()
        return None, error
