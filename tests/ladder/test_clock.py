"""The clock of processor time: exact for threads that are no Python's, at any moment."""

from __future__ import annotations

import hashlib
import sys
import threading
import time

import pytest

from allcores._core import thread_numbers
from allcores.ladder.clock import cpu_clock


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not name their threads")
def test_all_threads_are_numbered() -> None:
    may_end = threading.Event()
    other = threading.Thread(target=may_end.wait)
    other.start()
    assert {threading.get_native_id(), other.native_id} <= set(thread_numbers())
    may_end.set()
    other.join()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not name their threads")
def test_threads_that_are_not_pythons_count_to_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that Python is made to forget, and that lets go of its lock, stands for a library's. The
    clock of the process says nothing of it for milliseconds.
    """
    has_begun, may_end = threading.Event(), threading.Event()
    data = bytes(30_000_000)

    def work() -> None:
        has_begun.set()
        while not may_end.is_set():
            hashlib.sha256(data)

    library = threading.Thread(target=work)
    library.start()
    has_begun.wait()
    with monkeypatch.context() as forgetting:
        forgetting.setattr(threading, "enumerate", lambda: [threading.current_thread()])
        clock = cpu_clock()
    its = time.pthread_getcpuclockid(library.ident or 0)
    counted = []
    for _ in range(40):
        begun_ns, its_ns, own_ns = clock(), time.clock_gettime_ns(its), time.thread_time_ns()
        while time.thread_time_ns() - own_ns < 500_000:
            pass
        own_ns = time.thread_time_ns() - own_ns
        wall_ns = time.perf_counter_ns()
        passed_ns = clock() - begun_ns
        # Reading a thread's clock brings the process's up to date: so it is read afterwards.
        its_ns = time.clock_gettime_ns(its) - its_ns
        counted.append(passed_ns >= own_ns + its_ns - (time.perf_counter_ns() - wall_ns))
    may_end.set()
    library.join()
    assert all(counted)


def test_clock_goes_on_with_the_work_of_its_thread() -> None:
    clock = cpu_clock()
    begun_ns, own_ns = clock(), time.thread_time_ns()
    while time.thread_time_ns() - own_ns < 5_000_000:
        pass
    assert clock() - begun_ns >= 5_000_000
