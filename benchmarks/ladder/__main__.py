"""Runs the ladder's workloads and prints the table; `python -m benchmarks.ladder`.

Every round runs each workload once on each rung, one after the other in turns, so that what the
machine does meanwhile meets all alike. With `--write` the raw times go to
`benchmarks/results/ladder.json`; `python -m benchmarks.report` makes the table of them.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import sys
import time
from typing import Any

import allcores
from allcores.ladder import choose

from ..machine import describe
from .table import RESULTS, RUNGS, head, judged, line, total
from .workloads import Workload, slow_server, workloads

_judges: list[choose.Judge] = []


class Overheard(choose.Judge):
    """A judge whose reason is looked at afterwards."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        _judges.append(self)


def timed(workload: Workload, rung: str) -> tuple[float | None, str]:
    """Seconds of one map, None if it failed, and `auto`'s reason."""
    items = workload.items()
    gc.collect()
    _judges.clear()
    begun = time.perf_counter()
    try:
        for _ in allcores.map(workload.fn, items, backend=rung):
            pass
    except Exception as error:
        return None, f"{type(error).__name__}: {error}".partition("\n")[0]
    seconds = time.perf_counter() - begun
    return seconds, _judges[-1].reason if _judges else ""


def measured(workload: Workload, rounds: int) -> dict[str, Any]:
    """All rungs in turns."""
    seconds: dict[str, list[float | None]] = {rung: [] for rung in RUNGS}
    reasons = []
    for turn in range(rounds):
        for rung in RUNGS[turn % len(RUNGS) :] + RUNGS[: turn % len(RUNGS)]:
            taken, reason = timed(workload, rung)
            seconds[rung].append(taken)
            if rung == "auto":
                reasons.append(reason)
    return {"name": workload.name, "seconds": seconds, "reasons": reasons}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="workloads whose name has this")
    parser.add_argument("--write", action="store_true", help=f"to {RESULTS.name}")
    options = parser.parse_args()
    from allcores.ladder.backends import auto

    auto.Judge = Overheard  # type: ignore[misc]
    rows = []
    machine = describe()
    print(head())
    with slow_server() as address:
        for workload in workloads(address):
            if options.only and options.only not in workload.name:
                continue
            if workload.needs and importlib.util.find_spec(workload.needs) is None:
                print(f"| {workload.name} | needs {workload.needs} |")
                continue
            rows.append(measured(workload, options.rounds))
            print(line(rows[-1]), flush=True)
    print(f"\n{total(rows)}")
    if options.write:
        record = {"machine": machine, "rounds": options.rounds, "rows": rows}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if all(row["kept"] and row["safe"] for row in map(judged, rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
