"""C01-C09, C11, C13: a worker that dies costs what it was running and nothing else, everybody hears
of it, and the error says what it was."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest
from support import processes, tasks, troubles
from support.implementations import START_METHODS, Implementation
from support.meetings import Meeting, meet

REPLACES = pytest.mark.ours_only("a lost worker costs one task")
LAST_WORDS = pytest.mark.ours_only("deaths tell their story")
CHUNK_SIZES = pytest.mark.parametrize(
    "chunks", [{}, {"chunksize": 1}, {"chunksize": 4}], ids=["measured", "1", "4"]
)


@REPLACES
@pytest.mark.parametrize("start_method", START_METHODS)
def test_c01_task_for_a_killed_idle_worker_runs_in_a_new_one(
    implementation: Implementation, start_method: str
) -> None:
    """The only worker is killed while it waits for work."""
    with implementation.pool(start_method, 1, on_worker_death="replace") as pool:
        victim = pool.submit(tasks.worker_pid).result(timeout=50)
        tasks.kill(victim)
        assert not processes.wait_until_gone([victim], 50)
        assert pool.submit(tasks.worker_pid).result(timeout=50) != victim


@REPLACES
def test_c01_tasks_that_the_killed_worker_had_not_begun_run_in_a_new_one(
    implementation: Implementation, link: str
) -> None:
    """The tasks are sent before the death is known: to a worker that is stopped, then killed."""
    with implementation.pool(max_workers=1, on_worker_death="replace") as pool:
        victim = pool.submit(tasks.worker_pid).result(timeout=50)
        processes.pause(victim)
        futures = [pool.submit(tasks.worker_pid) for _ in range(50)]
        tasks.kill(victim)
        errors = [future.exception(timeout=50) for future in futures]
    assert victim not in {future.result() for future in futures if not future.exception()}
    check_few_lost(errors, link)


# Without shared memory nobody can see how far a dead worker had come: what was sent to it counts
# as begun.
SENT_AHEAD = {"shm": 0, "stream": 2}


def check_few_lost(errors: list[Any], link: str) -> None:
    lost = [error for error in errors if error is not None]
    assert all(isinstance(error, BrokenProcessPool) for error in lost)
    assert len(lost) <= SENT_AHEAD[link]


@REPLACES
def test_c02_task_that_ends_its_worker_fails_alone(
    implementation: Implementation, link: str
) -> None:
    """Ten tasks, the sixth calls `os._exit`: nine results, and work goes on."""
    with implementation.pool(on_worker_death="replace") as pool:
        futures = [pool.submit(troubles.leave_at_5, number) for number in range(10)]
        error = futures.pop(5).exception(timeout=50)
        assert isinstance(error, implementation.module.WorkerDied)
        assert isinstance(error, BrokenProcessPool)
        assert [future.result(timeout=50) for future in futures] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2
        assert not pool._broken


@REPLACES
@pytest.mark.parametrize("start_method", START_METHODS)
def test_c03_pool_that_lost_a_worker_goes_on_in_full_strength(
    implementation: Implementation, start_method: str, meeting: Meeting
) -> None:
    """One of four is killed, a hundred tasks follow, and then there are four again."""
    with implementation.pool(start_method, 4, on_worker_death="replace") as pool:
        crew = meeting.crew_of(pool, 4)
        assert len(crew) == 4
        victim = min(crew)
        tasks.kill(victim)
        assert not processes.wait_until_gone([victim], 50)
        futures = [pool.submit(tasks.add_one, number) for number in range(100)]
        assert [future.result(timeout=50) for future in futures] == list(range(1, 101))
        new_crew = meeting.crew_of(pool, 4)
        assert len(new_crew) == 4
        assert victim not in new_crew


@REPLACES
@pytest.mark.parametrize("start_method", START_METHODS)
def test_c03_worker_that_is_killed_while_it_starts_is_replaced(
    implementation: Implementation, start_method: str, meeting: Meeting
) -> None:
    """The only worker is killed in its initializer, twice; the next ones come through."""
    options = {"initializer": meet, "initargs": (meeting.place,), "on_worker_death": "replace"}
    with implementation.pool(start_method, 1, **options) as pool:
        futures = [pool.submit(tasks.add_one, number) for number in range(10)]
        for _ in range(2):
            tasks.kill(meeting.await_arrivals(1)[0].pid)
        meeting.open()
        assert [future.result(timeout=50) for future in futures] == list(range(1, 11))


@REPLACES
@pytest.mark.parametrize("end", ["dies", "leaves"])
def test_c03_pool_whose_workers_never_come_to_work_breaks(
    implementation: Implementation, link: str, end: str
) -> None:
    """Every initializer ends its worker: that is not tried for ever."""
    options = {"initializer": tasks.ends, "initargs": (end,), "on_worker_death": "replace"}
    with implementation.pool(**options) as pool:
        error = pool.submit(tasks.add_one, 1).exception(timeout=50)
    assert isinstance(error, BrokenProcessPool)


@LAST_WORDS
@CHUNK_SIZES
def test_c04_error_of_a_crash_in_a_map_says_what_and_where(
    implementation: Implementation, link: str, chunks: dict[str, int]
) -> None:
    """One of fifty items makes its worker dereference NULL."""
    with implementation.pool(on_worker_death="replace") as pool:
        results = list(
            pool.map(
                troubles.dereference_null_at_131,
                range(100, 150),
                return_exceptions=True,
                **chunks,
            )
        )
    error = results.pop(31)
    assert results == [number for number in range(100, 150) if number != 131]
    assert isinstance(error, implementation.module.WorkerDied)
    assert (error.function, error.index, error.argument) == ("dereference_null_at_131", 31, "131")
    assert (error.signal, error.exitcode) == ("SIGSEGV", -signal.SIGSEGV)
    assert error.pid is not None
    assert error.peak_memory > 1_000_000
    assert "in dereference_null" in error.stack
    told = str(error)
    words = ("dereference_null_at_131", "31", "SIGSEGV", str(error.pid), "hint:")
    assert [word for word in words if word not in told] == []


@LAST_WORDS
@pytest.mark.parametrize("policy", ["break", "replace"])
@pytest.mark.parametrize("start_method", START_METHODS)
def test_c04_error_of_a_crash_in_a_call_says_what_and_where(
    implementation: Implementation, start_method: str, policy: str
) -> None:
    """The same for `submit`, whatever a death means to the pool."""
    with implementation.pool(start_method, on_worker_death=policy) as pool:
        pid = None
        if policy == "replace":
            pid = pool.submit(tasks.worker_pid).result(timeout=50)
        error = pool.submit(troubles.dereference_null).exception(timeout=50)
    assert isinstance(error, implementation.module.WorkerDied)
    assert error.function == "dereference_null"
    assert (error.signal, error.exitcode) == ("SIGSEGV", -signal.SIGSEGV)
    assert isinstance(error.pid, int)
    assert pid is None or error.pid != 0
    assert error.peak_memory > 1_000_000
    assert "in dereference_null" in error.stack


def test_c05_task_that_crashes_when_its_pool_was_dropped_fails(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """Nobody holds the executor any more when the worker dies."""
    pool = implementation.pool()
    future = pool.submit(troubles.meet_and_die, meeting.place)
    meeting.await_arrivals(1)
    del pool
    gc.collect()
    meeting.open()
    assert isinstance(future.exception(timeout=50), BrokenProcessPool)


def test_c06_worker_killed_with_a_full_channel_blocks_nobody(
    implementation: Implementation, link: str
) -> None:
    """200 tasks with a megabyte each wait for a worker that reads none of them, and is killed."""
    with implementation.pool(max_workers=1) as pool:
        victim = pool.submit(tasks.worker_pid).result(timeout=50)
        processes.pause(victim)
        load = bytes(2**20)
        futures = [pool.submit(len, load) for _ in range(200)]
        tasks.kill(victim)
        errors = [future.exception(timeout=50) for future in futures]
    assert all(isinstance(error, BrokenProcessPool) for error in errors)


@REPLACES
def test_c06_what_a_killed_worker_had_not_read_runs_in_a_new_one(
    implementation: Implementation, link: str
) -> None:
    """The same 200 tasks all have results if the pool replaces the worker."""
    with implementation.pool(max_workers=1, on_worker_death="replace") as pool:
        victim = pool.submit(tasks.worker_pid).result(timeout=50)
        processes.pause(victim)
        load = bytes(2**20)
        futures = [pool.submit(len, load) for _ in range(200)]
        tasks.kill(victim)
        errors = [future.exception(timeout=50) for future in futures]
    check_few_lost(errors, link)
    assert {future.result() for future in futures if not future.exception()} == {2**20}


@REPLACES
def test_c07_every_future_ends_whenever_workers_are_killed(
    implementation: Implementation, link: str, rng: Any, meeting: Meeting
) -> None:
    """A hundred kills in the midst of full load, each of which costs a task at most."""
    kills, spare_novices = 0, False
    with implementation.pool(max_workers=2, on_worker_death="replace") as pool:
        futures, veterans = [], set()
        for _ in range(100):
            kill_at = rng.randrange(40)
            for number in range(40):
                load = bytes([number]) * rng.choice([1, 1000, 100_000])
                futures.append((load, pool.submit(troubles.sign, load)))
                # Workers that start may be killed, too, but not one after the other: a pool none of
                # whose workers comes to work gives up.
                there = sorted(
                    pool._processes.keys() & veterans if spare_novices else pool._processes
                )
                if number == kill_at and there:
                    victim = rng.choice(there)
                    processes.kill([victim])
                    kills += 1
                    spare_novices = victim not in veterans
            veterans |= {future.result()[0] for _, future in futures[-200:] if has_result(future)}
        errors = [future.exception(timeout=50) for _, future in futures]
        for (load, future), error in zip(futures, errors, strict=True):
            assert isinstance(error, implementation.module.WorkerDied) or future.result()[1] == load
        assert kills
        assert sum(error is not None for error in errors) <= kills * (1 + SENT_AHEAD[link])
        assert len(meeting.crew_of(pool, 2)) == 2


def has_result(future: Any) -> bool:
    return future.done() and future.exception() is None


@contextlib.contextmanager
def crew_killed_at(meeting: Meeting) -> Iterator[None]:
    """Kills the first two workers that come; those after them may go."""

    def kill_the_crew() -> None:
        processes.kill([arrival.pid for arrival in meeting.await_arrivals(2)])
        meeting.open()

    killer = threading.Thread(target=kill_the_crew)
    killer.start()
    yield
    killer.join()


@pytest.mark.parametrize("chunksize", [1, 3])
def test_c08_iterator_over_a_map_does_not_block_when_the_pool_breaks(
    implementation: Implementation, link: str, meeting: Meeting, chunksize: int
) -> None:
    """The consumer waits for a result, and the workers that are to give it are killed."""

    with implementation.pool() as pool, crew_killed_at(meeting), pytest.raises(BrokenProcessPool):
        list(pool.map(meet, [meeting.place] * 12, chunksize=chunksize))


@REPLACES
@pytest.mark.parametrize("chunksize", [1, 3])
def test_c08_iterator_over_a_map_goes_on_when_the_workers_are_replaced(
    implementation: Implementation, link: str, meeting: Meeting, chunksize: int
) -> None:
    """The same, but the iterator loses only the two items that were running."""

    with implementation.pool(on_worker_death="replace") as pool, crew_killed_at(meeting):
        items = [meeting.place] * 12
        results = list(pool.map(meet, items, chunksize=chunksize, return_exceptions=True))
    lost = [index for index, result in enumerate(results) if not isinstance(result, int)]
    assert len(lost) == 2
    assert [index % chunksize for index in lost] == [0, 0]
    assert [results[index].index for index in lost] == lost


@REPLACES
@CHUNK_SIZES
@pytest.mark.parametrize("start_method", START_METHODS)
def test_c09_item_that_ends_its_worker_fails_alone(
    implementation: Implementation, start_method: str, chunks: dict[str, int]
) -> None:
    """C02 with `map`: `next` raises for the culprit and gives all others, also those of its
    chunk."""
    with implementation.pool(start_method, on_worker_death="replace") as pool:
        results = pool.map(troubles.leave_at_5, range(10), **chunks)
        assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(implementation.module.WorkerDied) as caught:
            next(results)
        assert caught.value.index == 5
        assert list(results) == [6, 7, 8, 9]


@REPLACES
def test_c09_every_item_that_ends_its_worker_fails_alone(
    implementation: Implementation, link: str
) -> None:
    """Several culprits in one chunk."""
    items = [5 if number % 7 == 0 else 0 for number in range(30)]
    with implementation.pool(on_worker_death="replace") as pool:
        results = list(pool.map(troubles.leave_at_5, items, chunksize=30, return_exceptions=True))
    for number, result in enumerate(results):
        if number % 7 == 0:
            assert isinstance(result, implementation.module.WorkerDied)
            assert result.index == number
        else:
            assert result == 0


@pytest.mark.ours_only("every future has an error of its own")
def test_c11_futures_of_a_broken_pool_share_no_exception(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """A thousand futures fail at once; each traceback is as long as the first."""
    with implementation.pool(max_workers=1) as pool:
        futures = [pool.submit(meet, meeting.place) for _ in range(1000)]
        processes.kill([meeting.await_arrivals(1)[0].pid])
        lengths = set()
        for future in futures:
            with pytest.raises(BrokenProcessPool) as caught:
                future.result(timeout=50)
            lengths.add(len(traceback.extract_tb(caught.value.__traceback__)))
    assert len({id(future.exception()) for future in futures}) == 1000
    assert len(lengths) == 1


@pytest.mark.parametrize("start_method", START_METHODS)
def test_c12_job_that_ends_without_a_word_fails_its_future(
    implementation: Implementation, start_method: str
) -> None:
    """The process side of it: a worker that ends as if all were well, with nothing written and the
    exit code of success. (Jobs of a cluster's queue are for the back ends of clusters.)"""
    with implementation.pool(start_method, max_workers=1) as pool:
        error = pool.submit(tasks.leave_in_peace).exception(timeout=50)
    assert isinstance(error, BrokenProcessPool)


@REPLACES
def test_c12_pool_goes_on_after_a_job_that_ended_without_a_word(
    implementation: Implementation, link: str
) -> None:
    with implementation.pool(max_workers=1, on_worker_death="replace") as pool:
        futures = [pool.submit(tasks.leave_in_peace), pool.submit(tasks.add_one, 1)]
        error = futures[0].exception(timeout=50)
        assert isinstance(error, implementation.module.WorkerDied)
        assert error.exitcode == 0
        assert futures[1].result(timeout=50) == 2


def test_c13_death_of_an_idle_worker_is_heard_without_being_asked_for(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """One worker dies between tasks.  Nobody calls the pool, and yet the other's task, which never
    would end, fails."""
    with implementation.pool() as pool:
        crew = meeting.crew_of(pool, 2)
        future = pool.submit(meet, meeting.place)
        busy = meeting.await_arrivals(1)[0].pid
        (idle,) = crew - {busy}
        tasks.kill(idle)
        assert isinstance(future.exception(timeout=50), BrokenProcessPool)


@REPLACES
def test_c13_death_of_an_idle_worker_disturbs_nobody(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """The same, with replacement: the other's task ends in peace."""
    with implementation.pool(on_worker_death="replace") as pool:
        crew = meeting.crew_of(pool, 2)
        future = pool.submit(meet, meeting.place)
        busy = meeting.await_arrivals(1)[0].pid
        (idle,) = crew - {busy}
        tasks.kill(idle)
        assert not processes.wait_until_gone([idle], 50)
        meeting.open(1)
        assert future.result(timeout=50) == busy
        assert idle not in meeting.crew_of(pool, 2)
