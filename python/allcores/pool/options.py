"""How a task shall be run: `executor.options(timeout=..., retries=..., retry_on=...)`.

`options` returns a view of the executor whose `submit` and `map` apply these to each call; the
executor itself stays as it was, and views can be kept and shared.

* `timeout`: seconds that one call may run, counted from its start in the worker. When they are
  over its worker's whole process tree is killed and replaced, and the call fails with
  `TaskTimeout`.
* `retries`: how often a call is made again whose worker died. A call that raised is made again
  only for exceptions that `retry_on` names; `TimeoutError` there includes `TaskTimeout`.

`allcores.options(executor, ...)` does the same for any executor, as far as it can: on threads a
call can be made again, and can't be stopped.
"""

from __future__ import annotations

import concurrent.futures
import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar

from .retrying import Kinds, Retrying

if TYPE_CHECKING:
    from .future import Future

P = ParamSpec("P")
T = TypeVar("T")


class Terms(NamedTuple):
    """What the engine is told of a batch: seconds an item may run, how often it is run again when
    its worker died, and whether also when its time was over.
    """

    limit: float | None = None
    retries: int = 0
    retry_timeouts: bool = False


class Options(NamedTuple):
    """The options of a view; the defaults are the executor's own behaviour."""

    timeout: float | None = None
    retries: int = 0
    retry_on: Kinds = ()

    def changed(self, changes: dict[str, Any]) -> Options:
        """These options with some changed. Raises `TypeError` or `ValueError` for a bad one."""
        unknown = changes.keys() - set(self._fields)
        if unknown:
            known = ", ".join(f"`{name}`" for name in self._fields)
            raise TypeError(f"unknown option `{min(unknown)}`\nhint: there are {known}")
        made = self._replace(**changes)
        retry_on = made.retry_on
        if isinstance(retry_on, type):
            made = made._replace(retry_on=(retry_on,))
        made._check()
        return made

    def _check(self) -> None:
        timeout, retries, retry_on = self
        if timeout is not None:
            if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
                raise TypeError(f"`timeout` must be a number of seconds or None, not `{timeout!r}`")
            if math.isnan(timeout) or timeout <= 0:
                raise ValueError(f"`timeout` must be greater than 0, not `{timeout}`")
        if isinstance(retries, bool) or not isinstance(retries, int):
            raise TypeError(f"`retries` must be an integer, not `{retries!r}`")
        if not 0 <= retries < 2**31:
            raise ValueError(f"`retries` must be 0 or more, not `{retries}`")
        for kind in retry_on:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise TypeError(f"`retry_on` must hold exception classes, not `{kind!r}`")

    def terms(self) -> Terms | None:
        """What the engine is told; None when there is nothing to tell."""
        timeout, retries, retry_on = self
        if timeout is None and not retries:
            return None
        again = any(issubclass(TimeoutError, kind) for kind in retry_on)
        limit = None if timeout is None or math.isinf(timeout) else float(timeout)
        return Terms(limit, retries, again)

    def applied_to(self, fn: Callable[P, T]) -> Callable[P, T]:
        """`fn`, or what calls it again after the exceptions to retry on."""
        if self.retries and self.retry_on:
            return Retrying(fn, self.retries, self.retry_on)
        return fn


class Optioned(Protocol):
    """An executor that takes options with each call."""

    def _submit(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Options | None,
    ) -> Future[T]: ...

    def _map(
        self,
        fn: Callable[..., T],
        iterables: tuple[Iterable[Any], ...],
        *,
        timeout: float | None,
        chunksize: int | None,
        buffersize: int | None,
        return_exceptions: bool,
        ordered: bool,
        options: Options | None,
    ) -> Iterator[T]: ...


class View:
    """An executor with options; its `submit` and `map` are the executor's otherwise."""

    def __init__(self, executor: Optioned, options: Options) -> None:
        self._executor = executor
        self._options = options

    def __repr__(self) -> str:
        return f"<{self._executor!r} with {self._options}>"

    def options(self, **changes: Any) -> View:
        """A view with these options changed: `timeout`, `retries`, `retry_on`."""
        return View(self._executor, self._options.changed(changes))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As the executor's `submit`, with these options."""
        return self._executor._submit(fn, args, kwargs, self._options)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        return_exceptions: bool = False,
        ordered: bool = True,
    ) -> Iterator[T]:
        """As the executor's `map`, with these options applied to each item; `timeout` here is the
        whole map's, as the executor's is.
        """
        return self._executor._map(
            fn,
            iterables,
            timeout=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
            return_exceptions=return_exceptions,
            ordered=ordered,
            options=self._options,
        )


def options(executor: concurrent.futures.Executor, **changes: Any) -> View | PlainView:
    """A view of any executor whose `submit` and `map` run calls with these options.

    Args:
        executor: ours, or another; `timeout` needs one whose workers are processes of ours.
        changes: `timeout`, `retries`, `retry_on`, as `ProcessPoolExecutor.options` takes them.

    Raises:
        NotImplementedError: for a `timeout` on threads, or on an executor of others: it could not
            be kept.
        TypeError: for an unknown option or one of the wrong type.
        ValueError: for a `timeout` that is not above 0, or `retries` below 0.
    """
    own = getattr(executor, "options", None)
    if own is not None:
        view: View = own(**changes)
        return view
    return PlainView(executor, Options().changed(changes))


class PlainView:
    """An executor of others with options: calls are made again, and run as long as they want."""

    def __init__(self, executor: concurrent.futures.Executor, options: Options) -> None:
        if options.timeout is not None:
            kind = type(executor).__name__
            if isinstance(executor, concurrent.futures.ThreadPoolExecutor):
                why = "a thread can't be stopped from outside"
            else:
                why = "nothing says how to stop its calls"
            raise NotImplementedError(
                f"`timeout` could not be kept on a `{kind}`: {why}\n"
                "hint: use `allcores.ProcessPoolExecutor`, or `future.result(timeout=...)`, which "
                "stops waiting but not the call"
            )
        self._executor = executor
        self._options = options

    def __repr__(self) -> str:
        return f"<{self._executor!r} with {self._options}>"

    def options(self, **changes: Any) -> PlainView:
        """A view with these options changed: `retries`, `retry_on`."""
        return PlainView(self._executor, self._options.changed(changes))

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> concurrent.futures.Future[T]:
        """As the executor's `submit`, with these options."""
        return self._executor.submit(self._options.applied_to(fn), *args, **kwargs)

    def map(self, fn: Callable[..., T], *iterables: Iterable[Any], **more: Any) -> Iterator[T]:
        """As the executor's `map`, which gets `more`, with these options for each item."""
        return self._executor.map(self._options.applied_to(fn), *iterables, **more)
