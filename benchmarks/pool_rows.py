"""What do fifty pools cost, one after the other, as a library makes that has one a call?"""

from __future__ import annotations

from benchmarks.question import Column, Question

QUESTION = Question(
    name="pool_rows",
    title="Pools in a row",
    how=(
        "A fresh interpreter makes a pool of two, runs one `add1`, shuts down; fifty times. The "
        "first time everything is imported."
    ),
    columns=(
        Column("one_ms", "the first, ms"),
        Column("more_ms", "each of the others, ms"),
        Column("row_ms", "all fifty, ms"),
    ),
    peers=(
        "threads",
        "stdlib",
        "stdlib:forkserver",
        "stdlib:spawn",
        "mp-pool",
        "allcores",
        "allcores:fork",
        "allcores:forkserver",
        "allcores:spawn",
    ),
    sizes={"blocks": 50},
    trial_sizes={"blocks": 50},
    limit_s=20.0,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
