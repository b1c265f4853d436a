"""`backend="auto"`: maps that begin in the caller and move while they run."""

from __future__ import annotations

import functools
import itertools
import os
import signal
import threading
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import nested, rungs, tasks
from support.meetings import Meeting, Place

import allcores
from allcores.ladder.backends import auto


class Script:
    """A judge that says where items run by their position."""

    turns: tuple[tuple[int, str], ...] = ()
    pair_at = 2
    """After so many items two blocks run beside each other."""

    def __init__(self, fn: Any, *_: Any, **__: Any) -> None:
        self.fn = fn
        self.seen = 0

    def called(self, rung: str) -> Any:
        return self.fn

    def block_size(self, done: int) -> int:
        return 2

    def on_block(self, items: list[Any], *_: Any) -> None:
        self.seen += len(items)

    def on_away(self, count: int, *_: Any) -> None:
        self.seen += count

    def knows(self, *_: Any) -> bool:
        return False

    def begin(self, *_: Any) -> None: ...

    def beside(self, *_: Any) -> None: ...

    def wants_pair(self) -> bool:
        return self.pair_at <= self.seen < self.pair_at + 2

    def on_pair(self, count: int, *_: Any) -> None:
        self.seen += count

    def workers(self, rung: str) -> int | None:
        return None

    def keeps(self, left: int | None) -> int:
        return 3

    def begun(self) -> None: ...

    def takes_back(self) -> bool:
        return False

    def end(self) -> None: ...

    def where(self, left: int | None) -> str:
        return next((name for until, name in self.turns if self.seen < until), "serial")


WAYS = {
    "processes": ((6, "serial"), (1000, "processes")),
    "threads": ((6, "serial"), (1000, "threads")),
    "there and back": ((6, "serial"), (40, "processes"), (90, "serial")),
    "all over": ((4, "threads"), (30, "processes"), (60, "threads"), (90, "serial")),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(Script, "turns", WAYS[request.param])
    monkeypatch.setattr(auto, "Judge", Script)
    name: str = request.param
    return name


@pytest.mark.parametrize("sized", [True, False], ids=["list", "generator"])
def test_moved_map_runs_each_item_once_in_order(way: str, sized: bool, tmp_path: Path) -> None:
    path = tmp_path / "marks"
    items: Any = range(200) if sized else iter(range(200))
    found = list(allcores.map(lambda number: (rungs.mark(path, number), os.getpid()), items))
    assert [number for number, _ in found] == list(range(200))
    assert rungs.marks(path) == 200
    if not sized:  # of a list, a rung may have taken all before it was to stop
        assert any(pid != os.getpid() for _, pid in found) == (way != "threads")
        assert (found[-1][1] == os.getpid()) == (way != "processes")


def test_errors_of_blocks_that_run_beside_each_other_name_their_items(way: str) -> None:
    numbers = [0 if number in (2, 5) else 1 for number in range(8)]
    results = allcores.map(lambda number: 1 / number, numbers, return_exceptions=True)
    found = {index: each for index, each in enumerate(results) if each != 1.0}
    assert sorted(found) == [2, 5]
    for index, error in found.items():
        assert isinstance(error, ZeroDivisionError)
        assert error.__notes__[0].endswith(f"(index {index}, 0)")


def test_errors_of_a_moved_map_name_the_item(way: str) -> None:
    numbers = [0 if number in (1, 50, 150) else 1 for number in range(200)]
    results = allcores.map(tasks.reciprocal, numbers)
    notes = []
    count = 0
    while True:
        try:
            next(results)
        except StopIteration:
            break
        except ZeroDivisionError as error:
            notes += error.__notes__
        count += 1
    assert count == 200
    assert notes == [f"in allcores task reciprocal(index {at}, 0)" for at in (1, 50, 150)]


def test_several_iterables_move_together(way: str) -> None:
    found = allcores.map(pow, range(200), itertools.repeat(2))
    assert list(found) == [number**2 for number in range(200)]


def test_progress_of_a_moved_map_goes_on(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allcores.ladder.progress.INTERVAL_S", 0.0)
    told: list[int] = []
    found = allcores.map(abs, range(200), progress=lambda done, total: told.append(done))
    assert len(list(found)) == 200
    assert told == sorted(set(told))
    assert told[-1] == 200


def test_generator_of_a_moved_map_is_run_by_the_consumer(way: str) -> None:
    items = rungs.Counting()
    results = allcores.map(tasks.add_one, items, max_workers=2)
    assert list(itertools.islice(results, 150)) == list(range(1, 151))
    results.close()  # type: ignore[attr-defined]
    assert items.threads == {threading.get_ident()}


def test_error_of_the_input_ends_a_moved_map(way: str) -> None:
    def items() -> Iterator[int]:
        yield from range(150)
        raise tasks.UserError("no more")

    results = allcores.map(tasks.add_one, items())
    assert list(itertools.islice(results, 150)) == list(range(1, 151))
    with pytest.raises(tasks.UserError):
        next(results)
    assert list(results) == []


def test_items_that_can_not_leave_run_in_the_caller(way: str) -> None:
    locks = [threading.Lock() if number % 10 == 9 else number for number in range(100)]
    assert list(allcores.map(type, locks)) == [type(each) for each in locks]


def test_moved_map_has_the_context_of_its_call(way: str) -> None:
    token = nested.REQUEST.set("at the call")
    try:
        results = allcores.map(nested.request, range(200), context_vars=(nested.REQUEST,))
        nested.REQUEST.set("later")
        assert list(results) == ["at the call"] * 200
    finally:
        nested.REQUEST.reset(token)


def test_moved_map_can_be_left(way: str, tmp_path: Path) -> None:
    path = tmp_path / "marks"
    results = allcores.map(lambda _: rungs.mark(path), itertools.count(), max_workers=1)
    for _ in range(50):
        next(results)
    results.close()  # type: ignore[attr-defined]
    assert rungs.marks(path) < 200


def test_moved_map_ends_with_its_last_reference(way: str) -> None:
    with allcores.Executor("auto", 1) as executor:
        results = executor.map(abs, itertools.count())
        for _ in range(30):
            next(results)
        gone = weakref.ref(results)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del results
        assert gone() is None


def test_call_whose_argument_can_not_be_pickled_runs_in_a_thread() -> None:
    with allcores.Executor("auto", 1) as executor:
        lock = threading.Lock()
        assert executor.submit(lambda it: it is lock, lock).result(timeout=50)
        assert executor.submit(os.getpid).result(timeout=50) != os.getpid()


def test_call_never_runs_in_the_caller() -> None:
    with allcores.Executor("auto", 1) as executor:
        here = (os.getpid(), threading.get_ident())
        lock = threading.Lock()
        for argument in (1, lock):
            future = executor.submit(lambda _: (os.getpid(), threading.get_ident()), argument)
            assert future.result(timeout=50) != here


def two_who_meet(place: Place, number: int) -> int:
    """Each of them ends when both have come."""
    place.arrive(number)
    place.wait()
    return number


@pytest.mark.parametrize("sized", [True, False], ids=["list", "generator"])
def test_c47_others_start_while_the_first_takes_long(meeting: Meeting, sized: bool) -> None:
    def let_go() -> None:
        there.extend(int(each.words) for each in meeting.await_arrivals(2 if sized else 1))
        meeting.open()

    there: list[int] = []
    hand = threading.Thread(target=let_go)
    hand.start()
    numbers: Any = range(2) if sized else iter(range(2))
    task = functools.partial(two_who_meet, meeting.place)
    assert list(allcores.map(task, numbers)) == [0, 1]
    hand.join()
    assert sorted(there) == ([0, 1] if sized else [0])


def test_interrupt_of_a_long_item_gives_up_the_others(meeting: Meeting) -> None:
    def interrupt() -> None:
        meeting.await_arrivals(2)
        os.kill(os.getpid(), signal.SIGINT)

    def wait(number: int) -> None:
        meeting.place.arrive(number)
        over.wait()

    over = threading.Event()
    hand = threading.Thread(target=interrupt)
    hand.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(allcores.map(wait, range(2)))
    finally:
        over.set()
        hand.join()
