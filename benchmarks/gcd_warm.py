"""What does a warm pool make of the textbook's ten pairs?"""

from __future__ import annotations

import math
import time

from benchmarks.peers import Pool
from benchmarks.question import EVERYONE, Column, Question, Sizes, Values, check


def measure(pool: Pool, sizes: Sizes) -> Values:
    """One `map` over the pairs."""
    from gcd import NUMBERS, gcd  # in examples/gcd, which is on the path of measured interpreters

    pairs = NUMBERS[: sizes["pairs"]]
    start = time.perf_counter()
    results = list(pool.map(gcd, pairs))
    took = time.perf_counter() - start
    check(results == [math.gcd(a, b) for a, b in pairs], "gcd")
    return {"map_s": took}


QUESTION = Question(
    name="gcd_warm",
    title="Ten greatest common divisors, warm pool",
    how="`map(gcd, NUMBERS)` of `examples/gcd` on a pool whose workers are up.",
    columns=(Column("map_s", "ten pairs, s"),),
    peers=EVERYONE,
    sizes={"pairs": 10},
    trial_sizes={"pairs": 3},
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
