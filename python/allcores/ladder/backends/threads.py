"""The rung of threads: the standard library's `ThreadPoolExecutor`, with the meaning of all rungs.

It gains where calls wait (sockets, files, `sleep`) or let go of the interpreter's lock (hashes,
compression, numpy), and with interpreters that have none. Arguments are handed over as they are.
A running call can't be stopped, so there is no `timeout`.

Who makes calls on the executor whose thread it is in makes them at once: waiting for another thread
of the same crew could be for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future as StandardFuture
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from weakref import WeakSet

from ...pool import codec
from ...pool.blocks import Blocks, deadline_after
from ...pool.future import Future
from ...pool.shares import unshared
from .. import here
from ..chunks import Feed
from ..options import PLAIN, OpenOptions
from .base import Refusal, RungExecutor, refuse_timeout, shut
from .serial import SerialExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from ..chunks import Chunk
    from ..options import CallOptions

    T = TypeVar("T")

MOST_THREADS = 32


class Counts:
    """What has happened to calls and chunks; changed from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {"submitted": 0, "done": 0, "failed": 0, "cancelled": 0}

    def add(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1

    def on_future(self, future: StandardFuture[Any]) -> None:
        if future.cancelled():
            self.add("cancelled")
        elif future.exception() is not None:
            self.add("failed")
        else:
            self.add("done")

    def now(self) -> dict[str, int]:
        with self._lock:
            found = dict(self._counts)
        ended = found["done"] + found["failed"] + found["cancelled"]
        return {**found, "queued": found["submitted"] - ended}


class ThreadsExecutor(RungExecutor):
    """Runs calls in threads."""

    name = "threads"
    aim_ns = 4_000_000

    def __init__(self, options: OpenOptions, crew: object = None) -> None:
        """Its threads are of one `crew` with those of another executor, if that is given: who is in
        one of them makes calls on either at once.
        """
        cores = here.share()
        self.max_workers = options.max_workers or min(MOST_THREADS, cores + 4)
        self._options = options
        self._crew = object() if crew is None else crew
        self._is_shut = False
        self._counts = Counts()
        self._feeds: WeakSet[Feed] = WeakSet()
        self._inside = SerialExecutor(OpenOptions())
        self._pool = ThreadPoolExecutor(
            self.max_workers,
            thread_name_prefix="allcores",
            initializer=_settle,
            initargs=(
                self._crew,
                max(1, cores // self.max_workers),
                options.initializer,
                options.initargs,
            ),
        )

    def narrowed(self, workers: int) -> ThreadsExecutor:
        """Another executor, of the same crew, with so many threads."""
        return ThreadsExecutor(self._options.changed(max_workers=workers), self._crew)

    def submit_call(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions | None,
    ) -> StandardFuture[T]:
        self._begin(options)
        if here.is_of(self._crew):
            return self._inside.submit_call(fn, args, kwargs, options)
        call = _Call(fn, self._applied(fn, options), args, kwargs)
        running = self._pool.submit(call.run)
        self._counts.add("submitted")
        running.add_done_callback(call.on_future)
        call.future.add_done_callback(self._counts.on_future)
        return call.future

    def map(  # type: ignore[override]
        self, fn: Callable[..., T], *iterables: Iterable[Any], options: CallOptions = PLAIN
    ) -> Iterator[T]:
        self._begin(options)
        if here.is_of(self._crew):
            return self._inside.map(fn, *iterables, options=options)
        if not iterables:
            return iter(())
        feed = Feed(self, fn, iterables, options, self.max_workers)
        self._feeds.add(feed)
        feed.begin()
        deadline = deadline_after(options.within)
        return Blocks(feed, deadline=deadline, return_exceptions=options.return_exceptions)

    def launch(self, feed: Feed, chunk: Chunk) -> StandardFuture[Any]:
        """Has a chunk run."""
        future = self._pool.submit(feed.run, chunk)
        self._counts.add("submitted")
        future.add_done_callback(self._counts.on_future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._is_shut = True
        if not cancel_futures:
            for feed in list(self._feeds):
                feed.submit_rest()
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def check(self, options: CallOptions) -> None:
        if options.timeout is not None:
            refuse_timeout(self.name, "a thread can't be stopped from outside")

    def stats(self) -> dict[str, int]:
        return self._counts.now()

    def _applied(self, fn: Callable[..., T], options: CallOptions | None) -> Callable[..., T]:
        """What is called in place of `fn`."""
        return fn if options is None else options.applied_to(fn)

    def _begin(self, options: CallOptions | None) -> None:
        if self._is_shut:
            raise shut()
        if options is not None:
            self.check(options)


def _settle(
    crew: object,
    share: int,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> None:
    here.settle(crew, share)
    if initializer is not None:
        initializer(*initargs)


class _Call:
    """One call of `submit`, and its future."""

    __slots__ = ("_args", "_called", "_context", "_fn", "_kwargs", "future")

    def __init__(
        self,
        fn: Callable[..., Any],
        called: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.future: Future[Any] = Future()
        self._fn = fn
        self._called = called
        self._args = args
        self._kwargs = kwargs
        self._context: Context = copy_context()

    def run(self) -> None:
        """Makes the call, unless it was cancelled."""
        future = self.future
        if not future.set_running_or_notify_cancel():
            return
        try:
            given = {name: unshared(value) for name, value in self._kwargs.items()}
            result = self._context.run(self._called, *map(unshared, self._args), **given)
        except BaseException as error:
            text = codec.argument_text(self._args)
            codec.note_call(error, codec.name_of(self._fn), None, text)
            future.set_exception(error)
            del future, self  # no cycle from the exception through its traceback to this frame
        else:
            future.set_result(result)

    def on_future(self, running: StandardFuture[Any]) -> None:
        """What was to run it has ended; it may have been cancelled, or failed to start."""
        if running.cancelled():
            if self.future.cancel():
                self.future.set_running_or_notify_cancel()
        elif running.exception() is not None and self.future.set_running_or_notify_cancel():
            self.future.set_exception(running.exception())


class Threads:
    """The backend."""

    name = "threads"

    def refusal(self, fn: Callable[..., object] | None = None) -> Refusal | None:
        return None

    def open(self, options: OpenOptions) -> ThreadsExecutor:
        return ThreadsExecutor(options)


BACKEND = Threads()
