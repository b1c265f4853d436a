"""`python -m benchmarks.native`: every kernel on each compiler, with as many threads.

Rounds are interleaved, results are compared with CPython's, and what is slower than a peer is in
the table like all else. Figures are those of the least disturbed round: a kernel does the same work
each time, and others on the machine only add to it; on one thread it is the time of that thread on
a core. All rounds are in `benchmarks/results/native.json`, with their medians. `--gilmap` names an
interpreter that has gilmap (`benchmarks.native.one_number` says how to make one): a second table.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import allcores
from benchmarks.machine import describe
from benchmarks.native import buffers, kernels, one_number

THREADS = 2
RESULTS = Path(__file__).parent.parent / "results" / "native.json"
KERNELS = {**kernels.KERNELS, **buffers.KERNELS}

Peer = Callable[[list[tuple[Any, ...]]], list[Any]]


def native(fn: Callable[..., Any]) -> tuple[Callable[..., Any], Peer]:
    """Our own: one call, and many on all threads."""
    compiled = allcores.native(fn)
    single = len(KERNELS[fn.__name__][1][0]) == 1

    def many(items: list[tuple[Any, ...]]) -> list[Any]:
        return compiled.map([item[0] for item in items] if single else items, THREADS)

    return compiled, many


def numba(fn: Callable[..., Any]) -> tuple[Callable[..., Any], Peer]:
    """Numba without the interpreter's lock, in a pool of threads."""
    from numba import njit

    module = sys.modules[fn.__module__]
    twins: dict[str, Any] = dict(vars(module))
    for name, each in vars(module).items():
        if isinstance(each, types.FunctionType) and each.__module__ == module.__name__:
            copy = types.FunctionType(each.__code__, twins, name, each.__defaults__)
            twins[name] = njit(nogil=True)(copy)
    compiled = twins[fn.__name__]
    pool = ThreadPoolExecutor(THREADS)

    def many(items: list[tuple[Any, ...]]) -> list[Any]:
        parts = [items[first::THREADS] for first in range(THREADS)]
        done = list(pool.map(lambda part: [compiled(*item) for item in part], parts))
        return [done[at % THREADS][at // THREADS] for at in range(len(items))]

    return compiled, many


PEERS = {"native": native, "numba": numba}


def seconds(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    begun = clock()
    call()
    return clock() - begun


def measured(name: str, rounds: int, missing: dict[str, str]) -> dict[str, Any]:
    """One kernel on every peer that is there."""
    fn, items = KERNELS[name]
    expected: list[Any] = []
    serial = seconds(lambda: expected.extend(fn(*item) for item in items))
    row: dict[str, Any] = {"kernel": name, "items": len(items), "serial_s": serial}
    peers = {}
    for peer, make in PEERS.items():
        if peer in missing:
            continue
        try:
            one, many = make(fn)
            first = seconds(lambda one=one: one(*items[0]))
            results = many(items)
        except ImportError as error:
            missing[peer] = str(error)
            continue
        except Exception as error:
            row[peer] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
            continue
        if any(a != b for a, b in zip(results, expected, strict=True)):
            row[peer] = {"failed": "another result than CPython's"}
            continue
        row[peer] = {"first_s": first, "one_thread_s": [], "threads_s": []}
        peers[peer] = (lambda one=one: [one(*item) for item in items]), many
    report = allcores.native.report(allcores.native(fn))
    assert report.refusal is None, report
    names = list(peers)
    for number in range(rounds):
        turn = number % len(names)
        for peer in names[turn:] + names[:turn]:
            alone, many = peers[peer]
            row[peer]["one_thread_s"].append(seconds(alone, time.thread_time))
            row[peer]["threads_s"].append(seconds(lambda many=many: many(items)))
    return row


def mean(ratios: list[float]) -> float:
    """The geometric mean."""
    return math.exp(statistics.mean(map(math.log, ratios)))


def ratio(row: dict[str, Any], way: str) -> float:
    """How many times as fast as Numba; infinite where that failed."""
    other = row["numba"].get(way)
    return float(min(other) / min(row["native"][way])) if other else math.inf


def table(rows: list[dict[str, Any]]) -> str:
    """All kernels, the best ratio first."""
    lines = [
        "| kernel | CPython, ms | native, ms | Numba, ms | native / Numba | on two threads: "
        "native, ms | times CPython | native / Numba | first call, ms | Numba's, ms |",
        f"| --- |{' ---: |' * 9}",
    ]
    for row in sorted(rows, key=lambda row: ratio(row, "one_thread_s"), reverse=True):
        mine, other = row["native"], row["numba"]
        one, both = min(mine["one_thread_s"]), min(mine["threads_s"])
        their_one, their_first = "failed", "failed"
        if "failed" not in other:
            their_one = f"{min(other['one_thread_s']) * 1e3:.3g}"
            their_first = f"{other['first_s'] * 1e3:.3g}"
        lines.append(
            f"| {row['kernel']} | {row['serial_s'] * 1e3:.3g} | {one * 1e3:.3g} | {their_one} | "
            f"{ratio(row, 'one_thread_s'):.2f} | {both * 1e3:.3g} | {row['serial_s'] / both:.3g} | "
            f"{ratio(row, 'threads_s'):.2f} | {mine['first_s'] * 1e3:.2g} | {their_first} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures, writes, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kernels", nargs="*", help="some of them")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--gilmap", help="an interpreter that has gilmap, from Python 3.12 on")
    options = parser.parse_args()
    missing: dict[str, str] = {}
    rows = []
    for name in options.kernels or KERNELS:
        rows.append(measured(name, options.rounds, missing))
        print(f"{name}: {rows[-1]['serial_s']:.2f} s in CPython", file=sys.stderr)
    both = [row for row in rows if "one_thread_s" in row.get("numba", {})]
    means = {
        way: mean([ratio(row, way) for row in both]) if both else None
        for way in ("one_thread_s", "threads_s")
    }
    beside = one_number.beside(options.gilmap, options.rounds) if options.gilmap else []
    first_s = statistics.median(row["native"]["first_s"] for row in rows)
    record = {
        "question": "native",
        "threads": THREADS,
        "machine": describe(),
        "versions": {"numba": version("numba")} if both else {},
        "missing": missing,
        "kernels": rows,
        "gilmap": beside,
        "ratio_to_numba": means,
        "first_call_median_s": first_s,
    }
    if not options.kernels:
        RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    print(table(rows))
    print(f"\n{len(rows)} kernels; median of first calls: {first_s * 1e3:.2f} ms")
    for way, value in means.items():
        print(f"geometric mean of native / Numba, {way}: {value}")
    if beside:
        print(f"\n{one_number.table(beside)}")
    for peer, why in missing.items():
        print(f"{peer} is not measured: {why}")


if __name__ == "__main__":
    main()
