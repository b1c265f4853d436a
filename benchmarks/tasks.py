"""The functions that workers run. They live in an importable module because most peers ask for
that.
"""

from __future__ import annotations

import os
import random
import signal
import time

TYPE_CHECKING = False  # importing `typing` would cost every worker that a cold start measures
if TYPE_CHECKING:
    from typing import Any

PAGE = 4096


def add1(number: int) -> int:
    """The smallest useful task."""
    return number + 1


def add1_all(numbers: list[int]) -> list[int]:
    """What a user writes who chunks by hand: many small tasks in one."""
    return [number + 1 for number in numbers]


def nap(seconds: float) -> float:
    """Occupies a worker without using its core: makes sure that every worker is up."""
    time.sleep(seconds)
    return seconds


def busy(seconds: float) -> float:
    """Uses so much processor time of its own thread, however long that takes while others use
    the core.
    """
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for _ in range(200):
            pass
    return seconds


def wait_for_file(path: str) -> str:
    """Occupies a worker until `path` exists."""
    while not os.path.exists(path):
        time.sleep(0.02)
    return path


def one_dies(number: int) -> int:
    """Half a millisecond of work; the negative number kills its worker."""
    if number < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    busy(0.0005)
    return number + 1


def touch(data: Any) -> tuple[int, int]:
    """Reads one byte of every page, so that bytes that were only promised have to come; length
    and sum of these.
    """
    view = memoryview(data).cast("B")
    return len(view), sum(bytes(view[::PAGE]))


def echo(data: Any) -> Any:
    """Sends back what it got."""
    return data


def item(array: Any, index: int) -> float:
    """One element of a large array."""
    return float(array[index])


_global: Any = None


def set_global(array: Any) -> None:
    """An initializer that leaves an array where `global_item` finds it."""
    global _global
    _global = array


def global_item(index: int) -> float:
    """The same as `item`, of that array."""
    return float(_global[index])


def lognormal_seconds(count: int, sigma: float, total: float) -> list[float]:
    """`count` durations of very unequal length, always the same ones, that add up to `total`."""
    source = random.Random(20_26)
    raw = [source.lognormvariate(0.0, sigma) for _ in range(count)]
    scale = total / sum(raw)
    return [seconds * scale for seconds in raw]


def count_down(steps: int) -> int:
    """So many steps of a loop, however long they take."""
    while steps:
        steps -= 1
    return steps


def microsecond(number: int) -> int:
    """A microsecond of work, more or less."""
    for _ in range(130):
        pass
    return number


def summed(numbers: list[int]) -> int:
    """What a user does with a list: an argument of some size, a small result."""
    return sum(numbers)


def busy_exactly(seconds: float) -> float:
    """As `busy`, in finer steps; the processor time that it really took."""
    start = now = time.thread_time()
    while now - start < seconds:
        for _ in range(20):
            pass
        now = time.thread_time()
    return now - start
