"""An executor that a task got hold of: in a worker it makes its calls at once, itself.

It may have come along with a fork, as an argument, in a closure or as a global of `__main__`; it
may be the executor that runs the task, or another one of the parent. Its workers can't be reached
from here, and a task that waited for one of them could wait for ever. So the one who would wait
makes the call: `submit` returns a future that has ended, `map` calls when it is asked for a
result. That never blocks, whatever the number of workers, and keeps within the cores of this
worker. (A task that wants workers of its own makes an executor.)

What travels is a reference: the token of the original. In a worker it becomes the copy that came
with the fork, or a stand-in, one for each original; in the process that made it, the original.
Arguments are handed over as they are, not copied, as by a thread pool; of a shared one the object.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from weakref import WeakValueDictionary

from . import codec, nesting
from .future import Future
from .shares import unshared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Context
    from typing import Any, TypeVar

    T = TypeVar("T")

_known: WeakValueDictionary[bytes, Any] = WeakValueDictionary()


def register(executor: object) -> bytes:
    """The token of an executor made here, by which `resolve` finds it."""
    token = os.urandom(12)
    _known[token] = executor
    return token


def reference(executor: Any, token: bytes) -> tuple[Any, ...]:
    """What stands for an executor in a pickle."""
    public = {name: value for name, value in vars(executor).items() if not name.startswith("_")}
    return resolve, (token, type(executor), executor._max_workers, public)


def resolve(token: bytes, kind: type[Any], max_workers: int, attributes: dict[str, Any]) -> Any:
    """The executor with that token; in a worker a stand-in for it if need be."""
    found = _known.get(token)
    if found is None:
        if not nesting.is_worker():
            raise LookupError("the executor is not there any more")
        found = object.__new__(kind)
        found.__dict__.update(
            attributes, _token=token, _max_workers=max_workers, _runtime=Elsewhere()
        )
        _known[token] = found
    return found


class Elsewhere:
    """Takes the place of the runtime in a stand-in; there is none in this process."""

    is_begun = False
    is_forked_copy = True
    recent = None


def check() -> None:
    """Raises if this process is none of our workers: what a fork of the user's must not use."""
    if not nesting.is_worker():
        raise RuntimeError(
            "this executor belongs to the process that was forked and cannot be used in its child\n"
            "hint: make a new executor in the child"
        )


def _own_context() -> Context:
    from contextvars import copy_context  # for workers only

    return copy_context()


def submit(function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[T]:
    """Makes the call; the future has ended."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    try:
        given = {name: unshared(value) for name, value in kwargs.items()}
        future.set_result(_own_context().run(function, *map(unshared, args), **given))
    except BaseException as error:
        codec.note_call(error, codec.name_of(function), None, codec.argument_text(args))
        future.set_exception(error)
    try:
        return future
    finally:
        del future  # no cycle from the exception through its traceback to this frame


class Results(Iterator["T"]):
    """What `map` returns: the results in order, each call made when it is asked for.

    The standard `map` makes its calls whether anybody looks at the results or not. So if nobody
    has asked for one when the iterator is dropped, all calls are made then, unless the user has
    bounded how far `map` runs ahead (`buffersize`). A failure is raised in its turn, or is the
    result with `keeps_exceptions`.
    """

    def __init__(
        self,
        function: Callable[..., T],
        iterables: tuple[Iterable[Any], ...],
        *,
        timeout: float | None,
        is_bounded: bool,
        keeps_exceptions: bool,
    ) -> None:
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._function = function
        self._items = enumerate(zip(*iterables, strict=False))
        self._is_single = len(iterables) == 1
        self._keeps_exceptions = keeps_exceptions
        self._is_unattended = not is_bounded

    def __next__(self) -> T:
        self._is_unattended = False
        index, args = next(self._items)
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.close()
            raise TimeoutError
        try:
            return _own_context().run(self._function, *map(unshared, args))
        except BaseException as error:
            text = codec.argument_text(args[0] if self._is_single else args)
            codec.note_call(error, codec.name_of(self._function), index, text)
            if not self._keeps_exceptions:
                raise
            failure: Any = error
            return failure  # type: ignore[no-any-return]

    def close(self) -> None:
        """Makes no more calls."""
        self._is_unattended = False
        self._items = enumerate(())

    def __del__(self) -> None:
        if self._is_unattended and not sys.is_finalizing():
            with contextlib.suppress(BaseException):
                for _, args in self._items:
                    submit(self._function, args, {})
