"""`map`: items into chunks, chunks into results, in order.

```
   items ──take──► chunk ──submit──► slot ─ ─ ─► values, one by one
          feed (consumer's thread, or the feeder's)      results (consumer's thread)
```

A *feed* keeps a window of unfinished chunks with the pool. The consumer tops it up whenever
it takes a chunk's results, so in a loop over the results no other thread of Python runs. If
nobody consumes, a feeder thread goes on: `map` runs its calls whether its results are looked
at or not, as the standard one does.

How far it runs ahead:

* `buffersize=n`: at most n chunks are submitted and not yet taken; no feeder.
* all iterables have a length: to the end, a window at a time.
* otherwise (generators, `itertools.count`): a window, until results are taken; what is left
  at `shutdown` is submitted then, unless somebody had begun to take results.

A chunk whose arguments can't be unpickled in the worker has run nothing: its items are sent
again one by one, so that only the culprit fails.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import islice
from typing import TYPE_CHECKING, Any

from .._core import CANCELLED
from . import codec, context, tags

if TYPE_CHECKING:
    from .._core import Slot
    from .runtime import Runtime


class _Chunk:
    """Some items on their way: with the pool (`slot`), or failed before (`error`)."""

    __slots__ = ("error", "first", "items", "slot")

    def __init__(
        self, first: int, items: list[Any], slot: Slot | None, error: BaseException | None = None
    ) -> None:
        self.first = first
        self.items = items
        self.slot = slot
        self.error = error


def start_map(
    runtime: Runtime,
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    *,
    timeout: float | None,
    chunksize: int | None,
    buffersize: int | None,
    max_workers: int,
) -> Iterator[Any]:
    """The iterator over the results; the first window of chunks is submitted by now."""
    deadline = None if timeout is None else time.monotonic() + timeout
    if not iterables:
        return iter(())
    feed = _Feed(runtime, fn, iterables, chunksize, buffersize, max_workers)
    feed.begin()
    return _results(feed, deadline)


def _results(feed: _Feed, deadline: float | None) -> Iterator[Any]:
    try:
        feed.attended = True
        while True:
            chunk = feed.next_chunk(deadline)
            if chunk is None:
                return
            values, errors = feed.values_of(chunk)
            del chunk
            # Handed over from the end, so that no reference to a result stays behind.
            count = len(values)
            values.reverse()
            if not errors:
                while values:
                    yield values.pop()
            else:
                for position in range(count):
                    if position in errors:
                        raise feed.error_at(errors, position)
                    yield values.pop()
    finally:
        feed.give_up()
        del feed


class _Feed:
    """The items of one map, and the chunks of it that are with the pool."""

    def __init__(
        self,
        runtime: Runtime,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        chunksize: int | None,
        buffersize: int | None,
        max_workers: int,
    ) -> None:
        self.runtime = runtime
        self.attended = False
        self._star = len(iterables) > 1
        self._items = zip(*iterables, strict=False) if self._star else iter(iterables[0])
        self._left = _shortest(iterables)
        self._eager = self._left is not None and buffersize is None
        self._size = 1 if chunksize is None and buffersize is not None else chunksize
        self._window = buffersize or 2 * max_workers + 2
        self._strict = buffersize is not None
        self._taken = 0
        self._chunks: deque[_Chunk] = deque()
        self._lock = threading.RLock()
        self._over = False
        self._given_up = False
        self._error: BaseException | None = None
        self._own_function = False
        self._function: int | None = None
        self._failure: BaseException | None = None
        self._name = codec.name_of(fn)
        self._values = b""
        self._register(fn)

    def _register(self, fn: Callable[..., Any]) -> None:
        runtime = self.runtime
        try:
            self._values = runtime.context_values()
            self._function = runtime.function_id(fn)
            if self._function is None:
                # Pickled once for the whole map, and forgotten with it.
                self._function = runtime.pool.register(runtime.launcher.encoder.dumps(fn))
                self._own_function = True
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            codec.note_call(error, self._name, None, None)
            self._failure = error

    # -- taking and submitting ----------------------------------------------------------

    def begin(self) -> None:
        """Submits the first window and sees to it that the rest follows."""
        with self._lock:
            self._top_up()
            if self._over:
                return
            self.runtime.feeds.add(self)
        if self._eager:
            feeder = threading.Thread(target=self._feed_unattended, name="allcores-feed")
            feeder.daemon = True
            self.runtime.feeder_threads.add(feeder)
            feeder.start()

    def submit_rest(self) -> None:
        """Takes and submits what is left, unless somebody takes results from a generator."""
        with self._lock:
            if not self._over and (self._eager or not self.attended) and not self._strict:
                while self._submit_next():
                    pass
            self._end()

    def give_up(self) -> None:
        """Takes no more items, and cancels the chunks that have not started."""
        if self.runtime.is_forked_copy:
            return  # its lock may be held by a thread that is not here
        with self._lock:
            self._given_up = True
            self._end()
            for chunk in self._chunks:
                if chunk.slot is not None:
                    chunk.slot.cancel()

    def _end(self) -> None:
        self._over = True
        self.runtime.feeds.discard(self)
        if self._own_function and self._function is not None:
            self._own_function = False
            self.runtime.pool.forget(self._function)

    def _top_up(self) -> None:
        while not self._over and self._has_room():
            if not self._submit_next():
                self._end()

    def _has_room(self) -> bool:
        chunks, window = self._chunks, self._window
        if len(chunks) < window:
            return True
        if not self._eager:
            return False
        unfinished = 0
        for chunk in islice(reversed(chunks), window):
            if chunk.slot is not None and not chunk.slot.done():
                unfinished += 1
        return unfinished < window

    def _submit_next(self) -> bool:
        """Takes a chunk of items and submits it; False when there are none."""
        size = self._size
        if size is None:
            left = None if self._left is None else max(self._left - self._taken, 1)
            size = self.runtime.pool.batch_size(self._function, left)
        items: list[Any] = []
        try:
            # Item by item into a list: an iterable that raises keeps what it gave.
            items.extend(islice(self._items, size))
        except BaseException as error:
            self._error = error
        if items:
            first = self._taken
            self._taken += len(items)
            self._chunks.extend(self._submit(first, items))
        return self._error is None and len(items) == size

    def _submit(self, first: int, items: list[Any]) -> list[_Chunk]:
        if self._failure is not None:
            return [_Chunk(first, items, None, self._failure)]
        tag = tags.STARMAP if self._star else tags.MAP
        try:
            payload = self.runtime.launcher.encoder.dumps((first, items))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if len(items) == 1:
                codec.note_call(error, self._name, first, codec.argument_text(items[0]))
                return [_Chunk(first, items, None, error)]
            return self._submit_singly(first, items)
        tag, payload = context.lay_before(self._values, tag, payload)
        try:
            slot = self.runtime.submit(self._function, tag, len(items), payload)
        except RuntimeError as error:
            return [_Chunk(first, items, None, self._refusal(error))]
        return [_Chunk(first, items, slot)]

    def _submit_singly(self, first: int, items: list[Any]) -> list[_Chunk]:
        return [
            chunk
            for position, item in enumerate(items)
            for chunk in self._submit(first + position, [item])
        ]

    def _refusal(self, error: RuntimeError) -> BaseException:
        why = self.runtime.pool.broken()
        return error if why is None else self.runtime.broken_error()

    # -- the feeder thread --------------------------------------------------------------

    def _feed_unattended(self) -> None:
        try:
            while True:
                with self._lock:
                    if self._over:
                        return
                    newest = self._chunks[-1] if self._chunks else None
                if newest is not None and newest.slot is not None:
                    # While somebody consumes, a newer chunk is there when this one is done.
                    newest.slot.wait()
                with self._lock:
                    if not self._over and (not self._chunks or self._chunks[-1] is newest):
                        self._top_up()
        finally:
            self.runtime.feeder_threads.discard(threading.current_thread())

    # -- results ------------------------------------------------------------------------

    def next_chunk(self, deadline: float | None) -> _Chunk | None:
        """The oldest chunk, done; None at the end. Raises `TimeoutError`."""
        if self.runtime.is_forked_copy:
            self.runtime.pool.check_open()  # which refuses; our lock may be held for ever
        with self._lock:
            self._top_up()
            if not self._chunks:
                if self._error is not None:
                    raise self._error
                if self._given_up:
                    return None
                if not self._is_exhausted():
                    self.runtime.pool.check_open()
                return None
            chunk = self._chunks[0]
        if chunk.slot is not None:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            if not chunk.slot.wait(left):
                raise TimeoutError
        with self._lock:
            self._chunks.popleft()
            self._top_up()
        return chunk

    def _is_exhausted(self) -> bool:
        try:
            item = next(self._items)
        except StopIteration:
            return True
        del item
        return False

    def values_of(self, chunk: _Chunk) -> tuple[list[Any], dict[int, Any]]:
        """The chunk's values and, by position, what stands for its errors."""
        if chunk.slot is None:
            return [None], {0: chunk.error}
        raw = chunk.slot.take()
        if raw is None:
            raise RuntimeError("a chunk's results were taken twice")
        tag, payload = raw
        if tag == tags.RESULTS:
            values, errors = codec.loads(payload)
            return values, errors
        if tag == tags.APART:
            return self._values_apart(payload, chunk.first)
        if tag == tags.UNDECODED and len(chunk.items) > 1:
            with self._lock:
                self._chunks.extendleft(reversed(self._submit_singly(chunk.first, chunk.items)))
            return [], {}
        if tag == CANCELLED:
            from concurrent.futures import CancelledError

            return [None], {0: CancelledError()}
        return [None], {0: self.runtime.error_of(raw, call=self._name, index=chunk.first)}

    def _values_apart(self, payload: bytes, first: int) -> tuple[list[Any], dict[int, Any]]:
        pickled, errors = codec.loads(payload)
        values: list[Any] = []
        for position, data in enumerate(pickled):
            value = None
            if position not in errors:
                try:
                    value = codec.load_result(data, function=self._name, index=first + position)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:
                    errors[position] = error
            values.append(value)
        return values, errors

    def error_at(self, errors: dict[int, Any], position: int) -> BaseException:
        """The exception that stands at `position` of a chunk."""
        error = errors[position]
        return error if isinstance(error, BaseException) else codec.load_exception(error)


def _shortest(iterables: tuple[Iterable[Any], ...]) -> int | None:
    """How many items there are, if that can be known."""
    lengths = []
    for iterable in iterables:
        if not isinstance(iterable, Sized):
            return None
        lengths.append(len(iterable))
    return min(lengths)
