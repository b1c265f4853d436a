"""What does it cost to pass the same 64 MB array to a thousand tasks?"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from benchmarks.peers import WORKERS, Pool
from benchmarks.question import PROCESSES, Column, Question, Sizes, Values, check
from benchmarks.tasks import global_item, item, set_global


def measure(pool: Pool, sizes: Sizes) -> Values:
    """As an argument like any other, changed in place now and then."""
    import numpy

    array = numpy.arange(sizes["mb"] * (1 << 20) // 8, dtype=numpy.float64)
    tasks = sizes["tasks"]
    pool.call(partial(item, index=0), array)
    values: Values = {}
    start = time.perf_counter()
    expected, got = [], []
    for index in range(tasks):
        if index % 10 == 5:
            array[index] = -index
        expected.append(float(array[index]))
        # Each is asked for at once: with a pool that pickles later, the task sees later changes.
        got.append(pool.call(partial(item, index=index), array))
    values["argument"] = (time.perf_counter() - start) / tasks * 1e3
    check(got == expected, "item")
    if pool.name == "allcores":
        values |= _ways_of_ours(array, sizes["many"])
    return values


def _ways_of_ours(array: Any, tasks: int) -> Values:
    """Submitted all at once, on pools of their own."""
    import allcores

    fixed = array.copy()
    fixed.flags.writeable = False
    numbers = range(tasks)
    expected = [float(array[index]) for index in numbers]

    def timed(run: Any) -> float:
        took = []
        for _ in range(6):
            start = time.perf_counter()
            check(run() == expected, "item")
            took.append(time.perf_counter() - start)
        return sorted(took[1:])[2] / tasks * 1e6

    def submitted(executor: Any, fn: Any, *first: Any) -> list[float]:
        futures = [executor.submit(fn, *first, index) for index in numbers]
        return [future.result() for future in futures]

    values: Values = {}
    executor = allcores.ProcessPoolExecutor
    with executor(WORKERS, initializer=set_global, initargs=(array,)) as pool:
        values["global"] = timed(lambda: submitted(pool, global_item))
        values["global map"] = timed(lambda: list(pool.map(global_item, numbers)))
    with executor(WORKERS) as pool:
        shared = allcores.share(array)
        values["share"] = timed(lambda: submitted(pool, item, shared))
        values["read-only"] = timed(lambda: submitted(pool, item, fixed))
        values["partial map"] = timed(lambda: list(pool.map(partial(item, array), numbers)))
    return values


QUESTION = Question(
    name="shared_argument",
    title="The same large array for many tasks",
    how=(
        "Tasks that read one element of the same array of 64 MB. As an argument: ms a task, one "
        "after the other, every tenth time after a change in place, which that task and those "
        "after it must see. The other columns, of allcores alone, are 1,000 tasks submitted at "
        "once, us a task: with a global that an initializer has set, with a handle of "
        "`allcores.share`, with the array read-only; and as one `map`, with a global and with the "
        "array in a `partial`."
    ),
    columns=(
        Column("argument", "argument, ms"),
        Column("global", "global, µs"),
        Column("share", "share, µs"),
        Column("read-only", "read-only, µs"),
        Column("global map", "map, global, µs"),
        Column("partial map", "map, partial, µs"),
    ),
    peers=PROCESSES,
    sizes={"mb": 64, "tasks": 20, "many": 1_000},
    trial_sizes={"mb": 2, "tasks": 11, "many": 50},
    sizes_of={"allcores": {"tasks": 200}},
    rounds=3,
    rounds_at_least=2,
    budget_s=150.0,
    queue_mb=256,
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
