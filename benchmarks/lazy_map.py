"""A million items from a generator: how fast, how far ahead, and what does the parent grow by?
(C64)
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers import Pool
from benchmarks.question import EVERYONE, Column, Question, Sizes, Values, check
from benchmarks.tasks import add1

SLOW = ("threads", "stdlib", "loky", "joblib", "pebble", "mpire", "zooparallel")
"""One item a task: these need minutes for a million. They get fewer."""


class Source:
    """Numbers, one by one, and how many more were taken than results were given."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.given = 0
        self.lead = 0

    def __iter__(self) -> Iterator[int]:
        for number in range(self.items):
            ahead = number - self.given
            if ahead > self.lead:
                self.lead = ahead
            yield number


def measure(pool: Pool, sizes: Sizes) -> Values:
    """The consumer takes each result and drops it."""
    items = sizes["items"]
    list(pool.map(add1, (number for number in range(sizes["warm"]))))

    source = Source(items)
    right = True
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    start = time.perf_counter()
    for number, value in enumerate(pool.map(add1, source), 1):
        right &= value == number
        source.given = number
    took = time.perf_counter() - start
    grown = _memory("VmHWM") - before

    check(right and source.given == items, "add1")
    return {"items": items, "rate": items / took, "grown_mb": grown / 1e6, "lead": source.lead + 1}


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line.split()[1] for line in lines if line.startswith(field + ":"))
    return int(found) * 1024


QUESTION = Question(
    name="lazy_map",
    title="A map over a generator",
    how=(
        "`for result in map(add1, generator)` on a warm pool; slow peers get fewer items. Growth: "
        "from the memory of the parent before to its peak. Lead: the most items that were taken "
        "and whose results were not given yet."
    ),
    columns=(
        Column("rate", "items/s", "more"),
        Column("grown_mb", "growth of the parent, MB"),
        Column("lead", "largest lead, items"),
        Column("items", "items", "neither"),
    ),
    peers=EVERYONE,
    sizes={"items": 1_000_000, "warm": 10_000},
    trial_sizes={"items": 2_000, "warm": 100},
    sizes_of={peer: {"items": 20_000, "warm": 1_000} for peer in SLOW},
    rounds=3,
    rounds_at_least=2,
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
