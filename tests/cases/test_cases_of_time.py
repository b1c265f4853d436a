"""C28-C34: what runs can be stopped, limited in time, and never holds up the end."""

from __future__ import annotations

import signal
from concurrent.futures import CancelledError, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest
from support import processes, tasks, troubles
from support.implementations import START_METHODS, Implementation
from support.meetings import Meeting, meet

STOPS = pytest.mark.ours_only("running tasks can be stopped")
BOUNDED = pytest.mark.ours_only("bounded shutdown")
GOES_ON = pytest.mark.ours_only("maps go on after an exception")
STUCK = pytest.mark.parametrize("stuck", troubles.STUCK)


def was_ended(future: Any) -> bool:
    return future.cancelled() or isinstance(future.exception(timeout=50), BrokenProcessPool)


@pytest.mark.ours_only("kill and terminate everywhere")
@pytest.mark.parametrize("end", ["terminate_workers", "kill_workers"])
def test_c28_sleeping_workers_are_gone_when_they_are_told_to(
    implementation: Implementation, link: str, end: str, meeting: Meeting
) -> None:
    """Eight workers sleep for a quarter of an hour, and as many tasks wait for them."""
    pool = implementation.pool(max_workers=8)
    futures = [pool.submit(troubles.sleep, meeting.place) for _ in range(16)]
    pids = {arrival.pid for arrival in meeting.await_arrivals(8)}
    getattr(pool, end)()
    assert not processes.wait_until_gone(pids, 50)
    assert all(was_ended(future) for future in futures)
    pool.shutdown()


@STOPS
@STUCK
def test_c29_running_task_can_be_cancelled(
    implementation: Implementation, link: str, meeting: Meeting, stuck: str
) -> None:
    """`cancel(running=True)` on a task that would never end: its neighbours notice nothing, and the
    worker is replaced."""
    with implementation.pool() as pool:
        crew = meeting.crew_of(pool, 2)
        future = pool.submit(troubles.STUCK[stuck], meeting.place)
        victim = meeting.await_arrivals(1)[0].pid
        neighbour = pool.submit(meet, meeting.place)
        waiting = [pool.submit(tasks.add_one, number) for number in range(20)]
        other = meeting.await_arrivals(1)[0].pid
        assert future.running()
        assert not future.cancel()
        assert future.cancel(running=True)
        assert future.cancelled()
        assert future.done()
        assert not future.running()
        with pytest.raises(CancelledError):
            future.result(timeout=50)
        assert not processes.wait_until_gone([victim], 50)
        meeting.open(1)
        assert neighbour.result(timeout=50) == other
        assert [each.result(timeout=50) for each in waiting] == list(range(1, 21))
        new_crew = meeting.crew_of(pool, 2)
    assert {victim, other} == crew
    assert other in new_crew
    assert victim not in new_crew


@STOPS
@pytest.mark.parametrize("start_method", START_METHODS)
def test_c29_callbacks_and_waiters_hear_of_a_cancelled_running_task(
    implementation: Implementation, start_method: str, meeting: Meeting
) -> None:
    """The same for those who look at the future: `as_completed`, and a callback."""
    heard = []
    with implementation.pool(start_method, 1) as pool:
        future = pool.submit(troubles.spin, meeting.place)
        future.add_done_callback(heard.append)
        meeting.await_arrivals(1)
        assert future.cancel(running=True)
        assert list(as_completed([future], timeout=50)) == [future]
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2
    assert heard == [future]


@STOPS
@pytest.mark.parametrize("way", ["time-out", "cancel", "abandon"])
@pytest.mark.parametrize("kind", ["child", "session leader", "orphan"])
def test_c30_processes_that_a_stopped_task_has_started_are_gone_with_it(
    implementation: Implementation, meeting: Meeting, kind: str, way: str
) -> None:
    """The task has started `sleep 1000`, as a child, in a session of its own, or through a shell
    that has ended."""
    with implementation.pool() as pool:
        pool.submit(tasks.add_one, 1).result(timeout=50)
        call = (troubles.start_process_and_sleep, meeting.place, kind)
        # Time enough to start the process; the task itself never ends.
        view = pool.options(timeout=0.5) if way == "time-out" else pool
        future = view.submit(*call)
        (arrival,) = meeting.await_arrivals(1)
        if way == "cancel":
            assert future.cancel(running=True)
        elif way == "abandon":
            pool.shutdown(abandon=True)
            assert was_ended(future)
        else:
            assert isinstance(future.exception(timeout=50), implementation.module.TaskTimeout)
        assert not processes.wait_until_gone([arrival.pid, int(arrival.words)], 50)


@BOUNDED
@STUCK
def test_c31_shutdown_with_a_time_out_returns_and_leaves_nobody(
    implementation: Implementation, link: str, meeting: Meeting, stuck: str
) -> None:
    """One task is stuck, another waits behind it."""
    pool = implementation.pool(max_workers=1)
    futures = [pool.submit(troubles.STUCK[stuck], meeting.place) for _ in range(2)]
    (arrival,) = meeting.await_arrivals(1)
    pool.shutdown(timeout=0.1)
    assert not processes.wait_until_gone([arrival.pid], 0)
    assert all(future.done() and was_ended(future) for future in futures)
    with pytest.raises(RuntimeError):
        pool.submit(tasks.add_one, 1)


@BOUNDED
def test_c31_shutdown_with_a_time_out_lets_tasks_end_that_do(
    implementation: Implementation, link: str
) -> None:
    """Nobody is stuck: nothing is lost."""
    pool = implementation.pool()
    futures = [pool.submit(tasks.add_one, number) for number in range(1000)]
    pool.shutdown(timeout=50)
    assert [future.result(timeout=0) for future in futures] == list(range(1, 1001))


@GOES_ON
@pytest.mark.parametrize("chunks", [{}, {"chunksize": 1}, {"chunksize": 3}])
@pytest.mark.parametrize("timeout", [None, 50])
def test_c32_time_out_error_of_a_task_is_an_error_of_that_task(
    implementation: Implementation, link: str, timeout: float | None, chunks: dict[str, int]
) -> None:
    """`f` raises TimeoutError for item 2 of 4: items 3 and 4 still come."""
    with implementation.pool() as pool:
        results = pool.map(troubles.time_out_at_2, [1, 2, 3, 4], timeout=timeout, **chunks)
        assert next(results) == 1
        with pytest.raises(TimeoutError, match="the task's own"):
            next(results)
        assert list(results) == [3, 4]


@GOES_ON
def test_c32_time_out_error_of_the_map_ends_it(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """The map's own time is up: that error is another one, and nothing comes after it."""
    with implementation.pool(max_workers=1) as pool:
        results = pool.map(meet, [meeting.place] * 10, timeout=0.05, chunksize=1)
        meeting.await_arrivals(1)
        with pytest.raises(TimeoutError) as caught:
            next(results)
        assert not isinstance(caught.value, implementation.module.TaskTimeout)
        assert list(results) == []
        meeting.open()


@STOPS
def test_c33_time_outs_do_not_multiply_processes(implementation: Implementation, link: str) -> None:
    """Forty tasks exceed their time in a pool of two, and there are never more workers than two,
    and one that starts."""
    before, most = processes.workers(), 0
    with implementation.pool() as pool:
        limited = pool.options(timeout=0.02)
        futures = [limited.submit(troubles.spin) for _ in range(40)]
        for future in as_completed(futures, timeout=50):
            assert isinstance(future.exception(), implementation.module.TaskTimeout)
            most = max(most, len(processes.workers() - before))
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2
    assert most <= 3


@STOPS
@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize("stuck", ["spins", "refuses", "is stopped"])
def test_c34_task_has_a_time_limit_of_its_own(
    implementation: Implementation, start_method: str, meeting: Meeting, stuck: str
) -> None:
    """`options(timeout=)` ends what is stuck and says what it was; neighbours and successors have
    their results, and no pool has to be made anew."""
    with implementation.pool(start_method, on_worker_death="break") as pool:
        others = [pool.submit(tasks.add_one, number) for number in range(10)]
        view = pool.options(timeout=0.1)
        futures = [view.submit(troubles.STUCK[stuck], meeting.place), view.submit(abs, -1)]
        others += [pool.submit(tasks.add_one, number) for number in range(10)]
        error = futures[0].exception(timeout=50)
        assert isinstance(error, implementation.module.TaskTimeout)
        assert isinstance(error, TimeoutError)
        assert not isinstance(error, BrokenProcessPool)
        assert error.function == troubles.STUCK[stuck].__name__
        assert error.pid == meeting.await_arrivals(1)[0].pid
        assert futures[1].result(timeout=50) == 1
        assert [each.result(timeout=50) for each in others] == [*range(1, 11), *range(1, 11)]


@STOPS
def test_c34_error_says_the_limit(implementation: Implementation, link: str) -> None:
    """As a number of seconds, and in its text; for a call and for an item."""
    with implementation.pool() as pool:
        view = pool.options(timeout=0.125)
        errors = [view.submit(troubles.spin).exception(timeout=50)]
        errors += view.map(troubles.spin_at_5, [5], return_exceptions=True)
    assert [error.limit for error in errors] == [0.125, 0.125]
    assert all("0.125" in str(error) for error in errors)


@STOPS
@pytest.mark.parametrize("chunksize", [1, 4, 12])
def test_c34_item_has_a_time_limit_of_its_own(
    implementation: Implementation, link: str, chunksize: int
) -> None:
    """The limit counts for each item of a map: a chunk of twelve may take twelve times as long, and
    one that is stuck spoils no other."""
    with implementation.pool() as pool:
        results = list(
            pool.options(timeout=0.2).map(
                troubles.spin_at_5, range(12), chunksize=chunksize, return_exceptions=True
            )
        )
    error = results.pop(5)
    assert isinstance(error, implementation.module.TaskTimeout)
    assert (error.function, error.index, error.argument) == ("spin_at_5", 5, "5")
    assert results == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]


@STOPS
def test_c34_worker_that_dies_of_its_own_within_its_time_is_no_time_out(
    implementation: Implementation, link: str
) -> None:
    """A death and a time-out are told apart."""
    with implementation.pool(on_worker_death="replace") as pool:
        error = pool.options(timeout=50).submit(tasks.die).exception(timeout=50)
    assert isinstance(error, implementation.module.WorkerDied)
    assert not isinstance(error, TimeoutError)
    assert error.exitcode == -signal.SIGKILL


@pytest.mark.ours_only("running tasks can be stopped")
def test_c34_thread_can_not_be_stopped_and_the_error_says_why(
    implementation: Implementation,
) -> None:
    with implementation.module.ThreadPoolExecutor(1) as pool:
        with pytest.raises(NotImplementedError, match="a thread can't be stopped from outside"):
            implementation.module.options(pool, timeout=1)
        again = implementation.module.options(pool, retries=2, retry_on=ZeroDivisionError)
        with pytest.raises(NotImplementedError, match="hint: use `allcores"):
            again.options(timeout=1)


@pytest.mark.ours_only("running tasks can be stopped")
def test_c34_call_on_a_thread_is_made_again(implementation: Implementation) -> None:
    divisors = [0, 0, 4]
    with implementation.module.ThreadPoolExecutor(1) as pool:
        view = implementation.module.options(pool, retries=2, retry_on=ZeroDivisionError)
        assert view.submit(lambda: 8 / divisors.pop(0)).result(timeout=50) == 2
        assert list(view.map(abs, [-1, -2])) == [1, 2]


@pytest.mark.ours_only("running tasks can be stopped")
def test_c34_same_word_for_every_executor(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        view = implementation.module.options(pool, timeout=50)
        assert view.submit(tasks.add_one, 1).result() == 2
