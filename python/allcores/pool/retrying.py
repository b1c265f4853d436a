"""Calls that are made again when they raise what the caller named.

It happens in the worker, so nothing travels twice. Each try gets arguments unpickled anew: none
sees what an earlier one did to them.
"""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Kinds = tuple[type[BaseException], ...]


class Retrying:
    """Calls a function again, up to `retries` times, when it raises one of `retry_on`."""

    __slots__ = ("func", "retries", "retry_on")

    def __init__(self, func: Callable[..., Any], retries: int, retry_on: Kinds) -> None:
        self.func = func
        self.retries = retries
        self.retry_on = retry_on

    def __reduce__(self) -> tuple[Any, ...]:
        return Retrying, (self.func, self.retries, self.retry_on)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run((args, kwargs), lambda: (args, kwargs))

    def run(self, arguments: tuple[Any, Any], again: Callable[[], tuple[Any, Any]]) -> Any:
        """The result of the call with `arguments`; each further try is made with what `again`
        gives.
        """
        left = self.retries
        while True:
            args, kwargs = arguments
            try:
                return self.func(*args, **kwargs)
            except self.retry_on:
                if left == 0:
                    raise
                left -= 1
            arguments = again()


class ForItems:
    """A `Retrying` for the items of a chunk, which it is called with one after the other.

    `reload` gives all items of the chunk anew, `start` is the position of the first call's.
    """

    __slots__ = ("_position", "_reload", "_retrying", "_star", "func")

    def __init__(
        self, retrying: Retrying, reload: Callable[[], list[Any]], start: int, *, star: bool
    ) -> None:
        self.func = retrying.func
        self._retrying = retrying
        self._reload = reload
        self._position = start
        self._star = star

    def __call__(self, *args: Any) -> Any:
        position = self._position
        self._position += 1
        return self._retrying.run((args, {}), lambda: (self._fresh(position), {}))

    def _fresh(self, position: int) -> tuple[Any, ...]:
        item = self._reload()[position]
        return tuple(item) if self._star else (item,)
