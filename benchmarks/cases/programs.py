"""Programs that a scenario looks at from outside: `python -m benchmarks.cases.programs NAME …`.

Each ends as a user's script would, by reaching its end, unless it is killed before.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.cases import tasks
from benchmarks.cases.engines import NotOffered, open_engine


def leave_recycling(engine: str, scratch: str) -> None:
    """C16"""
    pool = open_engine(engine, recycle=1)
    for number in range(4):
        pool.submit(tasks.write_line, f"{scratch}/done", number)
    pool.shutdown(wait=False)


def forget_recycling(engine: str, scratch: str) -> None:
    """C17"""

    def futures() -> tuple[Any, list[Any]]:
        pool = open_engine(engine, recycle=1)
        handles = [pool.submit(tasks.add_one, number) for number in range(4)]
        judge = pool.wait
        pool.drop()
        return judge, handles

    judge, handles = futures()
    if not all(judge(handle, 4) for handle in handles):
        raise TimeoutError("a future hangs")


def work_until_killed(engine: str, scratch: str, kind: str) -> None:
    """C69: says `ready` when both workers are there, and at work if `kind` is `busy`."""
    pool = open_engine(engine)
    marks = [Path(scratch, f"{kind}-{i}") for i in range(2)]
    for mark in marks:
        if kind == "busy":
            pool.submit(tasks.touch_and_spin, str(mark))
        else:
            pool.submit(tasks.touch_and_nap, str(mark), 0.2)
    while not all(mark.exists() for mark in marks):
        time.sleep(0.01)
    time.sleep(0.5)
    print("ready", flush=True)
    time.sleep(1000)


def middle(engine: str, scratch: str) -> None:
    """C74: a process between this program and the workers; says its number."""
    between = multiprocessing.get_context("spawn").Process(
        target=work_until_killed, args=(engine, scratch, "busy")
    )
    between.start()
    print(between.pid, flush=True)
    between.join()
    time.sleep(1000)


def map_until_interrupted(engine: str, scratch: str) -> None:
    """C71: says `ready` when results come."""
    pool = open_engine(engine)
    try:
        for number, _ in enumerate(pool.map(tasks.nap, [0.02] * 5000, 1)):
            if number == 10:
                print("ready", flush=True)
    except KeyboardInterrupt:
        pool.shutdown(cancel=True)
        raise


def abandon(engine: str, scratch: str) -> None:
    """C72"""
    pool = open_engine(engine)
    started = Path(scratch, "started")
    pool.submit(tasks.touch_and_nap, str(started), 1000.0)
    while not started.exists():
        time.sleep(0.01)
    pool.leave()
    print("left", flush=True)


def submit_after_main(engine: str, scratch: str) -> None:
    """C73"""
    pool = open_engine(engine)
    pool.wait(pool.submit(tasks.add_one, 0), 5)

    def late() -> None:
        threading.main_thread().join()
        handle = pool.submit(tasks.add_one, 1)
        if pool.wait(handle, 4):
            print(pool.value(handle), flush=True)
        pool.shutdown()

    threading.Thread(target=late).start()


if __name__ == "__main__":
    try:
        globals()[sys.argv[1]](*sys.argv[2:])
    except NotOffered as missing:
        print(f"n/a: {missing}", flush=True)
