"""How many tiny items a second through `map`, if nobody thinks of a chunk size, and if somebody
does?
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from statistics import median
from typing import Any

from benchmarks.peers import Pool
from benchmarks.question import EVERYONE, Column, Question, Sizes, Values, check
from benchmarks.tasks import add1, add1_all

SLOW = ("threads", "stdlib", "loky", "pebble", "mpire", "zooparallel")
"""Without a chunk size these need up to a minute for 200,000 items: they get fewer."""


def measure(pool: Pool, sizes: Sizes) -> Values:
    """Default chunking; each chunk size by hand; lists made by hand."""
    few: int = sizes["default_items"]
    items: int = sizes["items"]
    repeats: int = sizes["repeats"]
    values: Values = {
        "default_items": few,
        "default": _rate(lambda: pool.map(add1, range(few)), few, repeats),
    }
    chunked = pool.map_chunked
    if chunked is not None:
        many: int = sizes.get("chunked_items", items)
        for size in sizes["chunks"]:
            mapped = partial(chunked, add1, range(many), size)
            values[f"chunk_{size}"] = _rate(mapped, many, repeats)
    if pool.name != "serial":
        length = sizes["list_length"]
        values["lists"] = _rate(lambda: _through_lists(pool, items, length), items, repeats)
    return values


def _through_lists(pool: Pool, items: int, length: int) -> Iterable[Any]:
    lists = [list(range(start, min(start + length, items))) for start in range(0, items, length)]
    return (number for part in pool.map(add1_all, lists) for number in part)


def _rate(mapped: Callable[[], Iterable[Any]], items: int, repeats: int) -> float:
    """Items per second: the median of some repeats, after one that doesn't count if they are
    quick.
    """
    took = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        results = list(mapped())
        took.append(time.perf_counter() - start)
        check(results == list(range(1, items + 1)), "add1")
        if took[0] > 0.5:
            return items / took[0]
    return items / median(took[1:])


def derive(rounds: dict[str, list[Values]]) -> None:
    """The best chunk size of a peer is the one with the best median over all rounds."""
    for values in rounds.values():
        keys = [key for key in values[0] if key.startswith("chunk_")]
        if keys:
            best = max(keys, key=lambda key: median(value[key] for value in values))
            for value in values:
                value["best"], value["best_size"] = value[best], int(best.removeprefix("chunk_"))


QUESTION = Question(
    name="tiny_map",
    title="Tiny items through map",
    how=(
        "`map(add1, range(200_000))` on a warm pool: without a chunk size (slow peers: 10,000 "
        "items), with the best of three chunk sizes, and as lists of 10,000 that the user made and "
        "takes apart."
    ),
    columns=(
        Column("default", "no chunk size, items/s", "more"),
        Column("best", "best chunk size by hand, items/s", "more"),
        Column("best_size", "that size", "neither"),
        Column("lists", "lists of 10,000, items/s", "more"),
    ),
    peers=EVERYONE,
    sizes={
        "items": 200_000,
        "default_items": 200_000,
        "chunks": [1_000, 5_000, 25_000],
        "list_length": 10_000,
        "repeats": 3,
    },
    trial_sizes={
        "items": 20_000,
        "default_items": 1_000,
        "chunks": [1_000, 5_000],
        "list_length": 1_000,
        "repeats": 1,
    },
    sizes_of={
        **{peer: {"default_items": 10_000} for peer in SLOW},
        "mpire": {"default_items": 10_000, "chunked_items": 20_000},
    },
    budget_s=130.0,
    measure=measure,
    derive=derive,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
