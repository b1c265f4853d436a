"""The rules by which `auto` decides, from what was measured to the rung."""

from __future__ import annotations

import builtins
import hashlib
import math
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support import rungs

import allcores
from allcores.ladder import choose, stay
from allcores.ladder import probe as probe_module
from allcores.ladder.backends import interpreters
from allcores.ladder.choose import Judge
from allcores.ladder.clock import cpu_clock
from allcores.ladder.probe import Probe

TWO = {"threads": 6, "processes": 2}
pytestmark = pytest.mark.usefixtures("two_cores")


def judged(
    item_ns: int,
    *,
    cpu: float = 1.0,
    free: float = 0.0,
    count: int = 8,
    left: int | None = 1000,
    value: Any = 1,
    fn: Any = abs,
    beside: float = 1.0,
    workers: dict[str, int] | None = None,
) -> Judge:
    """The judge of a map whose items took so long, so much of it computing."""
    judge = Judge(fn, TWO if workers is None else workers, set())
    judge._probe.free_share = free if cpu else 1.0
    for _ in range(count):
        judge.on_block([value], [value], False, item_ns, int(item_ns * cpu))
    judge.where(left)
    if judge.wants_pair():
        judge.on_pair(2, item_ns, item_ns * beside)
        judge.where(left)
    return judge


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ({"item_ns": 10_000_000}, "processes"),
        ({"item_ns": 10_000_000, "cpu": 0.0}, "threads"),
        ({"item_ns": 10_000_000, "free": 1.0, "value": b" " * 40_000_000}, "threads"),
        ({"item_ns": 10_000_000, "free": 1.0, "beside": 2.0, "value": b" " * 40_000_000}, "serial"),
        ({"item_ns": 10_000_000, "left": 1}, "serial"),
        ({"item_ns": 10_000_000, "left": None, "count": 1}, "serial"),
        ({"item_ns": 10_000_000, "left": None, "count": 20}, "processes"),
        ({"item_ns": 10_000_000, "left": 100, "value": b" " * 80_000_000}, "serial"),
        ({"item_ns": 10_000_000, "value": threading.Lock()}, "serial"),
        ({"item_ns": 10_000_000, "fn": threading.Lock().acquire}, "serial"),
        ({"item_ns": 10_000_000, "fn": threading.Lock().acquire, "cpu": 0.0}, "threads"),
        ({"item_ns": 10_000_000, "workers": {"threads": 4}}, "serial"),
        ({"item_ns": 10_000_000, "workers": {}}, "serial"),
        ({"item_ns": 100, "count": 5_000, "left": 10_000_000}, "serial"),
        ({"item_ns": 50_000, "count": 100, "left": 10_000}, "processes"),
        ({"item_ns": 6_000_000_000, "count": 1, "left": 9}, "processes"),
        ({"item_ns": 10_000_000, "cpu": 2.0, "free": 1.0}, "serial"),
        ({"item_ns": 1_000_000, "free": 1.0, "left": 10, "beside": 1.9}, "serial"),
        (
            {"item_ns": 1_000_000, "free": 1.0, "left": 30, "fn": threading.Lock().acquire},
            "threads",
        ),
    ],
    ids=lambda each: str(each)[:60],
)
def test_rule(profile: dict[str, Any], expected: str) -> None:
    assert judged(**profile)._where == expected


@pytest.mark.parametrize(
    ("value", "growth"),
    [(b" " * 40_000_000, choose.HOPELESS_GROWTH), (b" " * 4_000_000, choose.GROWTH)],
)
def test_it_is_looked_less_often_where_moving_takes_far_longer(value: bytes, growth: float) -> None:
    judge = judged(1_000_000, left=10, value=value)
    assert judge._where == "serial"
    assert judge._look_at_ns == int(judge._probe.wall_ns * growth)


def test_waits_for_a_core_make_no_function_use_more_than_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They were counted from the beginning, and what was between the blocks among them."""
    delays = iter((0, 4_000_000, 9_000_000))
    monkeypatch.setattr(probe_module, "waited_ns", lambda thread: next(delays))
    probe = Probe(abs)
    probe.on_block([1], [1], False, 10_000_000, 5_000_000)
    assert probe.busy_cores() == pytest.approx(5 / 6)
    probe.on_block([1], [1], False, 10_000_000, 9_000_000)
    assert probe.busy_cores() == 1.0


def test_library_that_starts_its_threads_late_is_seen_to_use_the_cores() -> None:
    """The first call of a product of matrices, and the second."""
    probe = Probe(abs)
    probe.on_block([1], [1], False, 6_000_000, 4_000_000)
    probe.on_block([1], [1], False, 4_000_000, 7_600_000)
    assert probe.busy_cores() == 1.9


@pytest.mark.skipif(sys.platform != "linux", reason="such clocks are Linux's")
def test_processor_time_of_other_threads_of_python_is_not_the_callers() -> None:
    has_worked, may_end = threading.Event(), threading.Event()
    may_work = threading.Event()

    def work() -> None:
        may_work.wait()
        while time.thread_time() < 0.3:
            pass
        has_worked.set()
        may_end.wait()

    other = threading.Thread(target=work)
    other.start()
    clock, process_ns = cpu_clock(), time.process_time_ns()
    begun_ns = clock()
    may_work.set()
    has_worked.wait()
    assert clock() - begun_ns < 100_000_000
    assert time.process_time_ns() - process_ns >= 290_000_000
    may_end.set()
    other.join()
    assert clock() - begun_ns < 100_000_000


@pytest.mark.parametrize("items", [2, 10, 100, 1000])
def test_c46_ten_milliseconds_of_work_never_leave_the_caller(items: int) -> None:
    judge = Judge(abs, TWO, set())
    judge._probe.free_share = 0.0
    for left in range(items - 1, -1, -1):
        judge.on_block([1], [1], False, 10_000_000 // items, 10_000_000 // items)
        assert judge.where(left) == "serial"


def test_c53_interpreters_are_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are to be had, with lists both ways, and with computing alone."""
    opened: list[object] = []
    rungs.prepare("interpreters", monkeypatch)
    monkeypatch.setattr(interpreters.Interpreters, "open", lambda self, options: opened.append(1))
    items = [list(range(100_000))] * 4
    with allcores.Executor("auto", max_workers=2) as executor:
        assert list(executor.map(sorted, items)) == items
        assert list(executor.map(math.factorial, [20_000] * 20))
    assert not opened


def test_reason_names_rung_times_and_leverage() -> None:
    judge = judged(10_000_000)
    assert judge.reason.startswith("processes: ")
    assert "instead of 10.0 s" in judge.reason
    assert "leverage" in judge.reason
    assert judged(10_000_000, value=threading.Lock()).reason.startswith(
        "serial: an argument can't be pickled"
    )


def test_items_come_back_when_they_get_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stay, "LOOK_NS", 0)
    judge = judged(1_000_000, left=100_000)
    judge.on_away(1, {"bytes_copied": 0}, 1_000_000)
    for turn in range(1, 5):
        judge.on_away(10, {"bytes_copied": turn * 10**9}, 5_000_000)
    assert judge.where(100_000) == "serial"
    assert "moving an item (100,000,000 bytes)" in judge.reason


def test_items_come_back_from_a_rung_that_is_slower_than_the_caller_and_stay() -> None:
    judge = judged(1_000_000, left=100_000)
    judge.on_away(1, {}, 1_000_000)
    for _ in range(4):
        judge.on_away(50, {}, 100_000_000)
    assert judge.where(100_000) == "serial"
    assert "2.000 ms there and 1.000 ms here" in judge.reason
    for _ in range(200):
        judge.on_block([1], [1], False, 1_000_000, 1_000_000)
        assert judge.where(100_000) == "serial"


def test_one_long_item_does_not_bring_the_others_back() -> None:
    judge = judged(1_000_000, left=100_000)
    judge.on_away(1, {}, 1_000_000)
    for waited_ns in (0, 200_000_000, 0, 1_000_000, 0):
        judge.on_away(10, {}, waited_ns)
    assert judge.where(100_000) == "processes"


def test_slow_consumer_does_not_make_a_rung_slow() -> None:
    judge = judged(1_000_000, left=100_000)
    for _ in range(10):
        judge.on_away(50, {}, 30_000)
    assert judge.where(100_000) == "processes"


def test_items_that_get_heavier_leave_the_caller() -> None:
    judge = judged(2_000, count=5, left=2_000)
    assert judge.where(2_000) == "serial"
    for _ in range(30):
        judge.on_block([1], [1], False, 3_000_000, 3_000_000)
    assert judge.where(1_000) == "processes"


def test_others_begin_while_a_long_first_item_waits(tmp_path: Path) -> None:
    """The first call ends when the others have run: it can't, unless they begin meanwhile."""
    everybody = threading.Event()
    path = tmp_path / "marks"

    def call(number: int) -> str:
        if number:
            rungs.mark(path)
            if rungs.marks(path) == 5:
                everybody.set()
        else:
            assert everybody.wait(50)
        return threading.current_thread().name

    names = list(allcores.map(call, range(6)))
    assert names[0] == threading.current_thread().name
    assert not set(names[1:]) & {names[0]}
    assert rungs.marks(path) == 5


def wait_for_a_file(path: Path, number: int) -> int:
    """Item 0 computes until another process has left a mark."""
    if number:
        rungs.mark(path)
    else:
        while not rungs.marks(path):
            for _ in range(1_000_000):
                pass
    return os.getpid()


def test_others_begin_on_processes_while_a_long_first_item_computes(tmp_path: Path) -> None:
    pids = list(allcores.map(wait_for_a_file, [tmp_path / "mark"] * 8, range(8), max_workers=2))
    assert pids[0] == os.getpid()
    assert pids[-1] != os.getpid()


def test_watch_sees_a_free_lock_and_a_held_one() -> None:
    from allcores.ladder.watch import Watch

    def share(work: Any) -> float:
        watch = Watch()
        while watch.passed_ns() < 40_000_000:
            work()
        found = watch.stop()
        assert found is not None
        return found

    large = bytes(4_000_000)
    free = share(lambda: hashlib.sha256(large).digest())
    held = share(lambda: sum(range(1000)))
    assert free > 2 * held


def test_watch_leaves_no_thread() -> None:
    from allcores.ladder.watch import Watch

    Watch().stop()
    assert all(each.name != "allcores-watch" for each in threading.enumerate())


def test_probe_runs_an_item_once_and_gives_its_value_or_error() -> None:

    probe = Probe(lambda one, other: one / other)
    assert probe.run((6, 3)) == (2.0, None)
    value, error = probe.run((1, 0))
    assert value is None
    assert isinstance(error, ZeroDivisionError)
    probe.weigh()
    measured = probe.measured(5)
    assert measured["done"] == 2
    assert measured["left"] == 5
    assert measured["argument_bytes"] > 0
    assert len(measured["wall_ns"]) == 2


def test_later_argument_that_can_not_be_pickled_runs_in_the_caller(tmp_path: Path) -> None:
    lock = threading.Lock()
    items: list[Any] = [*range(2000)]
    items[1500] = lock
    pids = list(allcores.map(busy, items))
    assert pids[1500] == os.getpid()
    assert len(pids) == 2000


def busy(value: object) -> int:
    for _ in range(3000):
        pass
    return os.getpid()


def test_measuring_leaves_sum_to_the_functions_that_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One call of it over another kind of iterator makes all later ones over lists slower.
    users: list[str] = []
    real = sum

    def seen(*given: Any) -> Any:
        users.append(sys._getframe(1).f_globals["__name__"])
        return real(*given)

    table = list(range(5_000))
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    with monkeypatch.context() as patched:
        patched.setattr(builtins, "sum", seen)
        found = list(allcores.map(lambda number: sum(table[number:]), range(1_000)))
    over.set()
    other.join()
    assert found[-1] == real(table[999:])
    assert set(users) == {__name__}


def test_two_blocks_run_beside_each_other_only_after_two_that_did_not() -> None:
    # In its first call a numerical library has its threads still asleep.
    judge = Judge(threading.Lock().acquire, TWO, set())
    judge._probe.free_share = 1.0
    wanted = []
    for _ in range(2):
        judge.on_block([1], [1], False, 10_000_000, 10_000_000)
        judge.where(1000)
        wanted.append(judge.wants_pair())
    assert wanted == [False, True]
