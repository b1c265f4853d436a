"""The clock of processor time: exact for threads that are no Python's, at any moment."""

from __future__ import annotations

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
    """One that Python is made to forget stands for a library's."""
    has_begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        has_begun.set()
        while not may_end.is_set():
            pass

    library = threading.Thread(target=work)
    library.start()
    has_begun.wait()
    with monkeypatch.context() as forgetting:
        forgetting.setattr(threading, "enumerate", lambda: [threading.current_thread()])
        clock = cpu_clock()
    clock_of_it = time.pthread_getcpuclockid(library.ident or 0)
    own_ns, its_ns, all_ns = time.thread_time_ns(), time.clock_gettime_ns(clock_of_it), clock()
    while time.clock_gettime_ns(clock_of_it) - its_ns < 20_000_000:
        pass
    least_ns = time.thread_time_ns() - own_ns + time.clock_gettime_ns(clock_of_it) - its_ns
    assert clock() - all_ns >= least_ns - 1_000_000
    may_end.set()
    library.join()
    assert clock() - all_ns >= 20_000_000


def test_clock_goes_on_with_the_work_of_its_thread() -> None:
    clock = cpu_clock()
    begun_ns, own_ns = clock(), time.thread_time_ns()
    while time.thread_time_ns() - own_ns < 5_000_000:
        pass
    assert clock() - begun_ns >= 5_000_000
