"""Workers that start while the caller still computes: used as soon as they are there, and ended if
they were not needed.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import allcores
from allcores.ladder import beside, machine
from allcores.ladder.backends.auto import AutoExecutor
from allcores.ladder.choose import Judge
from allcores.ladder.options import OpenOptions
from allcores.ladder.warm import Warm
from allcores.ladder.watch import Watch, hurried

pytestmark = pytest.mark.usefixtures("two_cores")


def spun(_: object) -> int:
    """A millisecond of computing."""
    end = time.thread_time() + 0.001
    while time.thread_time() < end:
        pass
    return os.getpid()


@pytest.mark.parametrize("has_threads", [False, True])
def test_endless_map_moves_once_workers_are_there(has_threads: bool) -> None:
    may_end = threading.Event()
    if has_threads:  # so that nothing may be forked
        other = threading.Thread(target=may_end.wait)
        other.start()
    results = allcores.map(spun, itertools.count(), max_workers=2)
    first = next(results)
    assert first == os.getpid()
    assert next(pid for pid in results if pid != first)
    results.close()  # type: ignore[attr-defined]
    may_end.set()
    if has_threads:
        other.join()


class Started:
    """Workers that are there when the test says so."""

    has_begun = is_ready = has_failed = False

    def begin(self, fn: Any, count: int, on_ready: Any) -> None:
        self.has_begun, self.on_ready = True, on_ready


def warming(item_ns: int = 1_000_000) -> tuple[Judge, Started]:
    """A judge whose workers are on their way."""
    warm: Any = Started()
    judge = Judge(abs, {"processes": 2}, set(), warm=warm)
    judge._probe.free_share = 0.0
    for _ in range(60):
        judge.on_block([1], [1], False, item_ns, item_ns)
        judge.where(10_000)
    assert warm.has_begun
    assert judge.where(10_000) == "serial"
    return judge, warm


def test_caller_goes_on_until_workers_are_there() -> None:
    judge, warm = warming()
    assert "before workers had started" in judge.reason
    warm.is_ready = True
    assert judge.where(10_000) == "processes"
    assert judge.reason.startswith("processes: ")
    assert judge.keeps(10_000) == 0


def test_workers_that_can_not_start_are_asked_for_in_the_usual_way() -> None:
    """Who needs them hears why."""
    judge, warm = warming()
    warm.has_failed = True
    assert judge.where(10_000) == "processes"
    assert judge.keeps(10_000) > 0


def test_items_begin_on_workers_that_are_ready_while_a_block_runs() -> None:
    judge, warm = warming()
    went: list[str] = []
    ended = judge.beside(9_000, went.append)
    assert ended is not None
    warm.is_ready = True
    warm.on_ready()
    assert went == ["processes"]
    ended()
    assert judge.where(9_000) == "processes"
    assert judge.keeps(9_000) == 0


def test_items_without_a_length_are_taken_in_the_thread_of_the_caller() -> None:
    judge, warm = warming()
    assert judge.beside(None, lambda rung: None) is None
    warm.is_ready = True
    warm.on_ready()
    assert judge.where(None) == "processes"


def test_generator_is_never_run_by_another_thread() -> None:
    """Its values are taken while workers start, and when they are there."""
    threads: set[threading.Thread] = set()

    def values() -> Iterator[int]:
        for value in itertools.count():
            threads.add(threading.current_thread())
            yield value

    results = allcores.map(spun, values(), max_workers=2)
    first = next(results)
    assert next(pid for pid in results if pid != first)
    results.close()  # type: ignore[attr-defined]
    assert threads == {threading.current_thread()}


def test_nothing_begins_after_the_block_has_ended() -> None:
    judge, warm = warming()
    went: list[str] = []
    ended = judge.beside(9_000, went.append)
    assert ended is not None
    ended()
    warm.is_ready = True
    warm.on_ready()
    assert not went


def test_long_items_leave_at_once() -> None:
    warm: Any = Started()
    judge = Judge(abs, {"processes": 2}, set(), warm=warm)
    judge._probe.free_share = 0.0
    judge.on_block([1], [1], False, 900_000_000, 900_000_000)
    assert judge.where(50) == "processes"
    assert not warm.has_begun


@pytest.mark.parametrize(("most", "expected"), [(beside.SEVERAL, False), (9.0, True)])
def test_nothing_starts_beside_a_function_that_has_threads_of_its_own(
    monkeypatch: pytest.MonkeyPatch, most: float, expected: bool
) -> None:
    """They wait for each other, and each of them for a core."""
    monkeypatch.setattr(beside, "SEVERAL", most)
    warm: Any = Started()
    judge = Judge(abs, {"processes": 2}, set(), warm=warm)
    judge._probe.free_share = 0.0
    for _ in range(20):
        judge.on_block([1], [1], False, 4_000_000, 7_000_000)
        judge.where(30)
    assert warm.has_begun is expected


def test_workers_that_were_not_needed_end_with_the_executor() -> None:
    """The fixture of all tests finds what is left over."""
    executor = AutoExecutor(OpenOptions(max_workers=2))
    is_ready = threading.Event()
    executor._warm.begin(spun, 2, is_ready.set)
    assert is_ready.wait(50)
    assert executor._warm.is_ready
    executor.shutdown()


def test_workers_that_are_still_starting_do_not_hold_up_the_end() -> None:
    executor = AutoExecutor(OpenOptions(max_workers=2))
    executor._warm.begin(spun, 2, lambda: None)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(spun, 1)


def test_failure_to_start_is_told_and_not_raised() -> None:
    def fail(name: str) -> Any:
        raise OSError("no processes")

    warm = Warm(fail)
    warm.begin(spun, 2, lambda: None)
    warm.end(wait=True)
    assert warm.has_failed
    assert not warm.is_ready


def test_start_is_learnt_from_real_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[str] = []
    monkeypatch.setattr(machine.Machine, "learn", lambda self, name, value: learnt.append(name))
    is_ready = threading.Event()
    with allcores.Executor("auto", max_workers=2) as executor:
        inner: Any = executor._rung
        inner._warm.begin(spun, 2, is_ready.set)
        assert is_ready.wait(50)
    assert len(learnt) == 1
    assert learnt[0].endswith("_start_ns")


def test_usual_interval_comes_back_when_all_have_hurried() -> None:
    usual_s = sys.getswitchinterval()
    has_begun, may_end = threading.Event(), threading.Event()

    def other() -> None:
        with hurried():
            has_begun.set()
            may_end.wait()

    with hurried():
        thread = threading.Thread(target=other)
        thread.start()
        has_begun.wait()
    assert sys.getswitchinterval() < usual_s
    may_end.set()
    thread.join()
    assert sys.getswitchinterval() == usual_s


def test_usual_interval_comes_back_in_a_forked_child() -> None:
    usual_s = sys.getswitchinterval()
    with hurried():
        pid = os.fork()
        if pid == 0:
            os._exit(0 if sys.getswitchinterval() == usual_s else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_watch_does_not_look_while_somebody_hurries() -> None:
    """The holder of the lock gives way sooner then, and would seem to let it go."""
    with hurried():
        watch = Watch()
        while watch.passed_ns() < 30_000_000:
            pass
        assert watch.seen_ns() == 0
        assert watch.stop() is None
