"""What goes on elsewhere while a block runs in the caller.

```
   caller    ▪▪▪▪▪▪▪▪ block ▪▪▪ block ▪▪▪▪▪▪ a block with a long item ▪▪▪▪▪▪▪▪│──► results
   workers       └─ start, if they would pay ──┴──── the items that come after it ────►
```

Workers start before they are needed (`warm`). As soon as they are there, or once a block takes long
(`overdue`), what comes after that block begins elsewhere: the caller can't be asked before it ends,
so another thread says so.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from .._core import waited_ns
from ..pool.start import would_fork
from .adviser import seconds
from .caller import CALLER
from .overdue import Overdue
from .watch import clock_of_this_thread, hurried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._core import Verdict
    from .adviser import Adviser
    from .probe import Probe
    from .warm import Warm
    from .watch import Watch

    Leave = Callable[[str, Verdict, str], None]

MOST_ITEMS = 65_536
LEAST_WORK_NS = 2_000_000
"""Less work than that, done and to come, is not worth a thought."""
WARM_NS, FIRST_WARM_NS, WARM_S = 15_000_000, 50_000_000, 0.0075
"""After so much work (the first time in a process, which has to import the pool) processes are
started if, once they are there, they gain so many seconds; after half of it beside a first item,
which will take longer than it has by then.
"""
SEVERAL = 1.25
"""A function that keeps so many cores busy by itself gains little from more, and whatever starts
beside it takes a core from all its threads, which wait for each other.
"""
LEAST_BUSY = 0.5
"""Threads for functions that compute for so much of their time are tried with two blocks first."""
LONG, LEAST_LONG_NS = 4.0, 4_000_000
"""A block that takes so many times what it should is long, and says that others may be, too."""


class Running:
    """A block that runs in the caller, with the number of its items and of those `left` after it;
    `leave(rung, verdict, reason)` has these begin there.
    """

    def __init__(self, count: int, left: int, leave: Leave, clock: Callable[[], int]) -> None:
        """`clock` is that of this thread, in which it runs."""
        self.begun_ns = time.perf_counter_ns()
        self.count = count
        self.left = left
        self.leave = leave
        self._thread = threading.get_native_id()
        self._clock = clock
        self._last: tuple[int, ...] | None = None

    def busy_cores(self) -> float | None:
        """Cores that it keeps busy since this was asked last, as if it had waited for none; None if
        that can't be said, as at the first time.
        """
        clocks = time.perf_counter_ns(), self._clock(), time.process_time_ns()
        now = (*clocks, waited_ns(self._thread))
        last, self._last = self._last, now
        if last is None:
            return None
        # The clock of the process is late for what its other threads do.
        wall_ns, *busy_ns, delay_ns = (here - there for here, there in zip(now, last, strict=True))
        able_ns = wall_ns - delay_ns
        return max(busy_ns) / able_ns if able_ns > wall_ns / 2 else None


class Beside:
    """Of one map."""

    def __init__(
        self,
        fn: Callable[..., Any],
        probe: Probe,
        adviser: Adviser,
        rungs: dict[str, int],
        warm: Warm | None,
    ) -> None:
        self._fn = fn
        self._probe = probe
        self._adviser = adviser
        self._rungs = rungs
        self._warm = warm
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._overdue: Overdue | None = None
        self._clock: tuple[int, Callable[[], int]] | None = None

    # -- workers that start --------------------------------------------------------------

    def is_starting(self) -> bool:
        """Whether workers are on their way."""
        return self._warm is not None and self._warm.has_begun

    def is_warm(self) -> bool:
        """Whether it is news that they are there, or could not be started."""
        warm = self._warm
        if warm is None or not (warm.has_failed or warm.is_ready):
            return False
        self._warm = None
        if not warm.has_failed:
            self._adviser.open |= {"processes"}
        return True

    def waits_for_start(self, left: int | None) -> bool:
        """Whether workers have to start first, and the caller has a use for the time: items which
        take less.
        """
        warm = self._warm
        if warm is None or warm.has_failed or not self._probe.is_light():
            return False
        if self._probe.item_ns() > self._adviser.start_ns("processes") / 2:
            return False
        self._begin(warm, left)
        return True

    def warm_up(self, left: int | None) -> None:
        """Has processes start if they would pay, were they there."""
        if self._may_warm():
            self.warm_if(self._adviser.asked(left, warm=True), left)

    def warm_if(self, verdict: Verdict, left: int | None) -> None:
        """Has processes start if they are what was found best, would they be there by now."""
        if verdict.rung == "processes" and gain_s(verdict) > WARM_S:
            self._begin_if_sendable(left)

    def _may_warm(self) -> bool:
        probe, warm = self._probe, self._warm
        if warm is None or warm.has_begun or "processes" not in self._rungs:
            return False
        if probe.wall_ns < warm_ns() or probe.busy_cores() > SEVERAL:
            return False
        return self._adviser.is_sent_at_once(probe.wall_ns / 50)

    def _begin_if_sendable(self, left: int | None) -> None:
        if self._warm is not None and not self._adviser.needs_state():
            self._begin(self._warm, left)

    def _begin(self, warm: Warm, left: int | None) -> None:
        if self._running is None:
            self.stop_looking()  # beside a thread nothing may be forked
        warm.begin(self._fn, MOST_ITEMS if left is None else left, self._on_ready)

    # -- a block that runs ---------------------------------------------------------------

    def block_begins(self, count: int, left: int, leave: Leave, watch: Watch | None) -> bool:
        """A block of so many items is about to run, and others are `left`; whether these may begin
        elsewhere meanwhile. Then `leave` is called in another thread, at most once, and not after
        `block_ended`. A `watch`, if there is one, says `on_tick`.
        """
        running = Running(count, left, leave, self._clock_here())
        is_looked_at = watch is not None or self._looks_for_long_ones(running.begun_ns)
        if not (is_looked_at or self.is_starting()):
            return False
        with self._lock:
            self._running = running
        return True

    def _clock_here(self) -> Callable[[], int]:
        thread = threading.get_native_id()
        if self._clock is None or self._clock[0] != thread:
            self._clock = thread, clock_of_this_thread()
        return self._clock[1]

    def block_ended(self) -> None:
        """It has."""
        with self._lock:
            self._running = None
            if self._overdue is not None:
                self._overdue.block_ended()

    def _looks_for_long_ones(self, begun_ns: int) -> bool:
        overdue = self._overdue
        if overdue is None or overdue.has_ended:
            probe = self._probe
            if not self._rungs or probe.wall_ns < LEAST_WORK_NS or probe.busy_cores() > SEVERAL:
                return False
            overdue = self._overdue = Overdue(self._on_long, self._least_ns, probe.wall_ns)
            self._adviser.own = 1
        overdue.block_begins(begun_ns)
        return True

    def stop_looking(self, *, wait: bool = True) -> None:
        """No thread looks for long blocks any more; the next block may start one."""
        overdue, self._overdue = self._overdue, None
        if overdue is not None:
            overdue.stop(wait=wait)
            self._adviser.own = 0

    def on_tick(self, watch: Watch) -> bool:
        """The watch looks for them, too; whether there may be more to say."""
        running = self._running
        if running is None:
            return True
        if watch.seen_ns() >= LEAST_LONG_NS:
            self._probe.free_share = watch.share()
        return self._on_long(time.perf_counter_ns() - running.begun_ns)

    def _on_long(self, passed_ns: int) -> bool:
        """The block has taken so long by now; whether there may be more to say."""
        with self._lock:
            running = self._running
            if running is None or passed_ns < self._least_long_ns(running):
                return True
            self.is_warm()
            with hurried():
                self._consider(running, passed_ns)
            return self._running is not None

    def _on_ready(self) -> None:
        """Workers have started, says another thread."""
        with self._lock:
            running = self._running
            if running is not None and self.is_warm():
                self._consider(running, time.perf_counter_ns() - running.begun_ns)

    def _least_ns(self) -> float | None:
        """How old the block that runs has to be to be long; None if there is none."""
        with self._lock:  # until the block has ended nobody measures another
            running = self._running
            return None if running is None else self._least_long_ns(running)

    def _least_long_ns(self, running: Running) -> float:
        return max(LONG * running.count * self._probe.item_ns(), LEAST_LONG_NS)

    def _consider(self, running: Running, passed_ns: int) -> None:
        """Has the items after the block begin where they do best, if that is open, or workers
        start. The block is taken to be one that ends now.
        """
        is_long = passed_ns >= self._least_long_ns(running)
        busy, usual = running.busy_cores(), self._probe.busy_cores()
        with self._probe.as_if_ended(running.count, passed_ns, usual if busy is None else busy):
            verdict = self._adviser.asked(running.left)
            rung, reason = verdict.rung, verdict.reason
            if rung == CALLER and is_long and _gain_beside_s(verdict, passed_ns) > WARM_S:
                rung, reason = "processes", "processes: others need not wait for a long item"
            if self._may_leave_for(rung, busy, passed_ns):
                self._running = None
                running.leave(rung, verdict, reason)
            elif is_long and self._may_start_beside(passed_ns) and self._may_warm():
                verdict = self._adviser.asked(running.left, warm=True)
                if _gain_beside_s(verdict, passed_ns) > WARM_S:
                    self._begin_if_sendable(running.left)

    def _may_leave_for(self, rung: str, busy: float | None, passed_ns: int) -> bool:
        """Whether that rung is open, and a block that keeps so many cores busy may run there."""
        if rung == "threads":
            return busy is not None and busy <= LEAST_BUSY
        is_open = rung == "processes" and rung in self._adviser.open
        is_sent = is_open and self._adviser.is_sent_at_once(passed_ns / 10)
        return is_sent and not self._adviser.needs_state()

    def _may_start_beside(self, passed_ns: int) -> bool:
        """Whether workers may start while the block runs: a fork, once it has ended, takes less
        than a server that starts now.
        """
        return not would_fork(own=1) or passed_ns > self._adviser.value("server_start_ns")


def warm_ns() -> int:
    """After how much work processes may be started."""
    return WARM_NS if "allcores.pool.executor" in sys.modules else FIRST_WARM_NS


def gain_s(verdict: Verdict) -> float:
    """What the rung gains over the caller."""
    found = seconds(verdict)
    return found[CALLER] - found[verdict.rung]


def _gain_beside_s(verdict: Verdict, passed_ns: int) -> float:
    """What processes gain over a caller that runs a long block, and begins with what comes after it
    when that has ended: in as much time again, for nobody knows better.
    """
    found = seconds(verdict)
    if verdict.rung not in (CALLER, "processes") or "processes" not in found:
        return 0.0
    return found[CALLER] - max(found["processes"] - passed_ns / 1e9, 0.0)
