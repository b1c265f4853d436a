"""Two tasks and two workers: do they take as long as the longer one? (C47)"""

from __future__ import annotations

import time

from benchmarks.peers import Pool
from benchmarks.question import EVERYONE, Column, Question, Sizes, Values, check
from benchmarks.tasks import busy

PATIENT = ("stdlib", "mp-pool", "allcores")
"""The others are asked for the short pair only."""


def measure(pool: Pool, sizes: Sizes) -> Values:
    """Each task uses a given amount of processor time."""
    pairs: dict[str, list[float]] = sizes["pairs"]
    return {f"{name}_over_longer": _over_longer(pool, pair) for name, pair in pairs.items()}


def _over_longer(pool: Pool, seconds: list[float]) -> float:
    start = time.perf_counter()
    results = list(pool.map(busy, seconds))
    took = time.perf_counter() - start
    check(results == seconds, "busy")
    return took / max(seconds)


QUESTION = Question(
    name="two_tasks",
    title="Two long tasks",
    how=(
        "`map` over two busy loops, of 6 s and of 4 s, and of 0.6 s and 0.4 s: the time of both "
        "over that of the longer one. 1 is perfect, 1.67 is one after the other."
    ),
    columns=(
        Column("long_over_longer", "6 s and 4 s, over 6 s"),
        Column("short_over_longer", "0.6 s and 0.4 s, over 0.6 s"),
    ),
    peers=EVERYONE,
    sizes={"pairs": {"long": [6.0, 4.0], "short": [0.6, 0.4]}},
    trial_sizes={"pairs": {"long": [0.12, 0.08], "short": [0.06, 0.04]}},
    sizes_of={peer: {"pairs": {"short": [0.6, 0.4]}} for peer in EVERYONE if peer not in PATIENT},
    rounds=3,
    rounds_at_least=2,
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
