"""C66 to C68, C84 to C87: memory, context, nesting."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import time
from contextlib import suppress

from benchmarks.cases import processes, tasks
from benchmarks.cases.engines import worker_pids
from benchmarks.cases.scenario import (
    PATIENCE_S,
    Bench,
    Findings,
    case,
    check_lives,
    close,
    ended,
    name_of,
    settle,
    submit_all,
    trouble,
)


@case(
    "C66",
    "400 results of 1 MB from a `map`, 8 ahead where that can be said, one taken every 3 ms: "
    "memory within 50 MB",
    limit_s=30,
)
def results_are_let_go(bench: Bench) -> str:
    pool = bench.open()
    trouble(pool)
    before = processes.memory_of()
    most = 0
    for _ in pool.map_ahead(bytes, [1 << 20] * 400, 8):
        time.sleep(0.003)
        most = max(most, processes.memory_of() - before)
    grown = most >> 20
    bench.counts["megabytes"] = grown
    close(pool)
    return "holds" if grown <= 50 else f"grows by {grown} MB"


@case("C67", "a worker keeps a cache of 400 MB on purpose; it is not replaced")
def cache_is_no_leak(bench: Bench) -> str:
    pool = bench.open(1)
    handles = [pool.submit(tasks.cache_state, 0.1) for _ in range(12)]
    handles.append(pool.submit(tasks.fill_cache, 400))
    handles += [pool.submit(tasks.cache_state, 0.1) for _ in range(25)]
    settled = settle(pool, handles)
    close(pool)
    if settled.hanging or settled.errors:
        return "loses calls"
    kept = all(settled.values[i] == (settled.values[12], 400 << 20) for i in range(13, 38))
    return "holds" if kept else "replaces the worker"


@case(
    "C68",
    "50,000 calls wait, nobody holds their futures: at most 300 bytes each, given back afterwards "
    "(the report: 1,000,000)",
    limit_s=60,
)
def waiting_calls_are_small(bench: Bench) -> str:
    count = 50_000
    found = Findings()
    pool = bench.open()
    trouble(pool)
    gate = bench.scratch / "gate"
    for _ in range(2):
        pool.submit(wait_for, str(gate))
    time.sleep(0.2)
    before = _settled_memory()
    for number in range(count):
        pool.submit(tasks.add_one, number)
    each = (_settled_memory() - before) / count
    gate.touch()
    last = pool.submit(tasks.add_one, 1)
    if not pool.wait(last, 30):
        return "hangs"
    processes.until(lambda: _settled_memory() - before < 0.25 * each * count, 3, 0.2)
    kept = (_settled_memory() - before) / count
    bench.counts.update(bytes_each=round(each), bytes_kept=round(kept))
    rounded = f"{round(each, -1):,.0f}"
    found.expect(each <= 300, f"{rounded} bytes each")
    found.expect(kept < max(60.0, 0.25 * each), f"keeps {round(kept, -1):,.0f} of them")
    close(pool)
    return found.verdict()


def wait_for(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(0.005)


def _settled_memory() -> int:
    """Private memory, after what can be given back was given back."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    return processes.memory_of(field="RssAnon")


@case(
    "C84",
    "a context variable set after the start, and log records: seen in workers, in callbacks, in "
    "the parent's handler in order",
)
def context_and_logs(bench: Bench) -> str:
    found = Findings()
    records: list[tuple[int, int]] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            pid, number = record.getMessage().split()
            records.append((int(pid), int(number)))

    tasks.LOGGER.addHandler(Keeper())
    pool = bench.open(context_vars=[tasks.NAME], forward_logs=True)
    worker_pids(pool)
    tasks.NAME.set("set late")
    done, seen = ended(lambda: list(pool.map(tasks.name_and_log, range(50), 1)))
    if not done or isinstance(seen, BaseException):
        return "hangs" if not done else f"raises {name_of(seen)}"
    found.expect(all(name == "set late" for name, _ in seen), "no context in workers")
    called: list[str] = []
    with suppress(Exception):
        handle = pool.submit(tasks.nap, 0.05)
        pool.when_done(handle, lambda _: called.append(tasks.NAME.get()))
        pool.wait(handle, PATIENCE_S)
        processes.until(lambda: called, 2)
    found.expect(called == ["set late"], "none in callbacks")
    processes.until(lambda: len(records) >= 50, 2)
    by_worker: dict[int, list[int]] = {}
    for pid, number in records:
        by_worker.setdefault(pid, []).append(number)
    found.expect(len(records) == 50, f"{len(records) or 'no'} log records")
    found.expect(all(numbers == sorted(numbers) for numbers in by_worker.values()), "out of order")
    close(pool)
    return found.verdict()


@case("C85", "a call opens a pool of its own")
def pool_in_a_call(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    settled = settle(pool, submit_all(pool, [(tasks.nested, bench.engine, 1, 2)]), 12)
    if settled.hanging:
        return "hangs"
    if settled.errors:
        return f"raises {name_of(settled.errors[0])}"
    check_lives(found, pool)
    close(pool)
    return found.verdict()


@case("C86", "three pools inside each other, each of the default size: busy workers ≤ cores")
def three_levels(bench: Bench) -> str:
    cores = len(os.sched_getaffinity(0))
    pool = bench.open(None)
    calls = [(tasks.nested, bench.engine, 2, None)] * cores
    settled = settle(pool, submit_all(pool, calls), 14)
    if settled.hanging:
        return "hangs"
    if settled.errors:
        return f"raises {name_of(settled.errors[0])}"
    times = [span for spans in settled.values.values() for span in spans]
    most = max(sum(begun <= at < end for begun, end in times) for at, _ in times)
    close(pool)
    return "holds" if most <= cores else f"{most} on {cores} cores"


@case("C87", "each worker, one a core, multiplies matrices with numpy: BLAS threads ≤ cores")
def blas_in_workers(bench: Bench) -> str:
    cores = len(os.sched_getaffinity(0))
    pool = bench.open(cores)
    pids = worker_pids(pool, cores)
    settled = settle(pool, submit_all(pool, [(tasks.blas_threads, 1200)] * len(pids)), 14)
    if settled.hanging or settled.errors:
        return "hangs" if settled.hanging else f"raises {name_of(settled.errors[0])}"
    busy = sum(settled.values.values())
    close(pool)
    return "holds" if busy <= cores else f"{busy} on {cores} cores"
