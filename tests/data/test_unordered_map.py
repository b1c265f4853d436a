"""`map(ordered=False)`: every result once, the ones that are ready first."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from support import tasks
from support.implementations import Implementation
from support.meetings import Meeting, Place, meet

pytestmark = pytest.mark.ours_only("maps give results as they come")


def linger(place: Place, number: int) -> int:
    """The first one runs for as long as the test wants."""
    return number if number else meet(place) * 0


def refuse_tens(number: int) -> int:
    if number % 10 == 3:
        raise ValueError(number)
    return number


def test_slow_item_holds_nothing_up(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    with implementation.pool(max_workers=2) as pool:
        places = itertools.repeat(meeting.place)
        results = pool.map(linger, places, range(50), chunksize=1, ordered=False)
        meeting.await_arrivals(1)
        assert sorted(itertools.islice(results, 49)) == list(range(1, 50))
        meeting.open(1)
        assert list(results) == [0]


@pytest.mark.parametrize("chunksize", [None, 1, 7])
@pytest.mark.parametrize("source", [range, lambda count: iter(range(count))])
def test_every_result_comes_once(
    implementation: Implementation, link: str, chunksize: int | None, source: Any
) -> None:
    options = {} if chunksize is None else {"chunksize": chunksize}
    with implementation.pool() as pool:
        results = list(pool.map(tasks.add_one, source(3_000), ordered=False, **options))
    assert sorted(results) == list(range(1, 3_001))


@pytest.mark.parametrize("chunksize", [1, 7, 100])
def test_failures_come_in_their_turn_and_lose_nothing(
    implementation: Implementation, link: str, chunksize: int
) -> None:
    with implementation.pool() as pool:
        results = pool.map(refuse_tens, range(100), chunksize=chunksize, ordered=False)
        found, refused = [], []
        while True:
            try:
                found.append(next(results))
            except StopIteration:
                break
            except ValueError as error:
                refused.append(error.args[0])
    assert sorted(found) == [number for number in range(100) if number % 10 != 3]
    assert sorted(refused) == list(range(3, 100, 10))


def test_generator_is_taken_as_far_as_the_window(implementation: Implementation) -> None:
    taken = []

    def numbers() -> Any:
        for number in itertools.count():
            taken.append(number)
            yield number

    with implementation.pool(max_workers=2) as pool:
        results = pool.map(tasks.identity, numbers(), buffersize=4, ordered=False)
        assert len(list(itertools.islice(results, 20))) == 20
        results.close()
    assert len(taken) <= 20 + 4


def test_time_is_up_for_the_whole_map(implementation: Implementation, meeting: Meeting) -> None:
    with implementation.pool(max_workers=1) as pool:
        results = pool.map(meet, [meeting.place], timeout=0.1, ordered=False)
        meeting.await_arrivals(1)
        with pytest.raises(TimeoutError):
            next(results)
        meeting.open(1)
