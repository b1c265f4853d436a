"""What does the first result cost, for each way to start a worker?"""

from __future__ import annotations

from benchmarks.question import Column, Question

METHODS = ("fork", "forkserver", "spawn")
ENGINES = ("stdlib", "allcores")

QUESTION = Question(
    name="cold_start",
    title="Cold start",
    how=(
        "A fresh interpreter makes a pool of two, runs one `add1`, shuts down, exits. The row "
        "`serial` is Python's own start. A name without a start method is the engine's default."
    ),
    columns=(
        Column("wall_s", "whole script, s"),
        Column("result_ms", "pool made to first result, ms"),
        Column("close_ms", "shutdown, ms"),
    ),
    peers=(
        "serial",
        "threads",
        "stdlib",
        *(f"stdlib:{method}" for method in METHODS),
        "mp-pool",
        "mp-pool:forkserver",
        "loky",
        "joblib",
        "pebble",
        "pebble:forkserver",
        "mpire",
        "mpire:spawn",
        "zooparallel",
        "allcores",
        *(f"allcores:{method}" for method in METHODS),
    ),
    sizes={"tasks": 1},
    trial_sizes={"tasks": 1},
    limit_s=20.0,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
