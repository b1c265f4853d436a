"""What does the interface of allcores cost on a Dask cluster of this machine? (C54)"""

from __future__ import annotations

import time

from benchmarks.peers import Pool
from benchmarks.question import Column, Question, Sizes, Values, check
from benchmarks.tasks import busy

ON_DASK = "allcores:dask"


def measure(pool: Pool, sizes: Sizes) -> Values:
    """Both once before the clock starts: then the cluster has the function."""
    values: Values = {}
    for name, (tasks, seconds) in sizes["maps"].items():
        list(pool.map(busy, [seconds] * 4))
        start = time.perf_counter()
        results = list(pool.map(busy, [seconds] * tasks))
        values[f"{name}_s"] = time.perf_counter() - start
        check(results == [seconds] * tasks, "busy")
    return values


QUESTION = Question(
    name="cluster",
    title="On a Dask cluster",
    how=(
        "`map` over busy loops on a `LocalCluster` of two workers with a thread each: Dask's own "
        '`map` and `gather`, and allcores\' `map` with `backend="dask"`, which sends chunks.'
    ),
    columns=(
        Column("long_s", "100 of 20 ms, s"),
        Column("short_s", "1,000 of 1 ms, s"),
    ),
    peers=("dask", ON_DASK),
    sizes={"maps": {"long": [100, 0.02], "short": [1_000, 0.001]}},
    trial_sizes={"maps": {"long": [4, 0.02], "short": [10, 0.001]}},
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
