"""The processor time of what runs in one thread, with the threads of numerical libraries that work
for it, and without other threads of Python's, which have work of their own.

The clock of a process misses what its other threads did since the last tick of the system, up to
four milliseconds; the clock of a thread is read to the moment. So both are asked: the threads that
are known by now, and the process, which knows of those that a library starts later.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from math import fsum

from .._core import thread_numbers

MOST_CLOCKS = 32
"""More of them take too long to read."""


def cpu_clock() -> Callable[[], int]:
    """That clock, in nanoseconds, for what runs in this thread."""
    own = threading.get_native_id()
    others = {each.native_id for each in threading.enumerate() if each.native_id != own}
    libraries = {each for each in thread_numbers() if each != own} - others
    if not (others or libraries):
        return time.process_time_ns
    if sys.platform != "linux" or len(others) > MOST_CLOCKS:
        return time.thread_time_ns
    apart = {_clock_of(number): 0 for number in others if number is not None}
    helping = {_clock_of(number): 0 for number in libraries if len(libraries) <= MOST_CLOCKS}
    unknown_ns = 0

    def now_ns() -> int:
        nonlocal unknown_ns
        known_ns = time.thread_time_ns() + _sum(helping)
        # The process is late, and never early.
        unknown_ns = max(unknown_ns, time.process_time_ns() - _sum(apart) - known_ns)
        return known_ns + unknown_ns

    return now_ns


def _sum(used: dict[int, int]) -> int:
    """What these clocks say."""
    for clock in used:
        try:  # each time, and quick
            used[clock] = time.clock_gettime_ns(clock)
        except OSError:  # its thread has ended; what it had used is known
            continue
    return int(fsum(used.values()))


def _clock_of(thread: int) -> int:
    """Linux's name for the clock of a thread's processor time: the bits of its number inverted,
    then 4 for a thread and 2 for the scheduler's clock (`include/linux/posix-timers.h`). Of a
    thread that has ended it is a name for nothing, while asking the C library for it by
    `pthread_getcpuclockid` would not be safe.
    """
    return (~thread << 3) | 6
