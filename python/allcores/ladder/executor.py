"""`Executor`: the standard interface over every rung."""

from __future__ import annotations

import concurrent.futures
import os
from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar

from ..pool.lead import length_of
from . import backends
from .attended import attended
from .options import PLAIN, OpenOptions
from .progress import meter_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Any, ParamSpec, Self, TypeVar

    from .options import CallOptions
    from .progress import Progress
    from .trace import Trace

    P = ParamSpec("P")
    T = TypeVar("T")


class Executor(concurrent.futures.Executor, metaclass=ABCMeta):
    """Runs calls on the rung that is asked for, or on the best.

    A `concurrent.futures.Executor`, with the same meaning on every rung. And every standard
    executor is an instance of this class, as it is one of the standard library's `Executor`.

    Args:
        backend: "serial", "threads", "interpreters", "processes", "native" or another that is
            registered;
            "auto": measured, then the fastest that is safe.
        max_workers: how many calls at most run at the same time; None: as many as the cores for
            this process (threads: and some more, for calls that wait).
        initializer: called once in each worker before its first call (on the serial rung, once in
            the caller).
        initargs: its arguments.
        context_vars: context variables that shall be seen on processes too.
        forward_logs: log records of worker processes are handled here, by the loggers of their
            names, as those of threads are.
        trace: a file that shall say what ran when; written by `shutdown`, for Perfetto to open.
        compiler: who compiles for "native": "cranelift", which is part of allcores and exact, or
            "numba" or "cython", which are extras to install.

    Raises:
        ValueError: for an unknown backend or compiler, or a number below 1.
        NotImplementedError: for a backend that can't be used here.
        OSError: for a `trace` that could not be written.
    """

    def __init__(
        self,
        backend: str = "auto",
        max_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        context_vars: Sequence[ContextVar[Any]] = (),
        forward_logs: bool = True,
        trace: str | os.PathLike[str] | None = None,
        compiler: str = "cranelift",
    ) -> None:
        opening = OpenOptions(
            max_workers=max_workers,
            initializer=initializer,
            initargs=initargs,
            context_vars=context_vars,
            forward_logs=forward_logs,
            compiler=compiler,
        )
        opening.check_compiler(backend)
        self._trace: Trace | None = None
        if trace is not None:
            from . import trace as tracing

            self._trace = tracing.Trace(trace)
        self._backend = backend
        self._rung = backends.usable(backend).open(opening)
        self._max_workers = self._rung.max_workers

    @classmethod
    def __subclasshook__(cls, other: type) -> bool:
        if cls is Executor and issubclass(other, concurrent.futures.Executor):
            return True
        return NotImplemented  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._backend!r}, max_workers={self._max_workers}>"

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Has `fn(*args, **kwargs)` run; returns the future of its result.

        On the serial rung the call is made at once, and the future has ended.

        Raises:
            RuntimeError: after `shutdown`.
        """
        if self._trace is not None:
            return self._trace.submit(self._rung, fn, args, kwargs, None)
        return self._rung.submit_call(fn, args, kwargs, None)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        return_exceptions: bool = False,
        ordered: bool = True,
        progress: Progress = False,
    ) -> Iterator[T]:
        """The results of `fn` over the items of `iterables`.

        What a call raises is raised in its turn; `next` then goes on with the next item. Who lets
        go of the iterator gives up what has not started.

        Args:
            fn: called with one item of each iterable.
            iterables: as for the built-in `map`; the shortest ends it.
            timeout: seconds from now after which `next` raises `TimeoutError`. (For the seconds
                that each call may run, `options`.)
            chunksize: items a task; None: chosen by measured durations.
            buffersize: at most so many tasks whose results were not yet taken.
            return_exceptions: give what a call raised as its result, instead of raising it.
            ordered: False gives results as they come.
            progress: True, a callable or a stream, as for `allcores.map`.

        Raises:
            ValueError: for `chunksize` or `buffersize` below 1.
            RuntimeError: after `shutdown`.
        """
        options = PLAIN.changed(
            within=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
            return_exceptions=return_exceptions,
            ordered=ordered,
        )
        return self._map(fn, iterables, options, progress)

    def _map(
        self,
        fn: Callable[..., T],
        iterables: tuple[Iterable[Any], ...],
        options: CallOptions,
        progress: Progress,
    ) -> Iterator[T]:
        if progress:
            total = length_of(iterables) if iterables else 0
            options = options.changed(meter=meter_for(progress, total))
        trace = self._trace
        if trace is None:
            return attended(self._rung.map(fn, *iterables, options=options), options.meter, None)
        from .timed import Timed

        results = self._rung.map(Timed(fn), *iterables, options=options)
        results = attended(results, options.meter, None)
        ordered = options.ordered
        return trace.follow(results, fn, self._rung, is_ordered=ordered, is_whole=False)

    def options(self, **changes: Any) -> View:
        """A view of this executor whose `submit` and `map` run calls with these options.

        Args:
            timeout: seconds one call may run; then it is stopped, and fails with `TaskTimeout`.
                On processes and compiled functions only.
            retries: how often a call is made again that raised what `retry_on` names, or whose
                worker died.
            retry_on: exception classes; by default any `Exception`.

        Raises:
            NotImplementedError: for an option that this backend can't keep.
            TypeError: for an unknown option or one of the wrong type.
            ValueError: for a `timeout` that is not above 0, or `retries` below 0.
        """
        return View(self, _changed(PLAIN, changes))

    def stats(self) -> dict[str, int]:
        """What has happened so far: calls and chunks that were `submitted`, are `queued`, `done`,
        `failed`, `cancelled`; on processes more (`ProcessPoolExecutor.stats`). On "auto" the calls
        that start workers ahead count, too: one for each.
        """
        return self._rung.stats()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls; those submitted are made, or cancelled if not started.

        Args:
            wait: return when all calls have ended; else at once.
            cancel_futures: cancel what has not started.
        """
        self._rung.shutdown(wait=wait, cancel_futures=cancel_futures)
        self._write_trace()

    def _write_trace(self) -> None:
        if self._trace is not None:
            self._trace.count(self._rung.stats())
            self._trace.write()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_type is not None and issubclass(exc_type, KeyboardInterrupt):
            self._rung.abandon()
            self._write_trace()
        else:
            self.shutdown(wait=True)

    def __reduce__(self) -> tuple[Any, ...]:
        # A task that gets it makes its calls itself, at once.
        return type(self), ("serial",)


def _changed(options: CallOptions, changes: dict[str, Any]) -> CallOptions:
    known = ("timeout", "retries", "retry_on")
    unknown = changes.keys() - set(known)
    if unknown:
        words = ", ".join(f"`{name}`" for name in known)
        raise TypeError(f"unknown option `{min(unknown)}`\nhint: there are {words}")
    return options.changed(**changes)


class View:
    """An executor with options; its `submit` and `map` are the executor's otherwise."""

    def __init__(self, executor: Executor, options: CallOptions) -> None:
        executor._rung.check(options)
        self._executor = executor
        self._options = options

    def __repr__(self) -> str:
        return f"<{self._executor!r} with {self._options}>"

    def options(self, **changes: Any) -> View:
        """A view with these options changed: `timeout`, `retries`, `retry_on`."""
        return View(self._executor, _changed(self._options, changes))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As the executor's `submit`, with these options."""
        rung, trace = self._executor._rung, self._executor._trace
        if trace is not None:
            return trace.submit(rung, fn, args, kwargs, self._options)
        return rung.submit_call(fn, args, kwargs, self._options)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        return_exceptions: bool = False,
        ordered: bool = True,
        progress: Progress = False,
    ) -> Iterator[T]:
        """As the executor's `map`, with these options applied to each item; `timeout` here is the
        whole map's, as the executor's is.
        """
        options = self._options.changed(
            within=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
            return_exceptions=return_exceptions,
            ordered=ordered,
        )
        return self._executor._map(fn, iterables, options, progress)
