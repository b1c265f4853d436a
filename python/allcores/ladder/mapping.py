"""`allcores.map`: a function over items, on the rung that is asked for, or the best.

The executor behind a map lives as long as the map: it is made by the call, and shut down when the
last result was taken, or the iterator closed or dropped. What has started by then ends in its own
time, on processes after a Ctrl-C at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar

from ..pool.lead import length_of
from . import backends
from .attended import attended
from .options import ANY_EXCEPTION, CallOptions, OpenOptions
from .progress import meter_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from .options import Kinds
    from .progress import Progress

    T = TypeVar("T")


def map(
    fn: Callable[..., T],
    *iterables: Iterable[Any],
    backend: str = "auto",
    compiler: str = "cranelift",
    max_workers: int | None = None,
    ordered: bool = True,
    progress: Progress = False,
    timeout: float | None = None,
    retries: int = 0,
    retry_on: type[BaseException] | Kinds = ANY_EXCEPTION,
    chunksize: int | None = None,
    return_exceptions: bool = False,
    context_vars: Sequence[ContextVar[Any]] = (),
    trace: str | os.PathLike[str] | None = None,
) -> Iterator[T]:
    """The results of `fn` over the items of `iterables`.

    What a call raises is raised in its turn, with a note that names function, index and argument;
    `next` then goes on with the next item. Whoever lets go of the iterator, as a `for` loop does by
    an exception or a `break`, gives up what has not started.

    Of iterables without a length (generators) items are taken as results are, by no more ahead than
    a window of `2 * max_workers + 2` items and one more with every four results taken; so an
    endless one can be left after ten. They are taken in the thread that takes the results.

    Args:
        fn: called with one item of each iterable.
        iterables: as for the built-in `map`; the shortest ends it.
        backend: "serial", "threads", "interpreters", "processes", "native" or another that is
            registered;
            "auto": measured on the first items, then the fastest that is safe.
        compiler: who compiles for "native": "cranelift", which is part of allcores and exact, or
            "numba" or "cython", which are extras to install.
        max_workers: how many calls at most run at the same time; None: as many as the cores for
            this process (threads: and some more, for calls that wait).
        ordered: False gives results as they come.
        progress: True shows a bar that counts finished items; also a callable, called with the
            items done and their number or None in the thread that takes the results, or a stream
            for lines.
        timeout: seconds each call may run, counted from its start; then it is stopped, with its
            process, and fails with `TaskTimeout`. (The `timeout` of an executor's `map`, as in the
            standard library, counts from the call of `map` until a result is there.) Only
            processes can be stopped.
        retries: how often a call is made again that raised what `retry_on` names, or whose worker
            died. Processes get their arguments anew each time; elsewhere they are the same objects.
        retry_on: exception classes; by default any `Exception`.
        chunksize: items a task; None: chosen by measured durations.
        return_exceptions: give what a call raised as its result, instead of raising it.
        context_vars: context variables that shall be seen on processes too.
        trace: a file that shall say what ran when; written at the end, for Perfetto to open.

    Raises:
        ValueError: for an unknown backend or compiler, or a number out of range.
        NotImplementedError: for a backend that can't be used here, or can't keep an option.
        OSError: for a `trace` that could not be written.
    """
    if not callable(fn):
        raise TypeError(f"`{type(fn).__name__}` object is not callable")
    total = length_of(iterables) if iterables else 0
    options = CallOptions(
        timeout=timeout,
        retries=retries,
        retry_on=retry_on,
        chunksize=chunksize,
        ordered=ordered,
        return_exceptions=return_exceptions,
        meter=meter_for(progress, total),
    )
    traced = None
    if trace is not None:
        from .timed import Timed
        from .trace import Trace

        traced = Trace(trace)
    opening = OpenOptions(max_workers=max_workers, context_vars=context_vars, compiler=compiler)
    opening.check_compiler(backend)
    rung = backends.usable(backend).open(opening)
    try:
        called: Callable[..., Any] = fn if traced is None else Timed(fn)
        results = rung.map(called, *iterables, options=options)
    except KeyboardInterrupt:
        rung.abandon()
        raise
    except BaseException:
        rung.shutdown(cancel_futures=True)
        raise
    results = attended(results, options.meter, rung)
    if traced is None:
        return results
    return traced.follow(results, fn, rung, is_ordered=ordered, is_whole=True)
