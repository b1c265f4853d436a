"""Prints the bars of the project against the measured figures: `python -m benchmarks.bars`. Exit
code 1 if one fails.

A bar compares medians of all rounds of one interleaved run; behind it stands the median of the
same-round ratios.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.cold_start import METHODS
from benchmarks.report import OURS, STANDARD, Answer, figure, load

NO_RIVALS = {OURS, STANDARD, "serial", "threads"}
"""What a script that uses processes is not compared with, and the one that has a bar of its own."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One promise: our figure, in the unit that the words say, must be at least (or at most)
    `need`.
    """

    words: str
    need: float
    found: float | None
    at_most: bool = False
    detail: str = ""

    @property
    def holds(self) -> bool:
        """False also when nothing was measured."""
        if self.found is None:
            return False
        return self.found <= self.need if self.at_most else self.found >= self.need


def compare(
    words: str, need: float, answer: Answer | None, key: str, rival: str, rival_key: str = ""
) -> Bar:
    """How many times better than a rival we are."""
    if answer is None:
        return Bar(words, need, None, detail="not measured")
    rival_key = rival_key or key
    column = next(column for column in answer.question.columns if column.key == key)
    ours, theirs = answer.median(OURS, key), answer.median(rival, rival_key)
    if not ours or not theirs:
        return Bar(words, need, None, detail=f"no figure of {rival if ours else OURS}")
    times = ours / theirs if column.better == "more" else theirs / ours
    detail = f"{figure(ours)} against {figure(theirs)}"
    same_round = answer.times_better(column, OURS, than=rival) if rival_key == key else None
    if same_round is not None:
        detail += f"; same-round ratios x{figure(same_round)}"
    return Bar(words, need, times, detail=detail)


def at_most(words: str, need: float, answer: Answer | None, key: str) -> Bar:
    """No more than so much."""
    found = answer.median(OURS, key) if answer else None
    return Bar(words, need, found, at_most=True, detail="" if answer else "not measured")


def at_least(words: str, need: float, answer: Answer | None, key: str) -> Bar:
    """No less than so much."""
    return replace(at_most(words, need, answer, key), at_most=False)


def part_of(
    words: str, need: float, answer: Answer | None, key: str, *, ours: str = OURS, rival: str
) -> Bar:
    """What part of a rival's figure ours is, of figures of which less is better."""
    mine = answer.median(ours, key) if answer else None
    theirs = answer.median(rival, key) if answer else None
    if not mine or not theirs:
        return Bar(words, need, None, at_most=True, detail="not measured")
    detail = f"{figure(mine)} against {figure(theirs)}"
    return Bar(words, need, mine / theirs, at_most=True, detail=detail)


def bars_of_starts() -> Iterator[Bar]:
    """The promises about cold starts."""
    first = load("cold_start")
    for method in METHODS:
        names = {"ours": f"{OURS}:{method}", "rival": f"{STANDARD}:{method}"}
        yield part_of(f"first result by {method}, of stdlib's", 1.1, first, "result_ms", **names)
    for method, need in (("forkserver", 0.6), ("fork", 2.0)):
        words = f"first result by default, of stdlib's by {method}"
        yield part_of(words, need, first, "result_ms", rival=f"{STANDARD}:{method}")
    script = load("gcd_cold")
    yield part_of("ten gcds, whole script, of stdlib's", 1.03, script, "wall_s", rival=STANDARD)
    rivals = [] if script is None else [each for each in script.rounds if each not in NO_RIVALS]
    for rival in rivals:
        yield part_of(f"ten gcds, whole script, of {rival}'s", 1.0, script, "wall_s", rival=rival)
    rows = load("pool_rows")
    one, row = (rows.median(OURS, key) if rows else None for key in ("one_ms", "row_ms"))
    found = row / one if row and one else None
    detail = f"{figure(row)} against {figure(one)}" if row and one else "not measured"
    yield Bar("fifty pools in a row, times the first", 2.0, found, at_most=True, detail=detail)


def bars_of_payloads() -> Iterator[Bar]:
    """The promises about large arguments and results."""
    payload = load("payload")
    for label, way, need in (
        ("64 MB", "in", 15),
        ("64 MB", "echo", 10),
        ("1 MB", "in", 5),
        ("1 MB", "echo", 5),
        ("8 KB", "in", 8),
        ("8 KB", "echo", 8),
    ):
        for kind in ("ndarray", "bytes") if label != "64 MB" else ("ndarray",):
            key = f"{kind} {label} {way}"
            yield compare(f"{key}, times stdlib", need, payload, key, STANDARD)
    words, key = "ndarray 64 MB in, of memcpy", "ndarray 64 MB in"
    yield compare(words, 0.5, payload, key, OURS, "memcpy")
    memory = load("payload_memory")
    yield at_most("512 MB in, memory of all, times its size", 1.05, memory, "in")
    yield at_most("512 MB echoed, memory of all, times its size", 2.1, memory, "echo")
    shared = load("shared_argument")
    words = "the same 64 MB argument, times stdlib"
    yield compare(words, 20, shared, "argument", STANDARD)
    for key in ("share", "read-only"):
        yield compare(f"64 MB by {key}, rate of a global", 0.5, shared, key, OURS, "global")
    words = "64 MB in a partial, rate of a global"
    yield compare(words, 0.5, shared, "partial map", OURS, "global map")


def bars() -> Iterator[Bar]:
    """All promises that these benchmarks can check."""
    submit = load("tiny_submit")
    yield compare("20,000 submits, times stdlib", 20, submit, "tasks_per_s", STANDARD)
    yield compare("20,000 submits, times zooparallel", 5, submit, "tasks_per_s", "zooparallel")
    yield at_most("20,000 submits, parent's CPU a task, us", 6, submit, "parent_cpu_us")
    yield compare(
        "map without chunk size, times best hand-chunked Pool.map",
        1.0,
        load("tiny_map"),
        "default",
        "mp-pool",
        "best",
    )
    yield at_least("tiny calls a second (C45)", 114_000, submit, "tasks_per_s")
    trips = load("latency")
    yield compare("latency p50, times better than stdlib", 10, trips, "p50_us", STANDARD)
    yield at_most("latency p50, times a pipe's", 6, trips, "pipes")
    yield at_most("latency p99, times p50", 4, trips, "p99_over_p50")
    yield at_most("unequal tasks, makespan over ideal", 1.05, load("skewed"), "over_ideal")
    pairs = load("two_tasks")
    yield at_most("tasks of 6 s and 4 s, over 6 s (C47)", 6.1 / 6, pairs, "long_over_longer")
    sizes = load("chunk_size")
    yield at_most(
        "a million items, best chunk size, times none (C48)", 1.2, sizes, "best_over_default"
    )
    lists = load("like_pool")
    yield compare("lists to add up, times Pool (C50)", 1.0, lists, "map_s", "mp-pool")
    yield at_most("a task a core, last over lone (C52)", 1.15, load("all_at_once"), "over_lone")
    cluster = load("cluster")
    words, ours = "100 tasks of 20 ms on Dask, of Dask's own map (C54)", f"{OURS}:dask"
    yield part_of(words, 1.05, cluster, "long_s", ours=ours, rival="dask")
    lazy = load("lazy_map")
    yield at_most("a million items by generator, MB in the parent", 20, lazy, "grown_mb")
    memory = load("pending_memory")
    pending = memory.median(OURS, "bytes") if memory else None
    yield Bar("pending future, bytes in the parent", 1000, pending, at_most=True)
    warm = load("gcd_warm")
    yield compare("ten gcds on a warm pool, times serial", 1.7, warm, "map_s", "serial")
    yield compare("ten gcds on a warm pool, times stdlib", 1.0, warm, "map_s", STANDARD)
    yield from bars_of_payloads()
    yield from bars_of_starts()


def main() -> int:
    """One line a bar."""
    failed = 0
    for bar in bars():
        failed += not bar.holds
        found = "-" if bar.found is None else figure(bar.found)
        sign = "<=" if bar.at_most else ">="
        verdict = "pass" if bar.holds else "FAIL"
        line = f"{verdict}  {bar.words:58} {found:>8} {sign} {figure(bar.need):<6} {bar.detail}"
        print(line.rstrip())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
