"""Does what runs in a thread leave the interpreter's lock free for others?

Processor time alone does not tell waiting from a busy machine on which others compute. So a *watch*
looks: a thread that wakes every quarter of a millisecond, and can't while the lock is held.

```
   held:   |--- 5 ms, until Python makes the holder give way ---|w|---        few wakes
   free:   |w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|w|--       as many as there can be
```

Only time counts in which the watched thread got on, or waited for something else than a core, and
in which the watch, if it woke late, did not wait for a core: others on the machine hold no lock of
ours. Nor does time in which somebody was `hurried`, as the holder gives way sooner then.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .._core import is_ready, waited_ns

WAKE_S = 0.000_25
ON_TIME_NS = 700_000
"""A thread has slept so long at most if nothing held it up."""
LEAST_WATCHED_NS = 1_500_000


SWITCH_S = 0.000_1


class _Hurry:
    """How many threads are in a hurry, how many were, and the usual interval."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = self.so_far = 0
        self.usual_s = 0.0

    def renew(self) -> None:
        """A forked child has none of these threads."""
        self.lock = threading.Lock()
        if self.count:
            self.count = 0
            sys.setswitchinterval(self.usual_s)


_hurry = _Hurry()
os.register_at_fork(after_in_child=_hurry.renew)


@contextmanager
def hurried() -> Iterator[None]:
    """For what a thread has to do beside a caller that computes: each time it has waited for
    something it gets the interpreter's lock back after a tenth of a millisecond, not after five.
    """
    with _hurry.lock:
        if not _hurry.count:
            _hurry.usual_s = sys.getswitchinterval()
            sys.setswitchinterval(min(SWITCH_S, _hurry.usual_s))
        _hurry.count += 1
        _hurry.so_far += 1
    try:
        yield
    finally:
        with _hurry.lock:
            _hurry.count -= 1
            if not _hurry.count:
                sys.setswitchinterval(_hurry.usual_s)


class Watch:
    """Sees from a thread whether the interpreter's lock is free while this thread works.

    `on_tick` is called in the watch's thread every few milliseconds, once enough was seen, with the
    nanoseconds since the start and the share of time in which the lock was free; it returns whether
    to call it again.
    """

    TICK_NS = 4_000_000

    def __init__(self, on_tick: Callable[[int, float], bool] | None = None) -> None:
        self._on_tick: Callable[[int, float], bool] | None = None
        self._free_ns = self._held_ns = 0
        self._watched = self._own = threading.get_native_id()
        self._clock = clock_of_this_thread()
        self._stop = threading.Lock()
        self._stop.acquire()
        self._begun_ns = time.perf_counter_ns()
        self._thread = threading.Thread(target=self._run, name="allcores-watch", daemon=True)
        self._slept = self._now()
        self._thread.start()
        self._own = self._thread.native_id or self._watched
        # What its start took says nothing of the work.
        self._begun_ns = time.perf_counter_ns()
        self._free_ns = self._held_ns = 0
        self._slept = self._now()
        self._on_tick = on_tick

    def _run(self) -> None:
        next_ns = self.TICK_NS
        while not self._stop.acquire(True, WAKE_S):
            self._add(*self._look(self._slept))
            passed_ns = self.passed_ns()
            is_time = passed_ns >= next_ns and self.seen_ns() >= LEAST_WATCHED_NS
            if self._on_tick is not None and is_time:
                next_ns = passed_ns + self.TICK_NS
                if not self._on_tick(passed_ns, self.share()):
                    self._on_tick = None
            self._slept = self._now()

    def _now(self) -> tuple[int, int, int, int, int]:
        """The time, the watched thread's processor time, for how long each has waited for a core,
        and how many have hurried.
        """
        watched_ns, own_ns = waited_ns(self._watched), waited_ns(self._own)
        hurries = -1 if _hurry.count else _hurry.so_far
        return time.perf_counter_ns(), self._clock(), watched_ns, own_ns, hurries

    def _look(self, slept: tuple[int, int, int, int, int]) -> tuple[int, int]:
        """What the time says since the watch went to sleep, which wanted to wake soon: nanoseconds
        in which the lock was free, and in which it was held.
        """
        begun_ns, cpu_ns, watched_ns, own_ns, hurries = slept
        if _hurry.count or hurries != _hurry.so_far:
            return 0, 0
        passed_ns = time.perf_counter_ns() - begun_ns
        passed_ns -= waited_ns(self._own) - own_ns
        got_on_ns = self._clock() - cpu_ns
        if passed_ns > ON_TIME_NS:
            # Whoever has the lock and no core, holds it for longer than it would.
            able_ns = passed_ns - (waited_ns(self._watched) - watched_ns)
            return 0, max(able_ns, min(passed_ns, got_on_ns))
        has_got_on = got_on_ns >= passed_ns / 4
        if has_got_on or not self._lacked_a_core(watched_ns, passed_ns):
            return max(passed_ns, 0), 0
        return 0, 0

    def _lacked_a_core(self, before_ns: int, passed_ns: int) -> bool:
        delayed_ns = waited_ns(self._watched) - before_ns
        return delayed_ns > passed_ns / 4 or is_ready(self._watched)

    def _add(self, free_ns: int, held_ns: int) -> None:
        self._free_ns += free_ns
        self._held_ns += held_ns

    def share(self) -> float:
        """The share of time in which the lock was free, as far as is seen."""
        return self._free_ns / max(self._free_ns + self._held_ns, 1)

    def passed_ns(self) -> int:
        """Since it was started."""
        return time.perf_counter_ns() - self._begun_ns

    def seen_ns(self) -> int:
        """For how long it has seen what it looks for."""
        return self._free_ns + self._held_ns

    def stop(self) -> float | None:
        """Ends it, which waits for what `on_tick` is doing; the share of time in which the lock was
        free, None if it has seen too little to say.
        """
        slept = self._slept
        # Whoever waits for a core now, is not kept by the lock.
        last = (0, 0) if is_ready(self._own) else self._look(slept)
        self._stop.release()
        self._thread.join()
        if slept is self._slept:
            self._add(*last)
        return self.share() if self.seen_ns() >= LEAST_WATCHED_NS else None


def clock_of_this_thread() -> Callable[[], int]:
    """The processor time of this thread, to be read from any; where the system has no such clock,
    one that says it never waits.
    """
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.perf_counter_ns
    clock = time.pthread_getcpuclockid(threading.get_ident())
    return lambda: time.clock_gettime_ns(clock)
