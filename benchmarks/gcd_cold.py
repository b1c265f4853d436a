"""What does a user wait for who runs a script that finds the textbook's ten divisors?"""

from __future__ import annotations

from benchmarks.question import EVERYONE, Column, Question

QUESTION = Question(
    name="gcd_cold",
    title="Ten greatest common divisors, whole script",
    how=(
        "A fresh interpreter: imports, pool, `map(gcd, NUMBERS)`, shutdown, exit. "
        "All of it, and the pool's part of it."
    ),
    columns=(
        Column("wall_s", "whole script, s"),
        Column("result_ms", "pool made to last result, ms"),
    ),
    peers=EVERYONE,
    sizes={"pairs": 10},
    trial_sizes={"pairs": 10},
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
