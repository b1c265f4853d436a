"""C45-C65: every worker has work while there is some, tiny results come in crowds, and a map takes
no more of its items than it says."""

from __future__ import annotations

import itertools
import resource
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support import tasks
from support.implementations import Implementation
from support.meetings import Meeting, Place, meet

LAZY = pytest.mark.ours_only("maps are lazy")
BUFFERED = pytest.mark.ours_only("buffersize everywhere")
WORKERS = 2
WINDOW = 2 * WORKERS + 2


class Counting:
    """All numbers from 0 on; how many were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        for number in itertools.count():
            self.taken += 1
            yield number


def linger_at(place: Place, stops: tuple[int, ...], number: int) -> int:
    """Some items run for as long as the test wants."""
    if number in stops:
        meet(place, number)
    return number


def test_c47_two_tasks_run_at_once(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """Neither is let go before both are there."""
    with implementation.pool(max_workers=2) as pool:
        assert len(meeting.crew_of(pool, 2)) == 2


@pytest.mark.parametrize("known", [0, 1_000])
def test_c47_two_items_of_a_map_run_at_once(
    implementation: Implementation, link: str, meeting: Meeting, known: int
) -> None:
    """Also if the function's calls were short up to now."""
    with implementation.pool(max_workers=2) as pool:
        list(
            pool.map(
                linger_at,
                itertools.repeat(meeting.place, known),
                itertools.repeat(()),
                range(known),
            )
        )
        results = pool.map(linger_at, [meeting.place] * 2, [(0, 1)] * 2, range(2))
        assert len({arrival.pid for arrival in meeting.await_arrivals(2)}) == 2
        meeting.open(2)
        assert list(results) == [0, 1]


@pytest.mark.parametrize("long", [0, 3, WINDOW - 1, WINDOW])
def test_long_item_holds_no_other_worker_up(
    implementation: Implementation, link: str, meeting: Meeting, long: int
) -> None:
    """The consumer waits for one item until all that come after it have run."""
    last = 60
    with implementation.pool(max_workers=2) as pool:
        results = pool.map(
            linger_at, [meeting.place] * last, [(long, last - 1)] * last, range(last), chunksize=1
        )
        taken: list[int] = []
        consumer = threading.Thread(target=taken.extend, args=(results,))
        consumer.start()
        assert [arrival.words for arrival in meeting.await_arrivals(2)] == [
            str(long),
            str(last - 1),
        ]
        meeting.open(2)
        consumer.join()
    assert taken == list(range(last))


@LAZY
def test_long_item_of_a_generator_is_passed_within_the_lead(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """The consumer waits for item 40 while item 55 runs: as far ahead as four windows."""
    numbers = Counting()
    stops = itertools.repeat((40, 55))
    # So that every chunk holds one item.
    with implementation.pool("spawn", WORKERS, max_tasks_per_child=1_000) as pool:
        results = pool.map(linger_at, itertools.repeat(meeting.place), stops, numbers)
        taken: list[int] = []
        consumer = threading.Thread(target=lambda: taken.extend(itertools.islice(results, 60)))
        consumer.start()
        assert [arrival.words for arrival in meeting.await_arrivals(2)] == ["40", "55"]
        assert numbers.taken <= 40 + 4 * WINDOW
        meeting.open(2)
        consumer.join()
        results.close()
    assert taken == list(range(60))


@pytest.mark.ours_only("results come in crowds")
def test_c49_results_of_tiny_items_come_back_in_batches(implementation: Implementation) -> None:
    """100,000 of them, in a few hundred messages."""
    with implementation.pool() as pool:
        assert list(pool.map(tasks.add_one, range(100_000))) == list(range(1, 100_001))
        assert pool._runtime.pool.counts()["done"] < 1_000


@pytest.mark.ours_only("results come in crowds")
def test_c45_c49_parent_does_not_wake_for_each_tiny_result(implementation: Implementation) -> None:
    """50,000 calls; its threads go to sleep fewer times than every second result comes."""
    with implementation.pool() as pool:
        pool.submit(tasks.add_one, 0).result(timeout=50)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        futures = [pool.submit(tasks.add_one, number) for number in range(50_000)]
        results = [future.result(timeout=50) for future in futures]
        slept = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before
    assert results == list(range(1, 50_001))
    assert slept < 25_000


@LAZY
def test_c64_ten_results_of_an_endless_map_take_few_items(
    implementation: Implementation, link: str
) -> None:
    """No more than were given, the first window, and one for every four results."""
    numbers = Counting()
    with implementation.pool(max_workers=WORKERS) as pool:
        results = pool.map(tasks.add_one, numbers)
        assert numbers.taken == WINDOW
        assert list(itertools.islice(results, 10)) == list(range(1, 11))
        assert numbers.taken <= 10 + WINDOW + 10 // 4 <= 10 + WINDOW + WORKERS
        results.close()


@LAZY
@pytest.mark.parametrize("ordered", [True, False])
def test_c64_map_over_a_generator_leads_by_no_more_than_its_window(
    implementation: Implementation, link: str, ordered: bool
) -> None:
    """At each of 50,000 moments, however quick the calls are."""
    numbers = Counting()
    leads: list[tuple[int, int]] = []
    with implementation.pool(max_workers=WORKERS) as pool:
        results = pool.map(tasks.add_one, numbers, ordered=ordered)
        for given, _ in enumerate(itertools.islice(results, 50_000), 1):
            leads.append((given, numbers.taken - given))
        results.close()
    most = WINDOW * 1_024
    assert all(lead <= min(WINDOW + given // 4, most) for given, lead in leads), leads
    assert max(lead for _, lead in leads) > most / 4, "a map that runs on takes more at a time"


@LAZY
def test_c64_chunks_of_a_generator_grow_while_results_are_taken(
    implementation: Implementation, link: str
) -> None:
    """20,000 tiny calls go out in far fewer messages."""
    with implementation.pool(max_workers=WORKERS) as pool:
        results = pool.map(tasks.add_one, (number for number in range(20_000)))
        assert sum(results) == sum(range(1, 20_001))
        assert pool._runtime.pool.counts()["done"] < 1_000


@LAZY
def test_c64_chunksize_of_a_generator_is_taken_at_its_word(implementation: Implementation) -> None:
    numbers = Counting()
    with implementation.pool(max_workers=WORKERS) as pool:
        results = pool.map(tasks.add_one, numbers, chunksize=5)
        assert numbers.taken == 5 * WINDOW
        assert next(results) == 1
        assert numbers.taken <= 5 * (WINDOW + 1)
        results.close()


@BUFFERED
@pytest.mark.parametrize("buffersize", [1, 2, 5])
def test_c65_buffersize_is_not_exceeded_while_a_result_is_awaited(
    implementation: Implementation, link: str, meeting: Meeting, buffersize: int
) -> None:
    """The third result is awaited: two were taken, and as many as the buffer holds are ahead."""
    numbers = Counting()
    stops: Any = itertools.repeat((2,))
    with implementation.pool(max_workers=1) as pool:
        results = pool.map(
            linger_at, itertools.repeat(meeting.place), stops, numbers, buffersize=buffersize
        )
        assert numbers.taken == buffersize
        assert [next(results), next(results)] == [0, 1]
        third: list[int] = []
        consumer = threading.Thread(target=lambda: third.append(next(results)))
        consumer.start()
        meeting.await_arrivals(1)
        assert numbers.taken == 2 + buffersize
        meeting.open(1)
        consumer.join()
        assert third == [2]
        assert numbers.taken == 3 + buffersize
        results.close()
