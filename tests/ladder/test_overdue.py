"""A block in the caller that takes long is seen while it runs, and what comes after it goes on."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import allcores
from allcores._core import Lookout
from allcores.ladder import beside, machine, overdue
from allcores.ladder.beside import Running
from allcores.ladder.choose import Judge
from allcores.ladder.overdue import Overdue
from allcores.ladder.probe import Probe, Unpicklable
from allcores.ladder.watch import clock_of_this_thread

pytestmark = pytest.mark.usefixtures("two_cores")

LONG_NS = 400_000_000


def at_once() -> float:
    """How old a block has to be."""
    return 0.0


def await_end(watcher: Overdue) -> None:
    """Waits until nobody looks."""
    until = time.monotonic() + 50
    while not watcher.has_ended:
        assert time.monotonic() < until
        threading.Event().wait(0.01)


def test_block_is_spoken_of_while_it_runs_and_more_rarely_the_longer_it_takes() -> None:
    spoken: list[int] = []
    is_enough = threading.Event()

    def on_long(passed_ns: int) -> bool:
        spoken.append(passed_ns)
        if len(spoken) == 5:
            is_enough.set()
        return len(spoken) < 5

    watcher = Overdue(on_long, at_once, 0)
    watcher.block_begins(time.perf_counter_ns())
    assert is_enough.wait(50)
    watcher.stop(wait=True)
    assert spoken[0] >= overdue.LOOK_S * 1e9
    assert all(later >= overdue.GROWTH * one for one, later in itertools.pairwise(spoken))
    assert watcher.has_ended


def test_new_block_is_no_older_than_it_is() -> None:
    spoken: list[int] = []
    is_time = threading.Semaphore(0)

    def on_long(passed_ns: int) -> bool:
        spoken.append(passed_ns)
        is_time.release()
        return True

    watcher = Overdue(on_long, at_once, 0)
    watcher.block_begins(time.perf_counter_ns())
    while len(spoken) < 8:
        assert is_time.acquire(timeout=50)
    watcher.block_ended()
    known = len(spoken)
    begun_ns = time.perf_counter_ns()
    watcher.block_begins(begun_ns)
    while len(spoken) == known:
        assert is_time.acquire(timeout=50)
    first_ns = spoken[known]
    assert first_ns <= time.perf_counter_ns() - begun_ns
    watcher.stop(wait=True)


def test_after_much_work_it_looks_rarely() -> None:
    watcher = Overdue(lambda _: False, at_once, 80_000_000_000)
    assert 10.0 <= watcher.look_s() < 20.0
    watcher.stop(wait=True)  # which does not take so long


def test_nobody_looks_any_more_where_nobody_asks_for_results() -> None:
    watcher = Overdue(lambda _: True, at_once, 0)
    watcher.block_begins(time.perf_counter_ns())
    watcher.block_ended()
    await_end(watcher)
    watcher.stop(wait=True)


def test_nor_after_it_has_spoken() -> None:
    has_spoken = threading.Event()
    watcher = Overdue(lambda _: not has_spoken.set(), at_once, 0)
    watcher.block_begins(time.perf_counter_ns())
    assert has_spoken.wait(50)
    watcher.block_ended()
    await_end(watcher)
    watcher.stop(wait=True)


def test_nobody_speaks_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the end of a program; what is not caught there is printed, which fails this test."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError

    monkeypatch.setattr(threading.Thread, "start", refuse)
    watcher = Overdue(lambda _: True, at_once, 0)
    watcher.block_begins(time.perf_counter_ns())
    await_end(watcher)
    watcher.stop(wait=True)


def test_running_block_counts_only_meanwhile() -> None:
    probe = Probe(abs)
    probe.on_block([1], [1], False, 1_000_000, 1_000_000)
    with probe.as_if_ended(1, 9_000_000, 0.1):
        assert (probe.done, probe.wall_ns, probe.item_ns()) == (2, 10_000_000, 5e6)
        assert probe.busy_cores() < 1.0
    assert (probe.done, probe.wall_ns, probe.item_ns()) == (1, 1_000_000, 1e6)


class Started:
    """Workers that were started, or not."""

    has_begun = is_ready = has_failed = False

    def begin(self, *_: Any) -> None:
        self.has_begun = True


def short(
    open_rungs: set[str], fn: Any = abs, *, cores: float = 1.0, free: float | None = 0.0
) -> tuple[Judge, Started, list[str]]:
    """The judge of a map with short items, that have used so many cores; and where others went."""
    warm: Any = Started()
    judge = Judge(fn, {"threads": 6, "processes": 2}, open_rungs, warm=warm)
    judge._probe.free_share = free
    with suppress(Unpicklable):
        judge._probe.weigh_function()  # however long that takes on a busy machine
    for _ in range(200):
        judge.on_block([1], [1], False, 15_000, int(15_000 * cores))
        assert judge.where(100) == "serial"
    judge._size = 1
    went: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        # After so much work it sleeps for longer than any test: only the test says what is long.
        patched.setattr(beside, "Overdue", lambda *given: Overdue(*given[:2], 10**13))
        judge.beside(100, went.append)
    return judge, warm, went


def test_workers_start_while_a_block_takes_long() -> None:
    judge, warm, went = short(set())
    judge._beside._on_long(300_000)
    assert not warm.has_begun
    assert judge._beside._on_long(LONG_NS)
    assert warm.has_begun
    assert not went
    warm.is_ready = True
    assert not judge._beside._on_long(LONG_NS)
    assert went == ["processes"]
    judge.end()


def test_workers_that_are_there_get_the_other_items_at_once() -> None:
    judge, _, went = short({"processes"})
    assert not judge._beside._on_long(LONG_NS)
    assert judge._beside._on_long(LONG_NS)
    assert went == ["processes"]
    judge._ended()
    assert judge.where(100) == "processes"
    assert judge.keeps(100) == 0
    judge.end()


@pytest.mark.parametrize(("busy", "expected"), [(0.0, ["threads"]), (0.9, []), (None, [])])
def test_items_after_one_that_waits_go_to_threads(
    monkeypatch: pytest.MonkeyPatch, busy: float | None, expected: list[str]
) -> None:
    """Not after one of which that isn't known."""
    judge, warm, went = short(set(), free=None)
    warm.has_begun = True
    judge._probe.forget()
    monkeypatch.setattr(Running, "busy_cores", lambda self: busy)
    judge._beside._on_long(LONG_NS)
    assert went == expected
    judge.end()


def test_wait_for_a_core_is_no_wait() -> None:
    """A thread that computes is seen to, however busy others keep the cores."""
    running = Running(1, 1, lambda *_: None, clock_of_this_thread())
    assert running.busy_cores() is None
    end_ns = time.thread_time_ns() + 50_000_000
    while time.thread_time_ns() < end_ns:
        pass
    assert (running.busy_cores() or 1.0) > 0.7
    threading.Event().wait(0.1)
    assert (running.busy_cores() or 0.0) < 0.5


@pytest.mark.parametrize("fn", [threading.Lock().acquire, lambda _: LOCK])
def test_function_that_can_not_be_sent_stays(fn: Any) -> None:
    judge, warm, went = short({"processes"}, fn)
    judge._beside._on_long(LONG_NS)
    judge.end()
    judge, warm, more = short(set(), fn)
    judge._beside._on_long(LONG_NS)
    judge.end()
    assert not went
    assert not more
    assert not warm.has_begun


LOCK = threading.Lock()


class Seen:
    """A watch that has seen the lock held."""

    def seen_ns(self) -> int:
        return 50_000_000

    def share(self) -> float:
        return 0.0

    def stop(self) -> float:
        return 0.0


def test_watch_sees_long_blocks_too() -> None:
    judge, _, went = short({"processes"}, free=None)
    assert judge._on_tick(4_000_000, 0.0)  # of a watch that is not known yet
    running, judge._watch = judge._beside._running, Seen()  # type: ignore[assignment]
    assert running is not None
    now_ns = time.perf_counter_ns()
    running.begun_ns = now_ns + 3600 * 10**9  # however long this thread is kept from a core
    assert judge._on_tick(4_000_000, 0.0)
    assert not went
    running.begun_ns = now_ns - LONG_NS
    assert not judge._on_tick(4_000_000, 0.0)
    assert went == ["processes"]
    judge._ended()
    assert judge._watch is None
    judge.end()


def test_what_is_long_is_told_by_blocks_that_nobody_adds_to_meanwhile() -> None:
    judge, *_ = short(set())
    found: list[float | None] = []
    asked = threading.Thread(target=lambda: found.append(judge._beside._least_ns()))
    with judge._beside._lock:
        asked.start()
        judge.on_block([1], [1], False, 15_000, 15_000)
        judge._beside._running = None
        assert not found
    asked.join()
    assert found == [None]
    judge.end()


def test_nothing_begins_once_the_block_has_ended() -> None:
    judge, _, went = short({"processes"})
    judge._ended()
    assert judge._beside._on_long(LONG_NS)
    assert not went
    judge.end()


def test_server_is_not_started_for_what_a_fork_does_sooner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process without threads: what starts beside a block must be a server, which takes longer
    than a block that ends soon."""
    monkeypatch.setattr(beside, "would_fork", lambda *, own: own == 1)
    judge, warm, _ = short(set())
    assert judge._beside._on_long(50_000_000)
    assert not warm.has_begun
    judge._beside._on_long(LONG_NS)
    assert warm.has_begun
    judge.end()


def test_no_thread_looks_beside_a_function_with_threads_of_its_own() -> None:
    """It would take a core from them, and they wait for each other."""
    judge, *_ = short(set(), cores=1.9)
    assert judge._beside._overdue is None


def test_no_thread_is_there_when_workers_are_forked() -> None:
    """Beside one they can't be."""
    judge, warm, _ = short(set())
    judge._ended()
    judge._probe.weigh_function()
    begun: list[object] = []
    warm.begin = lambda *_: begun.append(judge._beside._overdue)  # type: ignore[method-assign]
    assert judge._beside._overdue is not None
    assert judge._beside.waits_for_start(100)
    assert begun == [None]
    judge.beside(100, lambda rung: None)
    assert judge._beside._overdue is not None
    judge._ended()
    warm.has_failed = True
    judge._decide(Chosen("processes"), 100)  # type: ignore[arg-type]
    assert judge._beside._overdue is None
    judge.end()


class Chosen:
    """A verdict."""

    def __init__(self, rung: str) -> None:
        self.rung = self.reason = rung


def test_thread_of_ours_does_not_change_what_a_start_will_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is gone by then."""
    monkeypatch.setattr(machine, "would_fork", lambda *, own: own == 1)
    judge, *_ = short(set())
    judge._adviser._costs.clear()
    assert judge._adviser.value("processes_start_ns") == machine.USUAL["processes_start_ns"]
    judge.end()
    judge._adviser._costs.clear()
    assert judge._adviser.value("processes_start_ns") > machine.USUAL["processes_start_ns"]


def released(path: str, role: str) -> str:
    """A short item; one that takes until a later one has run, or that later one."""
    if role == "last":
        Path(path).touch()
    while role == "long" and not Path(path).exists():
        end = time.perf_counter() + 0.02  # who gives the lock up often keeps others from it
        while time.perf_counter() < end:
            pass
    sum(range(50_000))
    return role


@pytest.mark.parametrize("has_threads", [False, True])
def test_items_after_a_long_one_run_meanwhile(tmp_path: Path, has_threads: bool) -> None:
    """Or it would never end."""
    may_end = threading.Event()
    if has_threads:
        other = threading.Thread(target=may_end.wait)
        other.start()
    roles = ["short"] * 20 + ["long"] + ["short"] * 20 + ["last"]
    path = str(tmp_path / "go")
    assert list(allcores.map(released, [path] * len(roles), roles, max_workers=2)) == roles
    may_end.set()
    if has_threads:
        other.join()


FORKS = """
import os, threading, time
import allcores

def item(number):
    end = time.perf_counter() + 0.001
    while time.perf_counter() < end:
        pass
    if number == 30:
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            return os.waitstatus_to_exitcode(status)
    return 0

lock = threading.Lock()
parent = os.getpid()
results = list(allcores.map(lambda number: lock and item(number), range(60)))
if os.getpid() != parent:
    os._exit(0 if len(results) == 60 else 1)
assert results == [0] * 60, results
"""


def test_map_goes_on_in_a_child_that_one_of_its_items_forks_off() -> None:
    """Where nobody looks: it has none of the threads."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_lookout_lets_go_of_whom_it_calls_and_asks_again_when_it_is_told_to() -> None:
    ages: list[int] = []
    has_gone = threading.Event()

    def ring(age: int) -> float | None:
        ages.append(age)
        return None if len(ages) == 3 else 2.0 * age

    weakref.finalize(ring, has_gone.set)
    lookout = Lookout(ring, 0, 0.001, 8.0, 0.01)
    lookout.block_begins()
    until = time.monotonic() + 50
    while len(ages) < 3:
        assert time.monotonic() < until
        threading.Event().wait(0.005)
    lookout.block_ended()
    del ring
    assert has_gone.wait(50)
    assert lookout.has_ended
    assert all(later >= 2 * one for one, later in itertools.pairwise(ages))
    lookout.stop(wait=True)
