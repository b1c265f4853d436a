"""How fast do big arguments and results travel, one at a time?"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
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
        for kind, data in (("ndarray", array), ("bytes", array.tobytes())):
            pages = touch(data)
            values[f"{kind} {label} in"] = _rate(pool, touch, data, length, repeats, pages.__eq__)
            values[f"{kind} {label} echo"] = _rate(
                pool, echo, data, 2 * length, repeats, partial(_same, data)
            )
    return values


def _same(sent: Any, got: Any) -> bool:
    """Every byte compared."""
    import numpy

    a, b = (numpy.frombuffer(memoryview(data).cast("B"), numpy.uint8) for data in (sent, got))
    return isinstance(got, type(sent)) and numpy.array_equal(a, b)


def _rate(
    pool: Pool,
    fn: Callable[[Any], Any],
    data: Any,
    moved: int,
    repeats: int,
    right: Callable[[Any], bool],
) -> float:
    """GB/s: the median of some repeats, after one to warm up."""
    took = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        got = pool.call(fn, data)
        took.append(time.perf_counter() - start)
        check(right(got), "payload")
    return moved / median(took[1:]) / 1e9


QUESTION = Question(
    name="payload",
    title="Large arguments and results",
    how=(
        "One object at a time, GB/s. In: the task reads one byte of every page and returns a "
        "number. Echo: the object "
        "comes back, both ways counted."
    ),
    columns=tuple(
        Column(f"{kind} {label} {way}", f"{kind} {label} {way}", "more")
        for label in LENGTHS
        for kind in ("ndarray", "bytes")
        for way in ("in", "echo")
    ),
    peers=PROCESSES,
    sizes={"repeats": {"8 KB": 50, "1 MB": 10, "64 MB": 2}},
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
