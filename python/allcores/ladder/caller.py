"""The items of a map that run in its caller, until a judge wants the rest elsewhere.

Elsewhere is not there at once: workers have to start. So the caller keeps as many items as it can
run meanwhile, and has the rest begin behind them:

```
   caller  ──item──item──item──│── kept ── kept ──│──► results of the rung
   rung                        └── start ─────────┴ item ─ item ─ item ─
```

If one of the first items takes long, the judge has all others begin elsewhere while it runs. That
comes from another thread, and is settled when the item has ended.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from copy import copy
from math import fsum

from .backends.serial import SerialMap
from .clock import cpu_clock
from .watch import hurried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from ..pool.blocks import Block
    from .options import CallOptions

    class Elsewhere(Protocol):
        """The rungs, as far as the caller's part of a map goes."""

        def begin(self, rung: str, done: int) -> None:
            """Has what comes after so many items of the map begin on a rung, while the caller runs
            these.
            """

        def undo(self) -> Iterator[Any] | None:
            """Gives up what was begun; the items, for it may run again. None if nothing was."""

        def put_back(self, items: list[Any]) -> None:
            """These are to run elsewhere, before all others."""

    class CallerJudge(Protocol):
        """What a judge is asked in the caller."""

        def block_size(self, done: int) -> int:
            """How many items the next block in the caller should hold."""

        def on_block(
            self, items: list[Any], values: list[Any], failed: bool, wall_ns: int, cpu_ns: int
        ) -> None:
            """The caller ran these items; if one `failed` its value is None."""

        def where(self, left: int | None) -> str:
            """The rung for what is `left`: "serial" for the caller."""

        def beside(self, left: int | None, go: Callable[[str], None]) -> Callable[[], None] | None:
            """A block is about to run, and `left` after it; `go` has these begin on a rung if it
            is ready meanwhile. It is called from another thread, at most once, and not after what
            is returned was called: when the block has ended.
            """

        def wants_pair(self) -> bool:
            """Whether the next two blocks are to run beside each other, to see what that takes."""

        def on_pair(self, count: int, wall_ns: int, item_ns: float) -> None:
            """So many items ran in two threads at a time; an item took so long in its own."""

        def keeps(self, left: int | None) -> int:
            """How many of the items that are `left` the caller should run while the rung that was
            chosen starts.
            """

        def knows(self, items: list[Any], left: int | None) -> bool:
            """Whether these, the first, and what is left after them need not run in the caller, as
            it is known from an earlier map where they do best.
            """

        def begin(self, items: list[Any], left: int | None, go: Callable[[str], None]) -> None:
            """The first item is about to run, and `left` after it; `go` has these begin on a rung
            meanwhile. It is called from another thread, at most once.
            """

        def begun(self) -> None:
            """The first item has ended; `go` is not called any more, and if it was it has
            returned.
            """

        def takes_back(self) -> bool:
            """Whether what has begun beside the first item turned out wrong, now that its result is
            known: machine code.
            """


CALLER = "serial"


class CallerMap(SerialMap):
    """The blocks that run in the caller.

    Attributes:
        wants_to_move: whether it has ended because the judge wants the rest elsewhere.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        items: Iterator[Any],
        options: CallOptions,
        judge: CallerJudge,
        length: int | None,
        elsewhere: Elsewhere,
    ) -> None:
        super().__init__(fn, (items,), options)
        self._elsewhere = elsewhere
        self._clock = cpu_clock()
        self._length = length
        self._judge = judge
        self._is_bounded = options.buffersize is not None
        self._is_first = self._first == 0
        self._own: deque[Any] | None = None
        """Items that are kept while a rung starts; None before."""
        self.wants_to_move = False

    def next_block(self, deadline: float | None) -> Block | None:
        self._check_time(deadline)
        if self._own:
            return self._run_own(self._own)
        if self._error is not None:
            return self._raise()
        if self._over:
            return None
        left = None if self._length is None else self._length - self._done
        where = self._judge.where(left)
        if where != CALLER:
            return self._leave_for(where, left)
        size = 1
        if not self._is_bounded:
            done = self._done + self._first
            size = min(self._judge.block_size(done), done + 1)
        wants_pair = not self._is_bounded and self._judge.wants_pair()
        items = self.take(2 * size if wants_pair else size)
        if not items:
            return None
        if wants_pair and len(items) > 1:
            return self._run_pair(items)
        return self._run_first(items, left) if self._is_first else self._run_next(items, left)

    def _run_first(self, items: list[Any], left: int | None) -> Block | None:
        self._is_first = False
        rest = None if left is None else left - len(items)
        if self._judge.knows(items, rest):
            self._elsewhere.put_back(items)
            self._over = self.wants_to_move = True
            return None
        self._judge.begin(items, rest, lambda name: self._elsewhere.begin(name, len(items)))
        block = self._run_measured(items, self._judge.begun)
        if self._judge.takes_back():
            self._items = self._elsewhere.undo() or self._items
        return block

    def _run_next(self, items: list[Any], left: int | None) -> Block:
        rest = None if left is None else left - len(items)
        done = self._first + self._done + len(items)
        ended = self._judge.beside(rest, lambda name: self._elsewhere.begin(name, done))
        return self._run_measured(items, ended)

    def _run_measured(self, items: list[Any], ended: Callable[[], None] | None = None) -> Block:
        try:
            begun_ns, cpu_ns = time.perf_counter_ns(), self._clock()
            values, errors = block = self.run_items(items)
            cpu_ns = self._clock() - cpu_ns
            wall_ns = time.perf_counter_ns() - begun_ns
        finally:
            if ended is not None:
                ended()
        self._judge.on_block(items, values, bool(errors), wall_ns, cpu_ns)
        return block

    def _run_pair(self, items: list[Any]) -> Block:
        """Runs one half of the items in another thread, beside the other half, and tells the judge
        what that takes.
        """
        half = len(items) // 2
        other = copy(self)
        other._first, other._meter = self._first + half, None
        spent: list[int] = []
        found: list[Block] = []

        def timed(one: SerialMap, some: list[Any]) -> Block:
            begun_ns = time.perf_counter_ns()
            block = one.run_items(some)
            spent.append(time.perf_counter_ns() - begun_ns)
            return block

        begun_ns = time.perf_counter_ns()
        thread = threading.Thread(
            target=lambda: found.append(timed(other, items[half:])), name="allcores-pair"
        )
        thread.start()
        try:
            values, errors = timed(self, items[:half])
        finally:
            thread.join()
        self._done += len(items) - half
        for block in found:
            values = values + block[0]
            errors = errors | {half + at: error for at, error in block[1].items()}
        if self._meter is not None:
            self._meter.show(self._done)
        wall_ns = time.perf_counter_ns() - begun_ns
        self._judge.on_pair(len(items), wall_ns, fsum(spent) / len(items))
        return values, errors

    # -- the last of them ----------------------------------------------------------------

    def _leave_for(self, rung: str, left: int | None) -> Block | None:
        """Keeps some items, and has the others begin on the rung; the first block of those that
        were kept.
        """
        keeps = 0 if self._is_bounded else self._judge.keeps(left)
        kept = self.take(keeps) if keeps else []
        self._own = deque(kept)
        # If there were fewer, these are the last, and nothing has to start.
        self._over = self._error is None
        if self._over and len(kept) == keeps:
            self.wants_to_move = True
            if kept:
                self._elsewhere.begin(rung, self._first + self._done + keeps)
        return self._run_own(self._own) if kept else None

    def _run_own(self, own: deque[Any]) -> Block:
        size = min(self._judge.block_size(self._done), len(own))
        with hurried():  # what starts meanwhile needs the lock for moments
            return self._run_measured([own.popleft() for _ in range(size)])

    def give_up(self) -> int:
        own, self._own = len(self._own or ()), None
        return max(own, super().give_up())

    def cancel(self) -> None:
        if self._own:
            self._own.clear()
            self._over = True
        super().cancel()
