"""The workload of a report about a slower pool: is `multiprocessing.Pool` quicker? (C50)"""

from __future__ import annotations

import time

from benchmarks.peers import Pool
from benchmarks.question import PROCESSES, Column, Question, Sizes, Values, check
from benchmarks.tasks import summed


def measure(pool: Pool, sizes: Sizes) -> Values:
    """Many lists of numbers, each added up; once by `map`, once one by one where there is
    `submit`.
    """
    lists = [list(range(start, start + sizes["length"])) for start in range(sizes["tasks"])]
    expected = [sum(each) for each in lists]

    start = time.perf_counter()
    results = list(pool.map(summed, lists))
    mapped = time.perf_counter() - start
    check(results == expected, "summed")
    values: Values = {"map_s": mapped}

    submit, result = pool.submit, pool.result
    if submit is not None and result is not None:
        start = time.perf_counter()
        handles = [submit(summed, each) for each in lists]
        results = [result(handle) for handle in handles]
        values["submit_s"] = time.perf_counter() - start
        check(results == expected, "summed")
    return values


QUESTION = Question(
    name="like_pool",
    title="Lists to add up",
    how=(
        "4,000 lists of 1,000 numbers are added up, by `map` without a chunk size and by a "
        "`submit` each, on a warm pool."
    ),
    columns=(Column("map_s", "map, s"), Column("submit_s", "submit, s")),
    peers=PROCESSES,
    sizes={"tasks": 4_000, "length": 1_000},
    trial_sizes={"tasks": 100, "length": 1_000},
    rounds=3,
    rounds_at_least=2,
    queue_mb=256,
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
