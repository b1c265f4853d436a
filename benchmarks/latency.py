"""How long does one task take, there and back, when nothing else is going on?"""

from __future__ import annotations

import itertools
import time

from benchmarks.peers import Pool
from benchmarks.question import EVERYONE, Column, Question, Sizes, Values, check
from benchmarks.tasks import add1


def measure(pool: Pool, sizes: Sizes) -> Values:
    """One task at a time; a tenth of them to warm up."""
    call, trips = pool.call, sizes["trips"]
    for i in range(trips // 10):
        call(add1, i)

    took, right = [], True
    clock = time.perf_counter
    for i in range(trips):
        start = clock()
        value = call(add1, i)
        took.append(clock() - start)
        right &= value == i + 1

    check(right, "add1")
    took.sort()
    p50, p99 = took[trips // 2] * 1e6, took[trips * 99 // 100] * 1e6
    return {"p50_us": p50, "p99_us": p99, "p99_over_p50": p99 / p50}


def derive(rounds: dict[str, list[Values]]) -> None:
    """How many bare round trips of the same round one task takes."""
    bare = {values["round"]: values["p50_us"] for values in rounds.get("pipe", ())}
    for values in itertools.chain.from_iterable(rounds.values()):
        if values["round"] in bare:
            values["pipes"] = values["p50_us"] / bare[values["round"]]


QUESTION = Question(
    name="latency",
    title="There and back",
    how=(
        "2,000 x `submit(add1, i).result()`, one at a time, on a warm pool "
        "(joblib: a call of its own each, 200 of them). The row `pipe` is no pool: one byte "
        "through a pipe to a process that sends it back through another."
    ),
    columns=(
        Column("p50_us", "p50, µs"),
        Column("p99_us", "p99, µs"),
        Column("p99_over_p50", "p99 / p50", "neither"),
        Column("pipes", "p50 / that of a pipe", "neither"),
    ),
    peers=("pipe", *EVERYONE),
    sizes={"trips": 2_000},
    trial_sizes={"trips": 100},
    sizes_of={"joblib": {"trips": 200}},
    measure=measure,
    derive=derive,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
