"""C28 to C34: what runs is cancelled, exceeds its time, or keeps a shutdown waiting."""

from __future__ import annotations

import threading
import time
from typing import Any

from benchmarks.cases import processes, tasks
from benchmarks.cases.engines import Engine, worker_pids
from benchmarks.cases.scenario import (
    PATIENCE_S,
    Bench,
    Findings,
    case,
    check_lives,
    close,
    ended,
    is_cancelled,
    name_of,
    settle,
    submit_all,
)


@case("C28", "four workers sleep for 1,000 s and are stopped at once, 3 times; all futures end")
def stopped_at_once(bench: Bench) -> str:
    found = Findings()
    for _ in range(3):
        if not found.words:
            _stop_sleepers(bench, found)
    return found.verdict()


def _stop_sleepers(bench: Bench, found: Findings) -> None:
    pool = bench.open(4)
    pids = worker_pids(pool, 4)
    handles = submit_all(pool, [(tasks.nap, 1000.0)] * 4)
    time.sleep(0.2)
    done, raised = ended(pool.stop_now, 5)
    if isinstance(raised, Exception):
        raise raised
    found.expect(done, "stopping hangs")
    gone = processes.until(lambda: not any(map(processes.is_alive, pids)), 3)
    found.expect(gone, f"{sum(map(processes.is_alive, pids))} of 4 workers survive")
    settled = settle(pool, handles, 3)
    found.expect(not settled.hanging, f"{len(settled.hanging)} of 4 futures hang")


@case(
    "C29",
    "one running call is cancelled; its neighbour goes on, its worker is replaced",
    replaces=True,
)
def cancelled_while_running(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    worker_pids(pool)
    marks = [bench.scratch / "victim", bench.scratch / "neighbour"]
    victim = pool.submit(tasks.touch_and_spin, str(marks[0]))
    neighbour = pool.submit(tasks.touch_and_nap, str(marks[1]), 1.0)
    processes.until(lambda: all(mark.exists() for mark in marks), PATIENCE_S)
    pool.cancel_running(victim)
    if pool.wait(victim, 2):
        error = pool.error(victim)
        found.expect(error is not None and is_cancelled(error), f"ends with {name_of(error)}")
    else:
        found.expect(False, "the cancelled future hangs")
    fine = pool.wait(neighbour, PATIENCE_S) and pool.error(neighbour) is None
    found.expect(fine, "the neighbour is lost")
    check_lives(found, pool)
    found.expect(len(worker_pids(pool, patience=3)) == 2, "the worker is not replaced")
    close(pool)
    return found.verdict()


@case("C30", "a call with a time limit of 1 s has started a process; both are ended", replaces=True)
def time_limit_ends_the_tree(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    note = bench.scratch / "pids"
    handle = pool.submit(tasks.start_child_and_spin, str(note), timeout=1)
    processes.until(note.exists, PATIENCE_S)
    worker, child = map(int, note.read_text().split())
    found.expect(pool.wait(handle, PATIENCE_S), "the future hangs")
    gone = processes.until(lambda: not processes.is_alive(child), 3)
    found.expect(gone, "the process it started survives")
    found.expect(processes.until(lambda: not processes.is_busy(worker), 2), "the call goes on")
    close(pool)
    return found.verdict()


@case("C31", "a call never ends; a shutdown that waits for at most 1 s returns, nobody survives")
def shutdown_with_a_limit(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    pids = worker_pids(pool)
    started = bench.scratch / "started"
    pool.submit(tasks.touch_and_spin, str(started))
    processes.until(started.exists, PATIENCE_S)
    done, raised = ended(lambda: pool.stop_within(1.0), 5)
    if isinstance(raised, Exception):
        raise raised
    found.expect(done, "hangs")
    gone = processes.until(lambda: not any(map(processes.is_alive, pids)), 2)
    found.expect(gone, f"{sum(map(processes.is_alive, pids))} of 2 workers survive")
    return found.verdict()


@case("C32", "the function itself raises `TimeoutError` for one item of four")
def users_own_timeout(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    done, outcomes = ended(lambda: pool.outcomes(tasks.raise_timeout, range(1, 5)))
    if not done:
        return "hangs"
    values = [value for value in outcomes if not isinstance(value, BaseException)]
    found.expect(values == [1, 3, 4], f"loses {3 - len(values)} of 3")
    check_lives(found, pool)
    close(pool)
    return found.verdict()


@case(
    "C33",
    "40 calls exceed their limit in a pool of 4 (the report: 1,000): never more than 5 workers",
    replaces=True,
)
def many_time_limits(bench: Bench) -> str:
    found = Findings()
    pool = bench.open(4)
    worker_pids(pool, 4)
    most = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.is_set():
            most = max(most, sum(not processes.is_helper(pid) for pid in processes.children()))
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    handles = _limited(pool, [(tasks.nap, 60.0)] * 40, 0.05)
    settled = settle(pool, handles)
    over.set()
    watcher.join()
    late = sum(isinstance(error, TimeoutError) for error in settled.errors.values())
    found.expect(not settled.hanging, f"{len(settled.hanging)} of 40 futures hang")
    if not settled.hanging:
        found.expect(late == 40, f"{40 - late} of 40 end otherwise")
    found.expect(most <= 5, f"{most} workers")
    check_lives(found, pool)
    close(pool)
    return found.verdict()


@case("C34", "one call of an open pool has a time limit; the pool goes on", replaces=True)
def time_limit_of_one_call(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    handle, other = _limited(pool, [(tasks.spin,)], 0.5)[0], pool.submit(tasks.nap, 1.0)
    if pool.wait(handle, PATIENCE_S):
        error = pool.error(handle)
        found.expect(isinstance(error, TimeoutError), f"ends with {name_of(error)}")
    else:
        found.expect(False, "the future hangs")
    fine = pool.wait(other, PATIENCE_S) and pool.error(other) is None
    found.expect(fine, "loses the neighbour")
    check_lives(found, pool)
    close(pool)
    return found.verdict()


def _limited(pool: Engine, calls: list[tuple[Any, ...]], seconds: float) -> list[Any]:
    return [pool.submit(*call, timeout=seconds) for call in calls]
