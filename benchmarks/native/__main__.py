"""`python -m benchmarks.native`: every kernel on each compiler, with as many threads.

Rounds are interleaved, results are compared with CPython's, and what is slower than a peer is in
the table like all else. Figures are those of the least disturbed round: kernels do the same work each
time, others on the machine only add to it; the file has all rounds and their medians. Writes `benchmarks/results/native.json` and prints the table.
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
from benchmarks.native import buffers, kernels

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
    return compiled, lambda items: list(pool.map(lambda item: compiled(*item), items))


def gilmap(fn: Callable[..., Any]) -> tuple[Callable[..., Any], Peer]:
    """gilmap, which needs Python 3.12."""
    import gilmap as peer

    return fn, lambda items: list(peer.map(fn, *zip(*items, strict=True)))


PEERS = {"native": native, "numba": numba, "gilmap": gilmap}


def seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


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
        row[peer] = {"first_s": first, "rounds_s": []}
        peers[peer] = many
    report = allcores.native.report(allcores.native(fn))
    assert report.refusal is None, report
    names = list(peers)
    for number in range(rounds):
        turn = number % len(names)
        for peer in names[turn:] + names[:turn]:
            row[peer]["rounds_s"].append(seconds(lambda peer=peer: peers[peer](items)))
    for peer in names:
        row[peer]["median_s"] = statistics.median(row[peer]["rounds_s"])
        row[peer]["least_s"] = min(row[peer]["rounds_s"])
    return row


def mean(ratios: list[float]) -> float:
    """The geometric mean."""
    return math.exp(statistics.mean(map(math.log, ratios)))


def table(rows: list[dict[str, Any]]) -> str:
    """All kernels, the best ratio first."""
    lines = [
        "| kernel | CPython, ms | native, ms | times CPython | Numba, ms | native / Numba | "
        "first call, ms | Numba's, ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]

    def ratio(row: dict[str, Any]) -> float:
        both = row["numba"].get("least_s"), row["native"]["least_s"]
        return both[0] / both[1] if both[0] else math.inf

    for row in sorted(rows, key=ratio, reverse=True):
        mine, other = row["native"], row["numba"]
        theirs = [f"{other[key] * 1e3:.3g}" if key in other else "failed" for key in
                  ("least_s", "first_s")]  # fmt: skip
        lines.append(
            f"| {row['kernel']} | {row['serial_s'] * 1e3:.3g} | {mine['least_s'] * 1e3:.3g} | "
            f"{row['serial_s'] / mine['least_s']:.3g} | {theirs[0]} | {ratio(row):.2f} | "
            f"{mine['first_s'] * 1e3:.2g} | {theirs[1]} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures, writes, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kernels", nargs="*", help="some of them")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    missing: dict[str, str] = {}
    rows = []
    for name in options.kernels or KERNELS:
        rows.append(measured(name, options.rounds, missing))
        print(f"{name}: {rows[-1]['serial_s']:.2f} s in CPython", file=sys.stderr)
    both = [row for row in rows if "least_s" in row.get("numba", {})]
    ratios = [row["numba"]["least_s"] / row["native"]["least_s"] for row in both]
    record = {
        "question": "native",
        "threads": THREADS,
        "machine": describe(),
        "versions": {"numba": version("numba")} if both else {},
        "missing": missing,
        "kernels": rows,
        "ratio_to_numba": mean(ratios) if ratios else None,
        "first_call_median_s": statistics.median(row["native"]["first_s"] for row in rows),
    }
    if not options.kernels:
        RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    print(table(rows))
    print(f"\n{len(rows)} kernels, {THREADS} threads", end="")
    if ratios:
        print(f"; geometric mean of native / Numba: {mean(ratios):.3f}", end="")
    print(f"; median of first calls: {record['first_call_median_s'] * 1e3:.2f} ms")
    for peer, why in missing.items():
        print(f"{peer} is not measured: {why}")


if __name__ == "__main__":
    main()
