"""Runs the ladder's workloads and prints the table; `python -m benchmarks.ladder`.

Every round runs each workload once on each rung, one after the other in turns, so that what the
machine does meanwhile meets all alike. The raw times go to `benchmarks/results/ladder.json`.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import allcores
from allcores.ladder import choose

from .workloads import Workload, slow_server, workloads

RUNGS = ("serial", "threads", "processes", "auto")
RESULTS = Path(__file__).parent.parent / "results" / "ladder.json"
SLACK_S = 0.005
OF_BEST = 1.10
OF_SERIAL = 1.05

_judges: list[choose.Judge] = []


class Overheard(choose.Judge):
    """A judge whose reason is looked at afterwards."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        _judges.append(self)


def timed(workload: Workload, rung: str) -> tuple[float, str]:
    """Seconds of one map, and `auto`'s reason."""
    items = workload.items()
    gc.collect()
    _judges.clear()
    begun = time.perf_counter()
    try:
        for _ in allcores.map(workload.fn, items, backend=rung):
            pass
    except Exception as error:
        return float("nan"), f"{type(error).__name__}: {error}".partition("\n")[0]
    seconds = time.perf_counter() - begun
    return seconds, _judges[-1].reason if _judges else ""


def measured(workload: Workload, rounds: int) -> dict[str, Any]:
    """All rungs in turns."""
    seconds: dict[str, list[float]] = {rung: [] for rung in RUNGS}
    reasons = []
    for turn in range(rounds):
        for rung in RUNGS[turn % len(RUNGS) :] + RUNGS[: turn % len(RUNGS)]:
            taken, reason = timed(workload, rung)
            seconds[rung].append(taken)
            if rung == "auto":
                reasons.append(reason)
    return {"name": workload.name, "seconds": seconds, "reasons": reasons}


def judged(row: dict[str, Any]) -> dict[str, Any]:
    """The medians, and whether the bars are kept."""
    medians = {rung: statistics.median(times) for rung, times in row["seconds"].items()}
    fixed = {rung: taken for rung, taken in medians.items() if rung != "auto" and taken == taken}
    best = min(fixed, key=lambda rung: fixed[rung])
    kept = medians["auto"] <= OF_BEST * fixed[best] + SLACK_S
    safe = medians["auto"] <= OF_SERIAL * medians["serial"] + SLACK_S
    return {**row, "medians": medians, "best": best, "kept": kept, "safe": safe}


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    found = judged(row)
    times = " | ".join(f"{found['medians'][rung] * 1e3:8.1f}" for rung in RUNGS)
    mark = "yes" if found["kept"] and found["safe"] else "**no**"
    return f"| {row['name']:32} | {times} | {found['best']:9} | {mark} | {row['reasons'][-1]} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="workloads whose name has this")
    parser.add_argument("--write", action="store_true", help=f"to {RESULTS.name}")
    options = parser.parse_args()
    from allcores.ladder.backends import auto

    auto.Judge = Overheard  # type: ignore[misc]
    rows = []
    heads = " | ".join(f"{rung:>8}" for rung in RUNGS)
    print(f"| {'workload (ms)':32} | {heads} | best      | bars | reason of auto |")
    print("| --- " * (len(RUNGS) + 4) + "|")
    with slow_server() as address:
        for workload in workloads(address):
            if options.only and options.only not in workload.name:
                continue
            if workload.needs and importlib.util.find_spec(workload.needs) is None:
                print(f"| {workload.name:32} | needs {workload.needs} |")
                continue
            rows.append(measured(workload, options.rounds))
            print(line(rows[-1]), flush=True)
    found = [judged(row) for row in rows]
    kept = sum(row["kept"] and row["safe"] for row in found)
    print(f"\n{kept} of {len(rows)} within the bars")
    if options.write:
        machine = {
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": sys.version.split()[0],
        }
        RESULTS.write_text(json.dumps({"machine": machine, "rows": found}, indent=1) + "\n")
    return 0 if kept == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
