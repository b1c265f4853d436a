"""The items of one map on their way into the pool: taken, cut into chunks, submitted ahead.

```
   items ──take──► chunk ──submit──► slot ─ ─ ─► next_block ──► values and errors
          consumer's thread, or the feeder's        consumer's thread
```

A feed keeps a window of chunks with the pool; how far that reaches is said in `lead`. The
consumer tops it up whenever it takes a chunk's results, so in a loop over the results no other
thread of Python runs. If all iterables have a length `map` runs its calls whether its results
are looked at or not, as the standard one does: a feeder thread goes on when few chunks are under
way, because nobody consumes, or because the consumer waits for a long one.

What is left of a generator at `shutdown` is submitted then, unless somebody had begun to take
results.

| state    | entered                           | left                                         |
| -------- | --------------------------------- | -------------------------------------------- |
| flowing  | by `begin`, by the next result    | at the last item, by `pause`, by `give_up`   |
| paused   | by an error given to the consumer | by asking for the next result, by `give_up`  |
| over     | at the last item, by `give_up`    | never; chunks already submitted still end    |

What has not started is withdrawn from the pool while a feed is paused, so an error that
nobody continues after costs no further work.

A chunk whose arguments can't be unpickled in the worker has run nothing: its items are sent
again one by one, so that only the culprit fails.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from math import fsum

from .._core import CANCELLED, FAILED, PARTS, Tally, is_plain, scalars_in
from . import codec, tags
from .arrivals import Arrivals
from .lead import Lead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from .._core import Pool, Slot
    from .blocks import Block, Scalars
    from .options import Terms
    from .runtime import Runtime

    Raw = tuple[int, Any]

    class Meter(Protocol):
        """Wants to know how many items are finished while somebody waits for results."""

        interval_s: float
        done: int

        def is_due(self) -> bool:
            """Whether it is time to show it."""

        def show(self, done: int) -> None: ...


class Part:
    """Says that the items are the rest of a map.

    Attributes:
        first: the index of the first.
        star: an item holds the arguments of a call.
        otherwise: gives the values and errors of an item that can't be pickled, with its index; in
            the consumer's thread.
    """

    __slots__ = ("first", "otherwise", "star")

    def __init__(
        self,
        first: int,
        *,
        star: bool,
        otherwise: Callable[[int, Any], tuple[list[Any], dict[int, Any]]] | None = None,
    ) -> None:
        self.first = first
        self.star = star
        self.otherwise = otherwise


class Chunk:
    """Some items on their way: with the pool (`slot`), failed before (`error`), or withdrawn
    (neither).
    """

    __slots__ = ("error", "first", "is_unsent", "items", "slot")

    def __init__(
        self, first: int, items: list[Any], slot: Slot | None, error: BaseException | None = None
    ) -> None:
        self.first = first
        self.items = items
        self.slot = slot
        self.error = error
        self.is_unsent = False

    def withdraw(self, pool: Pool) -> int:
        """Keeps it from starting; how many items that concerns."""
        if self.slot is None or not self.slot.slot_cancel(pool):
            return 0
        self.slot = None
        return len(self.items)

    @property
    def is_withdrawn(self) -> bool:
        return self.slot is None and self.error is None


class Feed:
    """The items of one map, and the chunks of it that are with the pool."""

    def __init__(
        self,
        runtime: Runtime,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        *,
        chunksize: int | None,
        buffersize: int | None,
        max_workers: int,
        terms: Terms | None = None,
        ordered: bool = True,
        meter: Meter | None = None,
        part: Part | None = None,
    ) -> None:
        self.runtime = runtime
        self._meter = meter
        self._first = 0 if part is None else part.first
        self._otherwise = None if part is None else part.otherwise
        self._arrivals = None if ordered else Arrivals(runtime.watch)
        self.attended = False
        self.name = codec.name_of(fn)
        self._terms = terms
        several = len(iterables) > 1
        self._star = several or (part is not None and part.star)
        self._items = zip(*iterables, strict=False) if several else iter(iterables[0])
        self._lead = Lead(
            iterables, chunksize=chunksize, buffersize=buffersize, max_workers=max_workers
        )
        self._tally = Tally()
        self._in_hand = 0
        self._chunks: deque[Chunk] = deque()
        self._lock = threading.RLock()
        self._over = False
        self._paused = False
        self._given_up = False
        self._error: BaseException | None = None
        self._own_function = False
        self._function: int | None = None
        self._failure: BaseException | None = None
        self._values = b""
        self._register(fn)

    def _register(self, fn: Callable[..., Any]) -> None:
        runtime = self.runtime
        try:
            self._values = runtime.context_values()
            self._function = runtime.function_id(fn)
            if self._function is None:
                # Pickled once for the whole map, and forgotten with it.
                self._function = runtime.register(runtime.launcher.encoder.pack(fn))
                self._own_function = True
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            codec.note_call(error, self.name, None, None)
            self._failure = error

    # -- taking and submitting ----------------------------------------------------------

    def begin(self) -> None:
        """Submits the first window and sees to it that the rest follows."""
        with self._lock:
            self._top_up()
            if self._over:
                return
            self.runtime.feeds.add(self)
        self._start_feeder()

    def submit_rest(self) -> None:
        """Takes and submits what is left, unless somebody takes results from a generator, or has
        stopped at an error.
        """
        with self._lock:
            lead = self._lead
            attended = self.attended and not lead.is_eager
            if not (self._over or self._paused or lead.is_strict or attended):
                while self._submit_next(max(lead.next_size(self.runtime.pool, self._function), 1)):
                    pass
            self._end()

    def pause(self) -> None:
        """Withdraws what has not started, until the next result is asked for; nothing once the pool
        is shut down, for it could not be submitted again.
        """
        if not self._is_open():
            return
        with self._lock:
            self._paused = True
            for chunk in self._chunks:
                chunk.withdraw(self.runtime.pool)

    def _is_open(self) -> bool:
        """Whether the pool still takes batches."""
        try:
            self.runtime.pool.check_open()
        except RuntimeError:
            return False
        return True

    def give_up(self) -> int:
        """Takes no more items, and withdraws what has not started; how many items that leaves
        undone, as far as they were taken.
        """
        if self.runtime.is_forked_copy:
            return 0  # its lock may be held by a thread that is not here
        with self._lock:
            if self._meter is not None:
                self._meter.done = self._finished()
            undone = int(fsum(len(each.items) for each in self._chunks if each.is_withdrawn))
            self._given_up = True
            self._end()
            return undone + int(fsum(each.withdraw(self.runtime.pool) for each in self._chunks))

    def _resume(self) -> None:
        self._paused = False
        withdrawn = [chunk for chunk in self._chunks if chunk.is_withdrawn]
        if self._given_up:
            return
        for chunk in withdrawn:
            (again,) = self._submit(chunk.first, chunk.items)
            chunk.slot, chunk.error = again.slot, again.error
            self._expect(chunk)
        if not self._over:
            self._start_feeder()

    def _end(self) -> None:
        self._over = True
        self.runtime.feeds.discard(self)
        # Until nobody asks for results any more, a chunk may have to be sent again.
        if self._own_function and self._function is not None and self._given_up:
            self._own_function = False
            self.runtime.pool.forget(self._function)

    def _top_up(self) -> None:
        while not (self._over or self._paused) and self._has_room():
            size = self._lead.next_size(self.runtime.pool, self._function)
            if size < 1:
                return
            if not self._submit_next(size):
                self._end()

    def _has_room(self) -> bool:
        window = self._lead.window
        if len(self._chunks) < window:
            return True
        return self._lead.is_eager and self._tally.under_way() < window

    def _submit_next(self, size: int) -> bool:
        """Takes a chunk of items and submits it; False when there are none."""
        items: list[Any] = []
        try:
            # Item by item into a list: an iterable that raises keeps what it gave.
            items.extend(islice(self._items, size))
        except BaseException as error:
            self._error = error
        if items:
            first = self._first + self._lead.taken
            self._lead.taken += len(items)
            self._append(self._submit(first, items))
        return self._error is None and len(items) == size

    def _submit(self, first: int, items: list[Any]) -> list[Chunk]:
        if self._failure is not None:
            return [Chunk(first, items, None, self._failure)]
        if self.runtime.trace is not None and not is_plain(items, False):
            self.runtime.trace = None
        tag = tags.STARMAP if self._star else tags.MAP
        try:
            payload = self.runtime.launcher.encoder.pack((first, items))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if len(items) == 1:
                codec.note_call(error, self.name, first, codec.argument_text(items[0]))
                chunk = Chunk(first, items, None, error)
                chunk.is_unsent = True
                return [chunk]
            return self._submit_singly(first, items)
        if self._values:
            from . import context

            tag, payload = context.lay_before(self._values, tag, payload)
        try:
            slot = self.runtime.submit(self._function, tag, len(items), payload, self._terms)
        except RuntimeError as error:
            return [Chunk(first, items, None, self._refusal(error))]
        slot.slot_count(self._tally)
        return [Chunk(first, items, slot)]

    def _append(self, chunks: list[Chunk]) -> None:
        self._chunks.extend(chunks)
        for chunk in chunks:
            self._expect(chunk)

    def _expect(self, chunk: Chunk) -> None:
        if self._arrivals is not None:
            self._arrivals.expect(chunk)

    def _submit_singly(self, first: int, items: list[Any]) -> list[Chunk]:
        return [
            chunk
            for position, item in enumerate(items)
            for chunk in self._submit(first + position, [item])
        ]

    def _refusal(self, error: RuntimeError) -> BaseException:
        why = self.runtime.pool.broken()
        return error if why is None else self.runtime.broken_error()

    # -- the feeder thread --------------------------------------------------------------

    def _start_feeder(self) -> None:
        if self._lead.is_eager:
            feeder = threading.Thread(target=self._feed_when_few, name="allcores-feed")
            feeder.daemon = True
            self.runtime.feeder_threads.add(feeder)
            feeder.start()

    def _feed_when_few(self) -> None:
        try:
            while True:
                self._tally.wait_below(self._lead.few)
                with self._lock:
                    if self._over or self._paused:
                        return
                    self._top_up()
        finally:
            self.runtime.feeder_threads.discard(threading.current_thread())

    # -- results ------------------------------------------------------------------------

    def next_block(self, deadline: float | None) -> Block | Scalars | None:
        """The results of the next chunk; None at the end. Raises `TimeoutError`, or what the
        iterable raised.
        """
        chunk = self._next_chunk(deadline)
        return None if chunk is None else self._values_of(chunk)

    def _next_chunk(self, deadline: float | None) -> Chunk | None:
        """The oldest chunk, or the next one that has ended, done; None at the end. Raises
        `TimeoutError`.
        """
        if self.runtime.is_forked_copy:
            self.runtime.pool.check_open()  # which refuses; our lock may be held for ever
        with self._lock:
            self.attended = True
            if self._paused:
                self._resume()
            self._lead.given += self._in_hand
            self._in_hand = 0
            self._top_up()
            if not self._chunks:
                if self._error is not None:
                    error, self._error = self._error, None
                    raise error
                if self._given_up:
                    return None
                if not self._is_exhausted():
                    self.runtime.pool.check_open()
                return None
            chunk = self._chunks[0]
        if self._arrivals is not None:
            chunk = self._next_arrival(self._arrivals, deadline)
        else:
            self._await(chunk, deadline)
        with self._lock:
            self._chunks.remove(chunk)
            self._in_hand = len(chunk.items)
            self._top_up()
        self._show()
        return chunk

    def _await(self, chunk: Chunk, deadline: float | None) -> None:
        """Waits until `chunk` is done; of a generator it submits meanwhile what may go past it."""
        slot, pool = chunk.slot, self.runtime.pool
        if slot is None:
            return
        few = self._lead.few
        while self._may_pass() and not slot.slot_done():
            if not slot.slot_wait_or_few(pool, self._tally, few, self._patience(deadline)):
                self._look(deadline)
            if not slot.slot_done():
                with self._lock:
                    if not self._pass():
                        break
        while not slot.slot_wait(pool, self._patience(deadline)):
            self._look(deadline)

    def _patience(self, deadline: float | None) -> float | None:
        """How long to wait before a look at what is finished."""
        left = _seconds_until(deadline)
        if self._meter is None:
            return left
        return self._meter.interval_s if left is None else min(left, self._meter.interval_s)

    def _look(self, deadline: float | None) -> None:
        """Shows what is finished; raises `TimeoutError` past the deadline."""
        self._show()
        if deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError

    def _show(self) -> None:
        if self._meter is not None and self._meter.is_due():
            self._meter.show(self._finished())

    def _finished(self) -> int:
        """How many items have ended, with a result or an error."""
        with self._lock:
            unfinished = [
                len(each.items)
                for each in self._chunks
                if each.is_withdrawn or not (each.slot is None or each.slot.slot_done())
            ]
            return self._lead.taken - int(fsum(unfinished))

    def _may_pass(self) -> bool:
        lead = self._lead
        most = lead.window_past_a_long_one
        return most > lead.window and len(self._chunks) < most and not (self._over or self._paused)

    def _pass(self) -> bool:
        """Submits one more chunk although a window of them is there; False if there is none."""
        size = self._lead.next_size(self.runtime.pool, self._function)
        if size < 1 or not self._may_pass():
            return False
        if not self._submit_next(size):
            self._end()
            return False
        return True

    def _next_arrival(self, arrivals: Arrivals, deadline: float | None) -> Chunk:
        while True:
            try:
                chunk: Chunk = arrivals.wait(self._patience(deadline))
            except TimeoutError:
                self._look(deadline)
                continue
            with self._lock:
                ended = chunk.error if chunk.slot is None else chunk.slot.slot_done()
                if ended and chunk in self._chunks:
                    return chunk

    def _is_exhausted(self) -> bool:
        try:
            item = next(self._items)
        except StopIteration:
            return True
        del item
        return False

    def _values_of(self, chunk: Chunk) -> Block | Scalars:
        if chunk.slot is None:
            if chunk.is_unsent and self._otherwise is not None:
                return self._otherwise(chunk.first, chunk.items[0])
            error = chunk.error or _cancelled()
            return _all_failed(len(chunk.items), lambda: error)
        raw = chunk.slot.slot_take()
        if raw is None:
            raise RuntimeError("a chunk's results were taken twice")
        tag, payload = raw
        if (
            len(chunk.items) > 1
            and (tag == tags.UNDECODED or (tag == FAILED and payload[0] == "worker lost unread"))
            and self._is_open()
        ):
            with self._lock:
                self._in_hand = 0
                singly = self._submit_singly(chunk.first, chunk.items)
                self._chunks.extendleft(reversed(singly))
                for each in singly:
                    self._expect(each)
            return [], {}
        if tag == tags.SCALARS:
            # Left as they are: who gives them out makes them one by one.
            if scalars_in(payload) == len(chunk.items):
                return payload, {}
            wrong = ValueError(f"these are not the results of {len(chunk.items)} items")
            return _all_failed(len(chunk.items), lambda: self._unreadable(wrong, chunk, 0))
        if tag == PARTS:
            values: list[Any] = []
            errors: dict[int, Any] = {}
            stops = [start for start, _, _ in payload[1:]] + [len(chunk.items)]
            for (start, part_tag, part), stop in zip(payload, stops, strict=True):
                found, failed = self._part(chunk, range(start, stop), (part_tag, part))
                values += found
                errors.update((start + position, error) for position, error in failed.items())
            return values, errors
        return self._part(chunk, range(len(chunk.items)), raw)

    def _part(self, chunk: Chunk, where: range, raw: Raw) -> tuple[list[Any], dict[int, Any]]:
        """What `_values_of` says, of these items of the chunk, by position among them."""
        tag, payload = raw
        if tag in (tags.RESULTS, tags.APART):
            try:
                values, errors = codec.load_results(payload, len(where))
            except Exception as error:
                unread = error
                return _all_failed(len(where), lambda: self._unreadable(unread, chunk, where.start))
            if tag == tags.APART:
                return self._values_apart(values, errors, chunk.first + where.start)
            return values, errors
        if tag == CANCELLED:
            return _all_failed(len(where), _cancelled)
        return _all_failed(len(where), lambda: self._error_at(chunk, where.start, raw))

    def _error_at(self, chunk: Chunk, position: int, raw: Raw) -> BaseException:
        text = codec.argument_text(chunk.items[position])
        index = chunk.first + position
        limit = None if self._terms is None else self._terms.limit
        return self.runtime.error_of(raw, call=self.name, index=index, argument=text, limit=limit)

    def _unreadable(self, error: Exception, chunk: Chunk, position: int) -> BaseException:
        from ..errors import transport_error

        index = chunk.first + position
        return transport_error(error, what="the results", function=self.name, index=index)

    def _values_apart(
        self, pickled: list[bytes], errors: dict[int, Any], first: int
    ) -> tuple[list[Any], dict[int, Any]]:
        values: list[Any] = []
        for position, data in enumerate(pickled):
            value = None
            if position not in errors:
                try:
                    value = codec.load_result(data, function=self.name, index=first + position)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:
                    errors[position] = error
            values.append(value)
        return values, errors


def _seconds_until(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0)


def _all_failed(
    count: int, make_error: Callable[[], BaseException]
) -> tuple[list[Any], dict[int, Any]]:
    return [None] * count, dict.fromkeys(range(count), make_error)


def _cancelled() -> BaseException:
    from concurrent.futures import CancelledError

    return CancelledError()
