"""Maps of compiled functions share threads that stay for a while: forks, many callers, the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import allcores


@allcores.native
def steps(n: int) -> int:
    count = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        count += 1
    return count


@allcores.native
def endless(n: int) -> int:
    while n:
        pass
    return n


ITEMS = list(range(1, 400))
EXPECTED = [steps.function(n) for n in ITEMS]


def helpers() -> int:
    """How many of the system's threads are there for maps."""
    found = 0
    for task in os.listdir("/proc/self/task"):
        try:
            name = Path(f"/proc/self/task/{task}/comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += name == "allcores-native"
    return found


def assert_child_succeeds() -> None:
    """A forked child maps as its parent did, twice."""
    child = os.fork()
    if child == 0:
        fine = all(steps.map(ITEMS, 3) == EXPECTED for _ in range(2))
        os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_map_of_one_thread_starts_none_and_none_stays() -> None:
    while helpers():  # those of earlier maps
        os.sched_yield()
    assert steps.map(ITEMS, 1) == EXPECTED
    assert helpers() == 0
    for _ in range(100):
        assert steps.map(ITEMS, 3) == EXPECTED
    while helpers():
        os.sched_yield()


def test_more_threads_than_cores_or_items_change_nothing() -> None:
    assert steps.map(ITEMS, 16) == EXPECTED
    assert steps.map(ITEMS[:3], 16) == EXPECTED[:3]
    assert steps.map([], 16) == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_child_that_is_forked_after_a_map_has_threads_of_its_own() -> None:
    assert steps.map(ITEMS, 3) == EXPECTED
    assert_child_succeeds()
    assert steps.map(ITEMS, 3) == EXPECTED


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_child_that_is_forked_during_maps_has_threads_of_its_own() -> None:
    over = threading.Event()

    def maps() -> None:
        while not over.is_set():
            assert steps.map(ITEMS, 3) == EXPECTED

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(maps)
        try:
            for _ in range(20):
                assert_child_succeeds()
        finally:
            over.set()
        ended.result()


def test_processes_work_after_a_map() -> None:
    assert steps.map(ITEMS, 2) == EXPECTED
    assert list(allcores.map(steps, ITEMS[:9], backend="processes", max_workers=2)) == EXPECTED[:9]
    assert steps.map(ITEMS, 2) == EXPECTED


def test_maps_of_many_threads_go_on_at_once() -> None:
    def several(first: int) -> bool:
        items, expected = ITEMS[first:], EXPECTED[first:]
        return all(steps.map(items, 2) == expected for _ in range(50))

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(several, range(6)))


def test_program_ends_beside_a_map_without_end() -> None:
    program = (
        "import threading\n"
        "from native.test_crew import endless\n"
        "threading.Thread(target=endless.map, args=([0] * 9 + [1] * 9, 3), daemon=True).start()\n"
        "print(endless.map([0, 0], 2), flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 0]\n", "")


FORKED_IN_A_THREAD = """
import os, signal, sys, threading
from native.test_crew import endless
signal.signal(signal.SIGINT, signal.default_int_handler)

def forks():
    assert endless(0) == 0
    child = os.fork()
    if child == 0:
        try:
            print(os.getpid(), flush=True)
            endless(1)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        os._exit(0)
    os.waitpid(child, 0)

thread = threading.Thread(target=forks)
thread.start()
thread.join()
"""


def test_ctrl_c_stops_the_child_that_a_thread_has_forked() -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", FORKED_IN_A_THREAD],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    ) as process:
        assert process.stdout is not None
        os.kill(int(process.stdout.readline()), signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
    assert process.returncode == 0
