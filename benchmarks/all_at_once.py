"""Does a task take longer because every other core has one, too? (C52)"""

from __future__ import annotations

import time

from benchmarks.peers import WORKERS, Pool
from benchmarks.question import EVERYONE, Column, Question, Sizes, Values, check
from benchmarks.tasks import count_down


def measure(pool: Pool, sizes: Sizes) -> Values:
    """A lone task and one for each worker, in turns; the quickest of each."""
    steps = sizes["steps"]
    lone = min(_seconds(pool, [steps]) for _ in range(sizes["turns"]))
    together = min(_seconds(pool, [steps] * WORKERS) for _ in range(sizes["turns"]))
    return {"lone_s": lone, "together_s": together, "over_lone": together / lone}


def _seconds(pool: Pool, steps: list[int]) -> float:
    start = time.perf_counter()
    results = list(pool.map(count_down, steps))
    took = time.perf_counter() - start
    check(results == [0] * len(steps), "count_down")
    return took


QUESTION = Question(
    name="all_at_once",
    title="One task for every core",
    how=(
        "A pure Python loop of a quarter of a second alone, and one on each worker at once, by "
        "`map`: when the last has ended, over the lone one. The best of three. 1 is perfect; what "
        "the cores share of their hardware counts, too."
    ),
    columns=(
        Column("over_lone", "last / lone"),
        Column("together_s", "last, s"),
        Column("lone_s", "lone, s"),
    ),
    peers=EVERYONE,
    sizes={"steps": 16_000_000, "turns": 3},
    trial_sizes={"steps": 200_000, "turns": 1},
    rounds=3,
    rounds_at_least=2,
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
