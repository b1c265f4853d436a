"""The iterator over a map's results, wherever its calls run.

Results come in *blocks*: some values, and by position what was raised instead. What is raised is
raised in its turn, and `next` goes on with the next item's result. Whoever does not ask for it, as
a `for` loop doesn't, lets go of the iterator by the same exception, and with it of all items that
have not started. So the standard library's meaning (an error cancels the rest) holds where it can
be seen, and nothing is lost for those who hold the iterator.

A result is handed over without a reference staying behind.
"""

from __future__ import annotations

import time
import warnings

from .._core import Unroll
from . import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    Block = tuple[list[Any], dict[int, Any]]
    """The values, anything where an error is; and by position what stands for the errors: an
    exception, the bytes of one, or what makes one.
    """
    Scalars = tuple[bytes, dict[int, Any]]
    """A pickled list of scalars, and no error."""

    class Source(Protocol):
        """Where blocks come from."""

        name: str

        def next_block(self, deadline: float | None) -> Block | Scalars | None:
            """The next values and errors, in a list and a dictionary that are the caller's; None
            at the end. Raises `TimeoutError`, or what the iterable raised.
            """

        def pause(self) -> None:
            """Keeps what has not started from it, until the next block is asked for."""

        def give_up(self) -> int:
            """Takes and starts no more; how many items that leaves undone, as far as is known."""


def deadline_after(seconds: float | None) -> float | None:
    """The monotonic clock's time then."""
    return None if seconds is None else time.monotonic() + seconds


class Blocks(Unroll):
    """The results of a map.

    `next` raises what the call raised, with the next item's turn after it; `TimeoutError` when the
    map's time is up. `close` gives up what has not started, as dropping the iterator does.
    """

    _source: Source | None
    _deadline: float | None
    _keeps_exceptions: bool
    _values: list[Any]
    _errors: dict[int, Any]
    _position: int
    _has_raised: bool

    def __new__(
        cls, source: Source, *, deadline: float | None = None, return_exceptions: bool
    ) -> Blocks:
        """`deadline` is the monotonic clock's, in seconds, for the whole map."""
        blocks = super().__new__(cls)
        blocks._source = source
        blocks._deadline = deadline
        blocks._keeps_exceptions = return_exceptions
        blocks._values = []
        blocks._errors = {}
        blocks._position = 0
        blocks._has_raised = False
        return blocks

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

    def _next(self) -> tuple[list[Any] | bytes | None, BaseException | None]:
        while not self._values:
            source = self._source
            if source is None:
                return None, None
            block = source.next_block(self._deadline)
            if block is None:
                self.close()
                return None, None
            values, errors = block
            if isinstance(values, bytes):
                return values, None
            if self._keeps_exceptions:
                for position, stand_in in errors.items():
                    values[position] = _exception(stand_in)
                errors = {}
            values.reverse()
            if values and not errors:
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
        error = _exception(errors.pop(self._position))
        self._position += 1
        self._has_raised = True
        if self._source is not None:
            self._source.pause()
        return None, error


def _exception(stand_in: Any) -> BaseException:
    if isinstance(stand_in, BaseException):
        return stand_in
    if isinstance(stand_in, bytes):
        return codec.load_exception(stand_in)
    error: BaseException = stand_in()
    return error
