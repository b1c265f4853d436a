"""Is a chunk size chosen by hand better than none? (C48)"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from statistics import median
from typing import Any

from benchmarks.peers import Pool
from benchmarks.question import Column, Question, Sizes, Values, check
from benchmarks.tasks import microsecond

HASTY = ("stdlib", "loky")
"""Without a chunk size these need minutes for a million items: they get fewer."""


def measure(pool: Pool, sizes: Sizes) -> Values:
    """Items per second: without a chunk size, and with each of some."""
    few, items = sizes["default_items"], sizes["items"]
    values: Values = {"default": _rate(lambda: pool.map(microsecond, range(few)), few)}
    chunked = pool.map_chunked
    if chunked is not None:
        for size in sizes["chunks"]:
            values[f"chunk_{size}"] = _rate(
                partial(chunked, microsecond, range(items), size), items
            )
    return values


def _rate(mapped: Callable[[], Iterable[Any]], items: int) -> float:
    start = time.perf_counter()
    results = list(mapped())
    took = time.perf_counter() - start
    check(results == list(range(items)), "microsecond")
    return items / took


def derive(rounds: dict[str, list[Values]]) -> None:
    """The best chunk size of a peer is the one with the best median over all rounds."""
    for values in rounds.values():
        keys = [key for key in values[0] if key.startswith("chunk_")]
        if keys:
            best = max(keys, key=lambda key: median(value[key] for value in values))
            for value in values:
                value["best"], value["best_size"] = value[best], int(best.removeprefix("chunk_"))
                value["best_over_default"] = value["best"] / value["default"]


QUESTION = Question(
    name="chunk_size",
    title="A million items of a microsecond",
    how=(
        "`map` over 1,000,000 items whose function counts for a microsecond, on a warm pool: "
        "without a chunk size (standard pool and loky: 10,000 items) and with the best of five."
    ),
    columns=(
        Column("default", "no chunk size, items/s", "more"),
        Column("best", "best chunk size by hand, items/s", "more"),
        Column("best_size", "that size", "neither"),
        Column("best_over_default", "best / none", "neither"),
    ),
    peers=("serial", "stdlib", "mp-pool", "loky", "allcores"),
    sizes={
        "items": 1_000_000,
        "default_items": 1_000_000,
        "chunks": [100, 1_000, 5_000, 25_000, 100_000],
    },
    trial_sizes={"items": 20_000, "default_items": 1_000, "chunks": [1_000, 5_000]},
    sizes_of={peer: {"default_items": 10_000} for peer in HASTY},
    rounds=3,
    rounds_at_least=2,
    measure=measure,
    derive=derive,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
