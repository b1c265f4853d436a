"""Do all workers stay busy when tasks are very unequal?"""

from __future__ import annotations

import time

from benchmarks.peers import WORKERS, Pool
from benchmarks.question import EVERYONE, Column, Question, Sizes, Values, check
from benchmarks.tasks import busy, lognormal_seconds


def measure(pool: Pool, sizes: Sizes) -> Values:
    """`map` without a chunk size. Each task uses a given amount of processor time, so the ideal
    is known.
    """
    durations = lognormal_seconds(sizes["tasks"], 1.5, sizes["total_s"])
    ideal = max(sum(durations) / WORKERS, max(durations))
    start = time.perf_counter()
    results = list(pool.map(busy, durations))
    makespan = time.perf_counter() - start
    check(results == durations, "busy")
    return {"makespan_s": makespan, "over_ideal": makespan / ideal}


QUESTION = Question(
    name="skewed",
    title="Unequal tasks",
    how=(
        "`map` over 200 busy loops of lognormal length (sigma 1.5; 2.4 s of processor time). "
        "Makespan over ideal: 1 is perfect, 2 is one core."
    ),
    columns=(Column("over_ideal", "makespan / ideal"), Column("makespan_s", "makespan, s")),
    peers=(*EVERYONE[:4], "mp-pool-one-by-one", *EVERYONE[4:]),
    sizes={"tasks": 200, "total_s": 2.4},
    trial_sizes={"tasks": 100, "total_s": 0.4},
    rounds=3,
    rounds_at_least=2,
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
