"""The items of one map on their way to threads of this process, cut into chunks.

```
   items ──take──► chunk ──launch──► the crew's threads ──► on_end ──► next_block
          consumer's thread                                     consumer's thread
          (or, of what has a length, whoever ends a chunk)
```

How far it reaches ahead of the consumer is the rule of all maps (`pool.lead`): what has a length is
worked through whether results are taken or not; of others (generators) no more is taken than a
window of items, and only in the consumer's thread.

Two locks: `_feeding` is held while items are taken and launched; `_changed`, inside it, for a few
instructions at a chunk's end, by a thread that may hold locks of the standard library's pool.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from itertools import islice

from ..pool import codec
from ..pool.lead import Lead
from ..pool.shares import unshared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from ..pool.blocks import Block
    from .options import CallOptions

    class Crew(Protocol):
        """Who runs chunks."""

        aim_ns: int
        """What the work of a chunk should take."""

        def launch(self, feed: Feed, chunk: Chunk) -> Future[Any]:
            """Has the chunk run, which calls `feed.on_end`. The future is cancelled if it is not to
            start any more, and has an exception if it could not run.
            """


MOST_GROWTH = 8
SLICE_S = 0.05


class Sizes:
    """How many items the next chunk should hold, by the durations of the last ones."""

    def __init__(self, workers: int, aim_ns: int) -> None:
        self._workers = workers
        self._aim_ns = aim_ns
        self._item_ns = 0.0
        self._largest = 0

    def learn(self, count: int, busy_ns: int) -> None:
        """So many items took so long."""
        item_ns = busy_ns / count
        self._item_ns = (self._item_ns + item_ns) / 2 if self._largest else item_ns
        self._largest = max(self._largest, count)

    def batch_size(self, function: int | None, left: int | None) -> int:
        """How many; at most eight times as many as there were in one so far."""
        if not self._largest:
            return 1
        size = int(min(self._aim_ns / max(self._item_ns, 1.0), MOST_GROWTH * self._largest))
        if left is not None:
            size = min(size, left // (2 * self._workers) + 1)
        return max(size, 1)


class Chunk:
    """Some items, and what came of them: values, and errors by position."""

    __slots__ = ("errors", "first", "future", "has_ended", "is_withdrawn", "items", "values")

    def __init__(self, first: int, items: list[Any]) -> None:
        self.first = first
        self.items = items
        self.values: list[Any] = []
        self.errors: dict[int, BaseException] = {}
        self.future: Future[Any] | None = None
        self.has_ended = False
        self.is_withdrawn = False

    def withdraw(self) -> int:
        """Keeps it from starting; how many items that concerns."""
        if self.has_ended or self.is_withdrawn or self.future is None:
            return 0
        self.is_withdrawn = True
        if self.future.cancel():
            return len(self.items)
        self.is_withdrawn = False
        return 0

    def fail(self, error: BaseException) -> None:
        """All its items have that error."""
        self.values = [None] * len(self.items)
        self.errors = dict.fromkeys(range(len(self.items)), error)


class Feed:
    """The items of one map, and the chunks of it that are with the crew."""

    def __init__(
        self,
        crew: Crew,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        options: CallOptions,
        max_workers: int,
    ) -> None:
        self.name = codec.name_of(fn)
        self.function = options.applied_to(fn)
        several = len(iterables) > 1
        self.is_single = not (several or (options.part is not None and options.part.star))
        self.context = copy_context()
        self._crew = crew
        self._items = zip(*iterables, strict=False) if several else iter(iterables[0])
        self._first = 0 if options.part is None else options.part.first
        self._lead = Lead(
            iterables,
            chunksize=options.chunksize,
            buffersize=options.buffersize,
            max_workers=max_workers,
        )
        self._sizes = Sizes(max_workers, crew.aim_ns)
        self._meter = options.meter
        self._is_ordered = options.ordered
        self._feeding = threading.RLock()
        self._changed = threading.Condition()
        self._chunks: deque[Chunk] = deque()
        self._ended: deque[Chunk] = deque()
        self._running: set[Chunk] = set()
        self._under_way = 0
        self._finished = 0
        self._in_hand = 0
        self._is_attended = False
        self._is_over = False
        self._is_paused = False
        self._has_given_up = False
        self._error: BaseException | None = None

    # -- taking and launching ------------------------------------------------------------

    def begin(self) -> None:
        """Launches the first window."""
        self._top_up()

    def submit_rest(self) -> None:
        """Takes and launches what is left, unless somebody takes results from a generator, or has
        stopped at an error.
        """
        with self._feeding:
            lead = self._lead
            is_attended = self._is_attended and not lead.is_eager
            if not (self._is_over or self._is_paused or lead.is_strict or is_attended):
                while self._launch_next(max(lead.next_size(self._sizes, None), 1)):
                    pass
            self._is_over = True

    def pause(self) -> None:
        """Withdraws what has not started, until the next result is asked for."""
        with self._feeding:
            self._is_paused = True
            for chunk in list(self._chunks):
                if chunk.withdraw():
                    self._on_withdrawn()

    def give_up(self) -> int:
        """Takes no more items, and withdraws what has not started; how many items that leaves
        undone, as far as is known.
        """
        with self._feeding:
            length, taken = self._lead.length, self._lead.taken
            left = 0 if self._is_over or length is None else max(length - taken, 0)
            self._is_over = self._has_given_up = True
            undone = sum(len(each.items) for each in self._chunks if each.is_withdrawn)
            return left + undone + sum(each.withdraw() for each in list(self._chunks))

    def _resume(self) -> None:
        with self._feeding:
            self._is_paused = False
            for chunk in list(self._chunks):
                if chunk.is_withdrawn:
                    chunk.is_withdrawn = False
                    self._launch(chunk)

    def _top_up(self) -> None:
        with self._feeding:
            lead = self._lead
            while not (self._is_over or self._is_paused) and self._has_room():
                size = lead.next_size(self._sizes, None)
                if size < 1:
                    return
                if not self._launch_next(size):
                    self._is_over = True

    def _has_room(self) -> bool:
        window = self._lead.window
        if len(self._chunks) < window:
            return True
        return self._lead.is_eager and self._under_way < window

    def _launch_next(self, size: int) -> bool:
        """Takes a chunk of items and launches it; False when there are none."""
        items: list[Any] = []
        try:
            # Into a list: an iterable that raises keeps what it gave.
            items.extend(islice(self._items, size))
        except BaseException as error:
            self._error = error
        if items:
            chunk = Chunk(self._first + self._lead.taken, items)
            self._lead.taken += len(items)
            self._chunks.append(chunk)
            self._launch(chunk)
        return self._error is None and len(items) == size

    def _launch(self, chunk: Chunk) -> None:
        with self._changed:
            self._under_way += 1
        try:
            chunk.future = self._crew.launch(self, chunk)
        except RuntimeError as error:
            chunk.fail(error)
            self.on_end(chunk, 0, 0)
        else:
            chunk.future.add_done_callback(lambda future: self._on_future(chunk, future))

    # -- in the crew's threads -----------------------------------------------------------

    def run(self, chunk: Chunk) -> None:
        """Runs a chunk here."""
        with self._changed:
            self._running.add(chunk)
        begun_ns = time.monotonic_ns()
        try:
            self.context.copy().run(self._work, chunk)
        finally:
            self.on_end(chunk, begun_ns, time.monotonic_ns())
        self.on_idle()

    def on_idle(self) -> None:
        """Somebody of the crew can take more."""
        if self._lead.is_eager:
            self._top_up()

    def _work(self, chunk: Chunk) -> None:
        function, values, is_single = self.function, chunk.values, self.is_single
        for item in chunk.items:
            if self._has_given_up:
                return
            try:
                if is_single:
                    values.append(function(unshared(item)))
                else:
                    values.append(function(*map(unshared, item)))
            except BaseException as error:
                at = len(values)
                self.note(error, chunk.first + at, item)
                chunk.errors[at] = error
                values.append(None)

    def note(self, error: BaseException, index: int, item: object) -> None:
        """Adds the note that names the call."""
        codec.note_call(error, self.name, index, codec.argument_text(item))

    def on_end(self, chunk: Chunk, begun_ns: int, ended_ns: int) -> None:
        """The chunk has its values and errors; it ran from then to then (0 to 0: it did not)."""
        count = len(chunk.items)
        with self._changed:
            chunk.has_ended = True
            self._running.discard(chunk)
            self._finished += count
            self._under_way -= 1
            if not self._is_ordered:
                self._ended.append(chunk)
            if ended_ns:
                self._sizes.learn(count, ended_ns - begun_ns)
            self._changed.notify_all()

    def _on_future(self, chunk: Chunk, future: Future[Any]) -> None:
        """Its future has ended: it ran, was withdrawn or cancelled, or could not run. Locks of the
        pool may be held.
        """
        if chunk.has_ended or chunk.is_withdrawn:
            return
        error = CancelledError() if future.cancelled() else future.exception()
        if error is not None:
            self._is_over = True
            chunk.fail(error)
            self.on_end(chunk, 0, 0)

    def _on_withdrawn(self) -> None:
        with self._changed:
            self._under_way -= 1

    # -- results -------------------------------------------------------------------------

    def next_block(self, deadline: float | None) -> Block | None:
        """What came of the oldest chunk, or of the next one that has ended; None at the end."""
        self._is_attended = True
        if self._is_paused:
            self._resume()
        self._lead.given += self._in_hand
        self._in_hand = 0
        self._top_up()
        if not self._chunks:
            self._end()
            return None
        chunk = self._await(deadline)
        with self._feeding:
            self._chunks.remove(chunk)
            chunk.future = None  # whose callback refers to the chunk
        self._in_hand = len(chunk.items)
        self._top_up()
        values, chunk.values = chunk.values, []
        errors, chunk.errors = chunk.errors, {}
        return values, errors

    def _end(self) -> None:
        """Raises what there is to raise at the end."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if not self._has_given_up and next(self._items, self) is not self:
            from .backends.base import shut

            raise shut()

    def _await(self, deadline: float | None) -> Chunk:
        """Waits for a chunk; of a generator it launches meanwhile what may go past it."""
        can_pass = True
        while True:
            chunk = self._ready()
            if chunk is None and can_pass and self._may_pass():
                can_pass = self._pass()
                continue
            if chunk is None:
                with self._changed:
                    chunk = self._ready()
                    if chunk is None:
                        self._changed.wait(self._patience(deadline))
                        chunk = self._ready()
                can_pass = True
            if self._meter is not None:
                self._meter.show(self._count())
            if chunk is not None:
                return chunk
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError

    def _ready(self) -> Chunk | None:
        if not self._is_ordered:
            return self._ended.popleft() if self._ended else None
        chunk = self._chunks[0]
        return chunk if chunk.has_ended else None

    def _patience(self, deadline: float | None) -> float:
        """How long to wait for a chunk before looking at the time again."""
        # A Ctrl-C that comes just before a thread begins to wait is not seen until it has waited.
        longest = SLICE_S if self._meter is None else min(SLICE_S, self._meter.interval_s)
        return longest if deadline is None else max(0, min(deadline - time.monotonic(), longest))

    def _count(self) -> int:
        """The items that are finished, those of running chunks too."""
        with self._changed:
            return self._finished + sum(len(each.values) for each in self._running)

    def _may_pass(self) -> bool:
        lead = self._lead
        most = lead.window_past_a_long_one
        is_open = not (self._is_over or self._is_paused)
        is_short = lead.window <= len(self._chunks) < most and self._under_way < lead.few
        return is_open and is_short and most > lead.window

    def _pass(self) -> bool:
        """Launches one more chunk although a window of them is there; False if there is none."""
        with self._feeding:
            size = self._lead.next_size(self._sizes, None)
            if size < 1:
                return False
            if not self._launch_next(size):
                self._is_over = True
                return False
            return True
