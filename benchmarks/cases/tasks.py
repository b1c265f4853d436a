"""What workers run; in a module of its own so that each start method can import it."""

from __future__ import annotations

import ctypes
import logging
import os
import subprocess
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Any

NAME: ContextVar[str] = ContextVar("NAME", default="nothing")
LOGGER = logging.getLogger("allcores.cases")
CACHE: list[bytearray] = []
POOL: Any = None
"""The pool that runs a task, where a fork has brought it along."""


def add_one(number: int) -> int:
    return number + 1


def same(value: Any) -> Any:
    return value


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def spin() -> None:
    """Never ends, and never lets go of the interpreter."""
    while True:
        pass


def touch_and_spin(path: str) -> None:
    Path(path).touch()
    spin()


def touch_and_nap(path: str, seconds: float) -> None:
    Path(path).touch()
    time.sleep(seconds)


def slow_pid(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def pid_after_work(number: int) -> int:
    """About half a millisecond of work."""
    end = time.perf_counter() + 0.0005
    while time.perf_counter() < end:
        pass
    return os.getpid()


def leave_if(number: int, culprit: int) -> int:
    """Ends its process without a word."""
    time.sleep(0.005)
    if number == culprit:
        os._exit(1)
    return number


def leave_at_50(number: int) -> int:
    if number == 50:
        os._exit(1)
    return number


def leave_later(seconds: float) -> None:
    time.sleep(seconds)
    os._exit(1)


def read_null(number: int) -> int:
    """Item 1023 is the end of its process."""
    return deepest_of_all(number)


def deepest_of_all(number: int) -> int:
    if number == 1023:
        Path(os.environ["ALLCORES_CASES_SCRATCH"], "pid").write_text(str(os.getpid()))
        ctypes.string_at(0)
    return number


def eat(megabytes: int) -> int:
    """Touches memory step by step, and keeps it a moment."""
    meal = []
    for _ in range(megabytes // 10):
        meal.append(bytearray(b"\1") * (10 << 20))
        time.sleep(0.01)
    return len(meal)


def fill_cache(megabytes: int) -> int:
    CACHE.append(bytearray(b"\1") * (megabytes << 20))
    return os.getpid()


def cache_state(seconds: float) -> tuple[int, int]:
    time.sleep(seconds)
    return os.getpid(), sum(map(len, CACHE))


def raise_odd(number: int) -> int:
    if number % 2:
        raise ValueError(number)
    return number


def raise_timeout(number: int) -> int:
    if number == 2:
        raise TimeoutError("the task's own")
    return number


def raise_at_1023(number: int) -> int:
    if number == 1023:
        raise ValueError("it was bad")
    return number


class UserError(Exception):
    """What a scenario's own code raises."""


def raise_user_error() -> None:
    raise UserError("the task's own")


class NoPoolError(Exception):
    """A task found no pool."""


class Demanding(Exception):
    """Has two required arguments and keeps one: pickle can't make it again."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def raise_demanding() -> None:
    raise Demanding(7, "words of the exception")


class RefusesState:
    def __getstate__(self) -> object:
        raise UserError("refused")


class RefusesReduce:
    def __reduce__(self) -> Any:
        raise UserError("refused")


class RefusesRestoring:
    def __getstate__(self) -> object:
        return {"anything": 1}

    def __setstate__(self, state: object) -> None:
        raise UserError("refused")


def make(kind: type) -> object:
    return kind()


class OnlyHere:
    """Unpickles in the process where it was pickled's worker, not in its parent."""

    def __init__(self, parent: int) -> None:
        self.parent = parent

    def __reduce__(self) -> Any:
        return refuse_in, (self.parent,)


def refuse_in(parent: int) -> str:
    if os.getpid() == parent:
        raise UserError("refused")
    return "made"


def make_only_here(parent: int) -> OnlyHere:
    return OnlyHere(parent)


class Locked:
    """Not to be pickled by anybody."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class Adder:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    def add(self, number: int) -> int:
        return number + self.amount


def large(megabytes: int, path: str) -> bytes:
    Path(path).touch()
    return bytes(megabytes << 20)


def start_child_and_spin(path: str) -> None:
    """A process of its own, whose number it writes down, then nothing but work."""
    child = subprocess.Popen(["sleep", "1000"])
    Path(f"{path}.new").write_text(f"{os.getpid()} {child.pid}")
    Path(f"{path}.new").rename(path)
    spin()


def fib(number: int, *pool: Any) -> int:
    """Fork and join through the pool that runs it: an executor as an argument, or the engine of
    the parent as it came along with a fork."""
    if number < 2:
        return number
    if pool:
        handles = [pool[0].submit(fib, number - back, *pool) for back in (1, 2)]
        return sum(handle.result() for handle in handles)
    if POOL is None:
        raise NoPoolError
    handles = [POOL.submit(fib, number - back) for back in (1, 2)]
    if not all(POOL.wait(handle, 1000) for handle in handles):
        raise TimeoutError
    return sum(POOL.value(handle) for handle in handles)


def write_line(path: str, number: int) -> int:
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{number}\n")
    return number


class Writer:
    """`map` over it leaves a line for each item."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, number: int) -> int:
        time.sleep(0.002)
        return write_line(self.path, number)


def name_and_log(number: int) -> tuple[str, int]:
    """The context variable, as the worker sees it; and a log record with the worker's number."""
    LOGGER.warning("%d %d", os.getpid(), number)
    time.sleep(0.005)
    return NAME.get(), os.getpid()


def print_it(number: int) -> None:
    print(number)


def nested(engine: str, levels: int, workers: int | None) -> list[tuple[float, float]]:
    """When the leaves of a tree of pools have begun and ended."""
    from benchmarks.cases.engines import open_engine

    if levels == 0:
        begun = time.monotonic()
        time.sleep(0.3)
        return [(begun, time.monotonic())]
    pool = open_engine(engine, workers)
    width = workers or len(os.sched_getaffinity(0))
    try:
        handles = [pool.submit(nested, engine, levels - 1, workers) for _ in range(width)]
        times: list[tuple[float, float]] = []
        for handle in handles:
            if not pool.wait(handle, 12):
                raise TimeoutError("a nested pool gave nothing")
            times += pool.value(handle)
        return times
    finally:
        pool.shutdown()


def blas_threads(size: int) -> int:
    """How many threads of this process a product of matrices keeps busy."""
    import numpy

    matrix = numpy.ones((size, size))
    before = _ticks()
    for _ in range(6):
        matrix @ matrix
    return sum(ticks > before.get(thread, 0) + 1 for thread, ticks in _ticks().items())


def _ticks() -> dict[str, int]:
    """Processor time of each thread, in ticks of 10 ms."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found[task.name] = int(fields[11]) + int(fields[12])
    return found
