"""How fast do big arguments and results travel, one at a time?"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.peers import Pool
from benchmarks.question import PROCESSES, Column, Question, Sizes, Values, check
from benchmarks.tasks import echo, touch

LENGTHS = {"8 KB": 8 << 10, "1 MB": 1 << 20, "64 MB": 64 << 20}


def measure(pool: Pool, sizes: Sizes) -> Values:
    """Each kind and size: into a task that reads every page, and there and back."""
    import numpy

    values: Values = {}
    pattern = numpy.arange(max(LENGTHS.values()) // 8, dtype=numpy.float64)
    for label, repeats in sizes["repeats"].items():
        length = LENGTHS[label]
        array = pattern[: length // 8].copy()
        for kind in ("ndarray", "bytes"):
            for way, fn, moved in (("in", touch, length), ("echo", echo, 2 * length)):
                took = [
                    _seconds(pool, fn, _fresh(kind, array, step)) for step in range(repeats + 1)
                ]
                values[f"{kind} {label} {way}"] = moved / median(took[1:]) / 1e9
    values["memcpy"] = _memcpy(array)
    return values


def _fresh(kind: str, array: Any, step: int) -> Any:
    """Data that no task has seen: the same array, written to, or bytes that are new."""
    array[step] += 0.5
    return array if kind == "ndarray" else array.tobytes()


def _seconds(pool: Pool, fn: Callable[[Any], Any], data: Any) -> float:
    """How long the task takes; its result is checked afterwards."""
    start = time.perf_counter()
    got = pool.call(fn, data)
    took = time.perf_counter() - start
    check(_same(data, got) if fn is echo else got == touch(data), "payload")
    return took


def _same(sent: Any, got: Any) -> bool:
    """Every byte compared."""
    import numpy

    a, b = (numpy.frombuffer(memoryview(data).cast("B"), numpy.uint8) for data in (sent, got))
    return isinstance(got, type(sent)) and numpy.array_equal(a, b)


def _memcpy(array: Any) -> float:
    """GB/s of a copy into shared memory whose pages are there: the floor of the way in."""
    import ctypes
    import mmap

    shared = mmap.mmap(-1, array.nbytes)
    there = ctypes.addressof(ctypes.c_char.from_buffer(shared))
    took = []
    for _ in range(6):
        start = time.perf_counter()
        ctypes.memmove(there, array.ctypes.data, array.nbytes)
        took.append(time.perf_counter() - start)
    return float(array.nbytes / median(took[1:]) / 1e9)


QUESTION = Question(
    name="payload",
    title="Large arguments and results",
    how=(
        "One object at a time, GB/s. In: the task reads one byte of every page and returns a "
        "number. Echo: the object "
        "comes back, both ways counted. Its contents change before each call. `memcpy`: a copy of "
        "the largest array into shared memory whose pages are there."
    ),
    columns=(
        *(
            Column(f"{kind} {label} {way}", f"{kind} {label} {way}", "more")
            for label in LENGTHS
            for kind in ("ndarray", "bytes")
            for way in ("in", "echo")
        ),
        Column("memcpy", "memcpy", "neither"),
    ),
    peers=PROCESSES,
    sizes={"repeats": {"8 KB": 50, "1 MB": 10, "64 MB": 3}},
    trial_sizes={"repeats": {"8 KB": 3, "1 MB": 1}},
    sizes_of={"joblib": {"repeats": {"8 KB": 10, "1 MB": 5, "64 MB": 2}}},
    rounds=3,
    rounds_at_least=2,
    budget_s=110.0,
    queue_mb=256,
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
