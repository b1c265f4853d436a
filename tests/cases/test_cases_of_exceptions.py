"""C76, C77, C79: one exception costs one result, a dropped map says so, and each kind of failure
has a class of its own."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest
from support import tasks, troubles
from support.implementations import Implementation
from support.meetings import Meeting, meet

GOES_ON = pytest.mark.ours_only("maps go on after an exception")
WARNS = pytest.mark.ours_only("dropped maps warn")
CHUNK_SIZES = pytest.mark.parametrize(
    "chunks", [{}, {"chunksize": 1}, {"chunksize": 7}], ids=["measured", "1", "7"]
)


def outcomes(results: Iterator[Any]) -> list[Any]:
    """What each `next` gives or raises, to the end."""
    found: list[Any] = []
    while True:
        try:
            found.append(next(results))
        except StopIteration:
            return found
        except tasks.UserError as error:
            found.append(error)


def check_odd_items_failed(found: list[Any], count: int) -> None:
    assert len(found) == count
    for number, outcome in enumerate(found):
        if number % 2:
            assert isinstance(outcome, tasks.UserError)
            assert str(outcome) == f"{number} is odd"
        else:
            assert outcome == number


@GOES_ON
@CHUNK_SIZES
@pytest.mark.parametrize("length", ["known", "unknown"])
def test_c76_iterator_over_a_map_goes_on_after_an_exception(
    implementation: Implementation, link: str, chunks: dict[str, int], length: str
) -> None:
    """Every second item raises; whoever calls `next` again gets all the others, in order."""
    items: Any = range(100) if length == "known" else iter(range(100))
    with implementation.pool() as pool:
        found = outcomes(pool.map(troubles.fail_if_odd, items, **chunks))
    check_odd_items_failed(found, 100)


@GOES_ON
@CHUNK_SIZES
def test_c76_map_gives_exceptions_as_results_on_request(
    implementation: Implementation, link: str, chunks: dict[str, int]
) -> None:
    """`return_exceptions=True`: one loop sees them all, each with its note and its traceback."""
    with implementation.pool() as pool:
        found = list(pool.map(troubles.fail_if_odd, range(100), return_exceptions=True, **chunks))
    check_odd_items_failed(found, 100)
    assert "fail_if_odd" in "\n".join(found[7].__notes__)
    assert "in fail_if_odd" in str(found[7].__cause__)


@GOES_ON
def test_c76_map_gives_exceptions_of_pickling_as_results_on_request(
    implementation: Implementation, link: str
) -> None:
    """What can not travel fails where it stands, on the way there and on the way back."""
    items = [1, tasks.RefusesReduce(), 3, tasks.RefusesRestoring(), 5]
    with implementation.pool() as pool:
        there = list(pool.map(tasks.identity, items, return_exceptions=True, chunksize=5))
        kinds = [int, tasks.RefusesReduce, int, tasks.RefusesRestoring, int]
        back = list(pool.map(tasks.build, kinds, return_exceptions=True, chunksize=5))
    assert there[::2] == [1, 3, 5]
    assert back[::2] == [0, 0, 0]
    assert all(isinstance(error, BaseException) for error in (*there[1::2], *back[1::2]))


@GOES_ON
def test_c76_exception_of_the_iterable_comes_after_the_results_before_it(
    implementation: Implementation, link: str
) -> None:
    """The items' own generator raises: the user's results so far are not lost."""

    def items() -> Iterator[int]:
        yield from range(20)
        raise tasks.UserError("no more items")

    with implementation.pool() as pool:
        results = pool.map(tasks.add_one, items())
        assert list(itertools.islice(results, 20)) == list(range(1, 21))
        with pytest.raises(tasks.UserError, match="no more items"):
            next(results)
        assert list(results) == []


def test_c76_loop_that_is_left_by_an_exception_costs_no_further_items(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """Nobody calls `next` again: what had not started never does, as in the standard library."""
    with implementation.pool(max_workers=1) as pool:
        with pytest.raises(TypeError):
            for _ in pool.map(meet_or_fail, [None, *[meeting.place] * 30], chunksize=1):
                pass
        meeting.open()
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2
        meeting.place.arrive("the test")
        arrivals = [arrival.words for arrival in iter_until(meeting, "the test")]
    # One may have begun before the exception was heard of; the standard pool sends some ahead.
    assert len(arrivals) <= (3 if implementation.name == "allcores" else 5)


def meet_or_fail(place: Any) -> int:
    if place is None:
        raise TypeError("not a place")
    return meet(place, "an item")


def iter_until(meeting: Meeting, words: str) -> Iterator[Any]:
    while (arrival := meeting.await_arrivals(1)[0]).words != words:
        yield arrival


@WARNS
@pytest.mark.parametrize("begun", [True, False])
def test_c77_map_that_is_dropped_before_its_end_warns_and_cancels_the_rest(
    implementation: Implementation, link: str, meeting: Meeting, begun: bool
) -> None:
    """The iterator goes while most of its items wait."""
    with implementation.pool(max_workers=1) as pool:
        results = pool.map(meet, [meeting.place] * 30, ["an item"] * 30, chunksize=1)
        meeting.await_arrivals(1)
        if begun:
            meeting.open(1)
            assert next(results)
            meeting.await_arrivals(1)
        with pytest.warns(ResourceWarning, match=r"(?s)meet.*hint:") as caught:
            del results
        meeting.open()
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2
        meeting.place.arrive("the test")
        assert list(iter_until(meeting, "the test")) == []
    assert len(caught) == 1


@WARNS
def test_c77_map_that_was_closed_or_came_to_its_end_does_not_warn(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """`close` says that the rest is not wanted; it is cancelled in silence."""
    with warnings.catch_warnings(record=True) as caught, implementation.pool(max_workers=1) as pool:
        warnings.simplefilter("always")
        assert list(pool.map(tasks.add_one, range(10))) == list(range(1, 11))
        results = pool.map(meet, [meeting.place] * 30, chunksize=1)
        meeting.await_arrivals(1)
        results.close()
        results.close()
        assert list(results) == []
        del results
        meeting.open()
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2
        meeting.place.arrive("the test")
        assert list(iter_until(meeting, "the test")) == []
    assert [str(warning.message) for warning in caught] == []


@WARNS
def test_c77_loop_that_is_left_by_an_exception_does_not_warn(
    implementation: Implementation, link: str
) -> None:
    """The exception says enough."""
    with warnings.catch_warnings(record=True) as caught, implementation.pool() as pool:
        warnings.simplefilter("always")
        with pytest.raises(tasks.UserError):
            for _ in pool.map(troubles.fail_if_odd, range(1000), chunksize=1):
                pass
    assert [str(warning.message) for warning in caught] == []


# The failure's name, the call, and the classes: the first is what it is; the rest, what it is not.
FAILURES: dict[str, tuple[Callable[..., Any], str, list[str]]] = {
    "the task raises": (tasks.fail, "UserError", ["BrokenProcessPool", "TimeoutError"]),
    "the task raises BrokenProcessPool": (
        troubles.raise_broken_pool, "BrokenProcessPool", ["WorkerDied", "TransportError"],
    ),
    "the task raises TimeoutError": (troubles.raise_time_out, "TimeoutError", ["TaskTimeout"]),
    "the worker dies": (tasks.die, "WorkerDied", ["TransportError", "TimeoutError"]),
    "the time is over": (troubles.spin, "TaskTimeout", ["BrokenProcessPool"]),
    "the result can not be unpickled": (
        tasks.make_refusing_restoring, "TransportError", ["WorkerDied", "TimeoutError"],
    ),
}  # fmt: skip


@pytest.mark.ours_only("running tasks can be stopped")
@pytest.mark.parametrize("failure", FAILURES)
def test_c79_each_kind_of_failure_has_a_class_of_its_own(
    implementation: Implementation, link: str, failure: str
) -> None:
    """Whether the task failed or the pool can be told by `except` clauses, and the pool lives on
    after all of them."""
    call, kind, others = FAILURES[failure]
    classes = {**vars(tasks), "BrokenProcessPool": BrokenProcessPool, "TimeoutError": TimeoutError}

    def class_of(name: str) -> type:
        return classes.get(name) or getattr(implementation.module, name)

    with implementation.pool(on_worker_death="replace") as pool:
        error = pool.options(timeout=0.5).submit(call).exception(timeout=50)
        assert isinstance(error, class_of(kind))
        assert not any(isinstance(error, class_of(name)) for name in others)
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2


@pytest.mark.ours_only("running tasks can be stopped")
def test_c79_what_was_cancelled_or_abandoned_is_told_apart(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """A task that was cancelled while it waited or ran, and one that the pool's end met."""
    with implementation.pool(max_workers=1) as pool:
        stopped = pool.submit(meet, meeting.place)
        meeting.await_arrivals(1)
        assert stopped.cancel(running=True)
        ended = pool.submit(meet, meeting.place)
        meeting.await_arrivals(1)
        waiting = pool.submit(tasks.add_one, 1)
        pool.shutdown(abandon=True)
        with pytest.raises(CancelledError):
            stopped.result(timeout=0)
        with pytest.raises(CancelledError):
            waiting.result(timeout=0)
        error = ended.exception(timeout=0)
    assert isinstance(error, BrokenProcessPool)
    assert not isinstance(error, implementation.module.WorkerDied)
