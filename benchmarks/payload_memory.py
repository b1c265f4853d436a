"""How much memory does a large argument take, in the parent and its workers together?"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from benchmarks.peers import Pool
from benchmarks.question import PROCESSES, Column, Question, Sizes, Values, check
from benchmarks.tasks import echo, touch

MB = 1 << 20


def measure(pool: Pool, sizes: Sizes) -> Values:
    """The highest point while one array goes in, and while one comes back, as a multiple of it."""
    import numpy

    size = sizes["mb"] * MB
    array = numpy.ones(size // 8)
    for _ in range(4):
        pool.call(touch, array[:1000])
    values: Values = {}
    for way, fn in (("in", touch), ("echo", echo)):
        before = _memory()
        with _Highest() as highest:
            got = pool.call(fn, array)
        check(got == touch(array) if fn is touch else numpy.array_equal(got, array), "payload")
        del got
        values[way] = (max(highest.bytes, before) - before) / size
    return values


class _Highest:
    """The most memory while a block runs."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Highest:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.bytes = max(self.bytes, _memory())

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.bytes = max(self.bytes, _memory())


def _memory() -> int:
    """Proportional set sizes of this process and all its descendants."""
    return sum(_pss(pid) for pid in _family(os.getpid()))


def _pss(pid: int) -> int:
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(int(row.split()[1]) * 1024 for row in rows if row.startswith("Pss:"))


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in children:
            found += _family(int(child))
    return found


QUESTION = Question(
    name="payload_memory",
    title="Memory that a large argument takes",
    how=(
        "One array of 512 MB, into a task that reads every page, and there and back: how far the "
        "PSS of the parent and its workers together grows at most, in multiples of the array "
        "(which the parent has already)."
    ),
    columns=(Column("in", "in, times its size"), Column("echo", "echo, times its size")),
    peers=PROCESSES,
    sizes={"mb": 512},
    trial_sizes={"mb": 16},
    rounds=2,
    rounds_at_least=1,
    budget_s=150.0,
    limit_s=90.0,
    queue_mb=1200,
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
