"""Calls in interpreters that share nothing with this one: bytes go there, bytes come back.

What sub-interpreters and clusters have in common. Functions, arguments and results are pickled, by
cloudpickle where pickle can't, so lambdas and closures work as on processes; `away` is what runs
there. Whose pool it is that runs it, a rung's own module says: anything with the standard
library's `submit`.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future as StandardFuture
from weakref import WeakSet

from ...errors import RemoteError, blank, remote_traceback, restore_state
from ...pool import codec
from ...pool.blocks import Blocks, deadline_after
from ...pool.future import Future
from ...pool.shares import unshared
from ..chunks import Feed
from ..options import PLAIN
from . import away
from .base import RungExecutor, refuse_timeout, shut
from .threads import Counts

TYPE_CHECKING = False
if TYPE_CHECKING:
    import concurrent.futures
    from typing import Any, TypeVar

    from ..chunks import Chunk
    from ..options import CallOptions, OpenOptions

    T = TypeVar("T")
    Answer = tuple[list[bytes], dict[int, away.Failure], int]


class ElsewhereExecutor(RungExecutor):
    """Runs calls by somebody's `submit(away.run, ...)`."""

    aim_ns = 4_000_000
    """What the work of a chunk should take: much more than handing it over."""
    why_no_timeout = "what runs there can't be stopped from here"

    def __init__(
        self, name: str, pool: concurrent.futures.Executor, max_workers: int, options: OpenOptions
    ) -> None:
        if options.context_vars:
            raise NotImplementedError(
                f"`context_vars` could not be kept on backend `{name}`: its variables are "
                "others\nhint: pass the values as arguments, or use `backend='processes'`"
            )
        self.name = name
        self.max_workers = max_workers
        self._counts = Counts()
        self._feeds: WeakSet[Feed] = WeakSet()
        self._is_shut = False
        self._pool = pool

    def submit_call(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions | None,
    ) -> StandardFuture[T]:
        self._begin(options)
        future: Future[T] = Future()
        name, text = codec.name_of(fn), codec.argument_text(args)
        try:
            function = away.dumps(fn if options is None else options.applied_to(fn))
            item = _item(args, kwargs)
        except Exception as error:
            codec.note_call(error, name, None, text)
            future.set_exception(error)
            return future
        running = self._pool.submit(away.run, self.before_sending(function), [item])
        self._counts.add("submitted")
        future.add_done_callback(self._counts.on_future)
        waiting = _Waiting(self, future, running, name, text)
        future.add_done_callback(waiting.on_cancel)
        running.add_done_callback(waiting.on_answer)
        return future

    def map(  # type: ignore[override]
        self, fn: Callable[..., T], *iterables: Iterable[Any], options: CallOptions = PLAIN
    ) -> Iterator[T]:
        self._begin(options)
        if not iterables:
            return iter(())
        feed = Feed(self, fn, iterables, options, self.max_workers)
        self._feeds.add(feed)
        feed.begin()
        deadline = deadline_after(options.within)
        return Blocks(feed, deadline=deadline, return_exceptions=options.return_exceptions)

    def launch(self, feed: Feed, chunk: Chunk) -> StandardFuture[Any]:
        """Has a chunk run, but for items that can't be pickled, which have failed."""
        items: list[bytes] = []
        unsent: dict[int, BaseException] = {}
        function = b""
        for position, item in enumerate(chunk.items):
            try:
                function = function or away.dumps(feed.function)
                items.append(_item((item,) if feed.is_single else item, {}))
            except Exception as error:
                feed.note(error, chunk.first + position, item)
                unsent[position] = error
        sent = self.before_sending(function)
        running: StandardFuture[Answer] = self._pool.submit(away.run, sent, items)
        self._counts.add("submitted")
        running.add_done_callback(self._counts.on_future)
        begun_ns = time.monotonic_ns()

        def on_answer(_: object) -> None:
            lost = None if running.cancelled() else self.lost(running.exception())
            if lost is not None:
                _on_lost(feed, chunk, lost, begun_ns)
            else:
                _on_chunk(feed, chunk, running, unsent)

        running.add_done_callback(on_answer)
        return running

    def before_sending(self, function: bytes) -> Any:
        """What is passed instead of a pickled function."""
        return function

    def lost(self, error: BaseException | None) -> BaseException | None:
        """What a call, or each of a chunk's, raises if it was lost with its worker, and others are
        not; None if that is not what `error` means.
        """
        return None

    def check(self, options: CallOptions) -> None:
        if options.timeout is not None:
            refuse_timeout(self.name, self.why_no_timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._is_shut = True
        if not cancel_futures:
            for feed in list(self._feeds):
                feed.submit_rest()
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def stats(self) -> dict[str, int]:
        return self._counts.now()

    def _begin(self, options: CallOptions | None) -> None:
        if self._is_shut:
            raise shut()
        if options is not None:
            self.check(options)


def _item(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    given = {name: unshared(value) for name, value in kwargs.items()}
    return away.dumps((tuple(map(unshared, args)), given))


def _on_chunk(
    feed: Feed,
    chunk: Chunk,
    running: StandardFuture[Answer],
    unsent: dict[int, BaseException],
) -> None:
    if running.cancelled() or running.exception() is not None:
        return  # the feed hears of it
    ended_ns = time.monotonic_ns()
    answer, failures, took_ns = running.result()
    arrived = iter(enumerate(answer))
    chunk.values, chunk.errors = [None] * len(chunk.items), dict(unsent)
    for position, item in enumerate(chunk.items):
        if position in unsent:
            continue
        at, data = next(arrived)
        try:
            if at in failures:
                raise failed(failures[at])
            chunk.values[position] = pickle.loads(data)
        except BaseException as error:
            feed.note(error, chunk.first + position, item)
            chunk.errors[position] = error
    # Not since it was handed over: it may have waited behind others.
    feed.on_end(chunk, ended_ns - took_ns, ended_ns)
    feed.on_idle()


def _on_lost(feed: Feed, chunk: Chunk, error: BaseException, begun_ns: int) -> None:
    last = chunk.first + len(chunk.items) - 1
    where = f"item {chunk.first}" if last == chunk.first else f"items {chunk.first} to {last}"
    error.add_note(f"in `{feed.name}`, {where}")
    chunk.fail(error)
    feed.on_end(chunk, begun_ns, time.monotonic_ns())
    feed.on_idle()


def failed(failure: away.Failure) -> BaseException:
    """The exception that was raised there, its cause the traceback as text."""
    data, parts, name, text, trace = failure
    error: BaseException = RemoteError(name, text, trace)
    if data is not None:
        error = pickle.loads(data)
    elif parts is not None:
        kind, args, state = pickle.loads(parts)
        error = blank(kind, kind, args)
        error.args = args
        restore_state(error, state)
    error.__cause__ = remote_traceback(trace)
    return error


class _Waiting:
    """A future of ours, and what runs its call."""

    __slots__ = ("_executor", "_future", "_name", "_running", "_text")

    def __init__(
        self,
        executor: ElsewhereExecutor,
        future: Future[Any],
        running: StandardFuture[Answer],
        name: str,
        text: str,
    ) -> None:
        self._executor = executor
        self._future = future
        self._running = running
        self._name = name
        self._text = text

    def on_cancel(self, future: StandardFuture[Any]) -> None:
        if future.cancelled():
            self._running.cancel()

    def on_answer(self, running: StandardFuture[Answer]) -> None:
        future = self._future
        if running.cancelled():
            future.cancel()
        if not future.set_running_or_notify_cancel():
            return
        try:
            values, failures, _ = running.result()
            if failures:
                raise failed(failures[0])
            future.set_result(pickle.loads(values[0]))
        except BaseException as error:
            shown = self._executor.lost(error) or error
            codec.note_call(shown, self._name, None, self._text)
            future.set_exception(shown)
