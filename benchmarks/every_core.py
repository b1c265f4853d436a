"""Is every core at work, however short the tasks, and how much can one parent feed?

Efficiency is the processor time that the tasks took, over workers times wall time, for a growing
number of workers. The parent itself needs a core while it feeds: when all cores have a worker it
takes the time from them, and its share grows as tasks become shorter. Where that ends is measured
with tasks that do nothing: one parent feeds as many a second as fit into a second of its own
processor time, so with `n` workers tasks shorter than `n` divided by that rate leave some idle.
"""

from __future__ import annotations

import itertools
import os
import time
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peers import Pool, open_pool
from benchmarks.question import Column, Question, Sizes, Values, check
from benchmarks.report import OURS, STANDARD, Answer
from benchmarks.tasks import add1, busy_exactly, nap

WAYS = ("submit", "map")


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def counts_of_workers(most: int) -> list[int]:
    """1, 2, 4 and so on, and as many as there are cores."""
    powers = [2**power for power in range(most.bit_length()) if 2**power < most]
    return [*powers, most]


def measure(pool: Pool, sizes: Sizes) -> Values:
    """Pools of its own for each number of workers; `pool` says whose."""
    values: Values = {"cores": cores()}
    most = min(cores(), sizes["most_workers"])
    for workers in counts_of_workers(most):
        own = open_pool(pool.name, workers=workers)
        list(own.map(nap, [0.02] * workers * 4))
        for way, micros in product(WAYS, sizes["durations_us"]):
            key = f"{way}_{micros}us_{workers}"
            values[key] = _efficiency(own, way, micros / 1e6, workers, sizes["wall_s"])
        if workers == most:
            for way in WAYS:
                values[f"{way}_feeds"] = _feeds(own, way, sizes["idle_tasks"])
            for way, micros in product(WAYS, sizes["durations_us"]):
                values[f"{way}_{micros}us"] = values[f"{way}_{micros}us_{workers}"]
        own.close()
    return values


def _efficiency(pool: Pool, way: str, seconds: float, workers: int, wall_s: float) -> float:
    """The first tenth is not counted: what a call takes is not known then."""
    tasks = max(int(wall_s * workers / seconds), workers)
    _run(pool, way, busy_exactly, [seconds] * (tasks // 10 + 1))
    start = time.perf_counter()
    worked: list[float] = _run(pool, way, busy_exactly, [seconds] * tasks)
    wall = time.perf_counter() - start
    check(len(worked) == tasks and min(worked) >= seconds, "busy_exactly")
    return sum(worked) / (workers * wall)


def _feeds(pool: Pool, way: str, tasks: int) -> float:
    """Tasks that fit into a second of the parent's processor time."""
    _run(pool, way, add1, list(range(tasks // 10)))
    before = time.process_time()
    results = _run(pool, way, add1, list(range(tasks)))
    cpu = time.process_time() - before
    check(results == list(range(1, tasks + 1)), "add1")
    return tasks / cpu


def _run(pool: Pool, way: str, fn: Any, items: list[Any]) -> list[Any]:
    if way == "map":
        return list(pool.map(fn, items))
    submit, result = pool.submit, pool.result
    assert submit is not None
    assert result is not None
    return [result(handle) for handle in [submit(fn, item) for item in items]]


def derive(rounds: dict[str, list[Values]]) -> None:
    """Down to which length of a task one parent keeps all cores busy."""
    for values, way in product(itertools.chain.from_iterable(rounds.values()), WAYS):
        values[f"{way}_limit_us"] = values["cores"] / values[f"{way}_feeds"] * 1e6


def draw(answer: Answer, path: Path) -> None:
    """Efficiency by number of workers, one line a duration, ours and the standard pool's."""
    import matplotlib  # type: ignore[import-not-found, unused-ignore]

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "allcores", "svg.fonttype": "none"}
    from matplotlib import pyplot

    durations = answer.record["sizes"]["durations_us"]
    figure, panels = pyplot.subplots(1, len(WAYS), figsize=(9, 3.6), sharey=True)
    for panel, way in zip(panels, WAYS, strict=True):
        peers = [peer for peer in (OURS, STANDARD) if peer in answer.rounds]
        for (shade, micros), peer in product(enumerate(durations), peers):
            workers, heights = _line(answer, peer, f"{way}_{micros}us_")
            style = "o-" if peer == OURS else "x:"
            label = f"{peer}, {micros:,} µs"
            panel.plot(workers, heights, style, color=f"C{shade}", label=label)
            panel.set_xticks(workers)
        panel.set(title=way, xlabel="workers", ylim=(0, 1.05))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("work / (workers x wall)")
    figure.tight_layout()
    figure.subplots_adjust(right=0.8)
    figure.legend(*panels[0].get_legend_handles_labels(), fontsize="small", loc="center right")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _line(answer: Answer, peer: str, prefix: str) -> tuple[list[int], list[float]]:
    rounds = answer.rounds[peer]
    found = sorted(int(key.removeprefix(prefix)) for key in rounds[0] if key.startswith(prefix))
    return found, [median(values[f"{prefix}{workers}"] for values in rounds) for workers in found]


def _columns() -> tuple[Column, ...]:
    efficiencies = [
        Column(f"{way}_{micros}us", f"{way}, {micros / 1000:g} ms", "more")
        for way, micros in product(WAYS, (100, 1_000, 10_000))
    ]
    feeds = [Column(f"{way}_feeds", f"one parent feeds by {way}, tasks/s", "more") for way in WAYS]
    limits = [Column(f"{way}_limit_us", f"all cores down to, by {way}, µs") for way in WAYS]
    return (*efficiencies, *feeds, *limits)


QUESTION = Question(
    name="every_core",
    title="Every core",
    how=(
        "Busy loops of 0.1, 1 and 10 ms by `submit` and by `map` without a chunk size, on 1, 2, 4 "
        "and so on workers, up to one a core: processor time of the tasks over workers times wall "
        "time. The table has the figures for all cores, [the plot](results/every_core.svg) those "
        "for fewer. The parent needs some of the cores' time itself. The last columns: no-op tasks "
        "that fit into a second of the parent's processor time, and hence how long tasks must be "
        "for one parent to keep all cores at work."
    ),
    columns=_columns(),
    peers=("stdlib", "mp-pool", "loky", "zooparallel", "allcores"),
    sizes={
        "durations_us": [100, 1_000, 10_000],
        "wall_s": 0.4,
        "idle_tasks": 20_000,
        "most_workers": 64,
    },
    trial_sizes={
        "durations_us": [100, 1_000, 10_000],
        "wall_s": 0.02,
        "idle_tasks": 200,
        "most_workers": 2,
    },
    rounds=3,
    rounds_at_least=2,
    measure=measure,
    derive=derive,
    draw=draw,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
