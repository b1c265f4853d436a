"""C14-C17, C19, C20, C22-C25: exceptions, recycling, shutdown, pickling and cancelling at the wrong
moment; nothing hangs, nothing is stranded."""

from __future__ import annotations

import functools
import gc
import pickle
import threading
from collections import Counter
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest
from support import scripts, tasks, troubles
from support.implementations import Implementation
from support.meetings import Meeting, meet

RECYCLES = pytest.mark.ours_only("recycling strands nothing")
STOPS = pytest.mark.ours_only("running tasks can be stopped")
RECYCLING_METHODS = ("default", "forkserver", "spawn")


def test_c14_half_of_all_tasks_raise(implementation: Implementation, link: str) -> None:
    """Every second of 10,000 tasks raises."""
    count = 10_000 if implementation.name == "allcores" else 2_000
    with implementation.pool() as pool:
        futures = [pool.submit(troubles.fail_if_odd, number) for number in range(count)]
        for number, future in enumerate(futures):
            if number % 2:
                assert isinstance(future.exception(timeout=50), tasks.UserError)
            else:
                assert future.result(timeout=50) == number


@pytest.mark.ours_only("maps go on after an exception")
def test_c14_half_of_all_items_raise(implementation: Implementation, link: str) -> None:
    """The same with `map`, whose iterator gives exceptions as results."""
    with implementation.pool() as pool:
        results = pool.map(troubles.fail_if_odd, range(10_000), return_exceptions=True)
        for number, result in enumerate(results):
            assert isinstance(result, tasks.UserError) if number % 2 else result == number


@RECYCLES
@pytest.mark.parametrize("start_method", RECYCLING_METHODS)
def test_c15_worker_is_replaced_after_its_tasks(
    implementation: Implementation, start_method: str
) -> None:
    """One worker at a time, two tasks each, ten tasks."""
    with implementation.pool(start_method, 1, max_tasks_per_child=2) as pool:
        futures = [pool.submit(tasks.worker_pid) for _ in range(10)]
        pids = Counter(future.result(timeout=50) for future in futures)
    assert len(pids) >= 5
    assert max(pids.values()) <= 2


@RECYCLES
@pytest.mark.parametrize("start_method", RECYCLING_METHODS)
def test_c16_program_ends_when_recycled_workers_have_done_their_tasks(
    implementation: Implementation, start_method: str
) -> None:
    """`shutdown(wait=False)` with four tasks for a worker that is replaced after each, and `main`
    ends."""
    method = None if start_method == "default" else start_method
    result = scripts.run_file(
        f"""
        import multiprocessing
        from allcores import ProcessPoolExecutor
        from support import tasks

        def say(future):
            print("result", future.result(), flush=True)

        if __name__ == "__main__":
            context = {method!r} and multiprocessing.get_context({method!r})
            pool = ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1)
            for number in range(4):
                pool.submit(tasks.add_one, number).add_done_callback(say)
            pool.shutdown(wait=False)
        """
    )
    assert result.code == 0, result.words
    assert sorted(result.words.splitlines()) == [f"result {number}" for number in range(1, 5)]


@RECYCLES
@pytest.mark.parametrize("start_method", RECYCLING_METHODS)
def test_c17_futures_of_a_dropped_pool_with_recycled_workers_have_results(
    implementation: Implementation, start_method: str
) -> None:
    """A function returns the futures and lets go of the executor."""

    def futures_of_a_dropped_pool() -> list[Future[int]]:
        pool = implementation.pool(start_method, 1, max_tasks_per_child=1)
        return [pool.submit(tasks.add_one, number) for number in range(4)]

    futures = futures_of_a_dropped_pool()
    gc.collect()
    assert [future.result(timeout=50) for future in futures] == [1, 2, 3, 4]


@RECYCLES
def test_c17_program_ends_that_dropped_a_pool_with_recycled_workers(
    implementation: Implementation, link: str
) -> None:
    """The same, and the program ends without having looked at the futures."""
    result = scripts.run_file(
        """
        from allcores import ProcessPoolExecutor
        from support import tasks

        def futures_of_a_dropped_pool():
            pool = ProcessPoolExecutor(2, max_tasks_per_child=1)
            return [pool.submit(tasks.print_flushed, "done") for _ in range(4)]

        if __name__ == "__main__":
            kept = futures_of_a_dropped_pool()
        """
    )
    assert (result.code, Counter(result.words)) == (0, Counter("done\n" * 4)), result.words


def test_c19_map_over_print_comes_to_its_end(implementation: Implementation, link: str) -> None:
    """`map(print, range(...))`, whose output stalled at a random item."""
    count = 100_000 if implementation.name == "allcores" else 2_000
    result = scripts.run_file(
        f"""
        from {implementation.module.__name__} import ProcessPoolExecutor
        from support import memory

        if __name__ == "__main__":
            before = memory.resident()
            with ProcessPoolExecutor(2) as pool:
                for nothing in pool.map(print, range({count})):
                    assert nothing is None
            assert memory.peak() - before < 64 * memory.MIB
        """
    )
    assert result.code == 0, result.words[-2000:]
    # Two workers write to one file, so lines may be cut where a buffer ends.
    assert Counter(result.words) == Counter("".join(f"{number}\n" for number in range(count)))


@pytest.mark.ours_only("shutdown bears what does not pickle")
@pytest.mark.parametrize("start_method", ["default", "spawn"])
def test_c20_shutdown_of_unpicklable_tasks_returns(
    implementation: Implementation, start_method: str
) -> None:
    """Ten functions that hold a lock, and `shutdown(cancel_futures=True)` at once."""
    pool = implementation.pool(start_method)
    futures = [pool.submit(functools.partial(print, threading.Lock())) for _ in range(10)]
    pool.shutdown(cancel_futures=True)
    for future in futures:
        assert future.cancelled() or isinstance(future.exception(timeout=50), TypeError)


@pytest.mark.parametrize("end", ["dies", "leaves"])
def test_c22_with_block_is_left_while_the_pool_breaks(
    implementation: Implementation, link: str, end: str
) -> None:
    """The last thing in the block is the task that breaks the pool."""
    for _ in range(10):
        with implementation.pool() as pool:
            good = pool.submit(tasks.add_one, 1)
            bad = pool.submit(tasks.ends, end)
        assert isinstance(bad.exception(timeout=50), BrokenProcessPool)
        assert good.done()


@pytest.mark.ours_only("a lost worker costs one task")
@pytest.mark.parametrize("end", ["dies", "leaves"])
def test_c22_with_block_is_left_while_workers_are_replaced(
    implementation: Implementation, link: str, end: str
) -> None:
    """The same with replacement: what waits behind the culprits still runs."""
    for _ in range(10):
        with implementation.pool(on_worker_death="replace") as pool:
            bad = [pool.submit(tasks.ends, end) for _ in range(3)]
            good = [pool.submit(tasks.add_one, number) for number in range(3)]
        assert all(isinstance(future.exception(timeout=0), BrokenProcessPool) for future in bad)
        assert [future.result(timeout=0) for future in good] == [1, 2, 3]


@pytest.mark.parametrize("start_method", ["spawn", "forkserver"])
def test_c23_unpicklable_task_is_an_error(
    implementation: Implementation, start_method: str
) -> None:
    """A generator as argument, with start methods that pickle the worker's start, too."""
    with implementation.pool(start_method) as pool:
        error = pool.submit(tasks.identity, (number for number in range(3))).exception(timeout=50)
        assert isinstance(error, (pickle.PicklingError, TypeError))
        assert "generator" in str(error)
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2


@pytest.mark.parametrize("cancel_futures", [True, False])
def test_c24_shutdown_returns_with_unread_results_of_cancelled_tasks(
    implementation: Implementation, link: str, meeting: Meeting, cancel_futures: bool
) -> None:
    """Four tasks that return ten megabytes each are cancelled when the first of them run."""
    pool = implementation.pool()
    futures = [pool.submit(troubles.meet_and_make, meeting.place, 10_000_000) for _ in range(4)]
    meeting.await_arrivals(1)
    for future in futures:
        future.cancel()
    meeting.open()
    pool.shutdown(cancel_futures=cancel_futures)
    assert all(future.cancelled() or len(future.result(timeout=0)) == 10**7 for future in futures)


@STOPS
@pytest.mark.parametrize("kind", ["stop", "terminate", "kill"])
def test_c24_ending_returns_with_unread_results(
    implementation: Implementation, link: str, meeting: Meeting, kind: str
) -> None:
    """The same, when running tasks are cancelled too, or the workers ended."""
    pool = implementation.pool()
    futures = [pool.submit(troubles.meet_and_make, meeting.place, 10_000_000) for _ in range(4)]
    meeting.await_arrivals(2)
    meeting.open()
    if kind == "stop":
        for future in futures:
            future.cancel(running=True)
    elif kind == "terminate":
        pool.terminate_workers()
    else:
        pool.kill_workers()
    pool.shutdown()
    assert all(future.done() for future in futures)


@STOPS
def test_c25_task_behind_one_that_is_cancelled_as_it_starts_or_ends_has_its_result(
    implementation: Implementation, link: str, rng: Any
) -> None:
    """A thousand times: two tasks, and the first is cancelled a few microseconds later, while it
    waits, starts, runs, or has ended."""
    # Without shared memory a task that was sent can only be stopped together with its worker.
    rounds = 1000 if link == "shm" else 200
    outcomes: Counter[bool] = Counter()
    with implementation.pool(max_workers=1) as pool:
        for number in range(rounds):
            first = pool.submit(tasks.add_one, 0)
            second = pool.submit(tasks.add_one, number)
            for _ in range(rng.randrange(400)):
                pass
            cancelled = first.cancel(running=True)
            outcomes[cancelled] += 1
            assert second.result(timeout=50) == number + 1
            assert first.cancelled() == cancelled
            assert cancelled or first.result(timeout=50) == 1
    assert outcomes[True]


@STOPS
def test_c25_task_behind_one_that_is_stopped_has_its_result(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """Thirty times: an endless task runs, another is sent behind it, and the first is stopped."""
    with implementation.pool(max_workers=1) as pool:
        for number in range(30):
            first = pool.submit(troubles.spin, meeting.place)
            second = pool.submit(tasks.add_one, number)
            meeting.await_arrivals(1)
            assert first.cancel(running=True)
            assert second.result(timeout=50) == number + 1
            with pytest.raises(CancelledError):
                first.result(timeout=50)


@STOPS
def test_c25_stopping_what_waits_or_has_ended_harms_nobody(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """`cancel(running=True)` before the start keeps a task from starting, after the end it says
    no; the worker is the same all the time."""
    with implementation.pool(max_workers=1) as pool:
        running = pool.submit(meet, meeting.place)
        waiting = [pool.submit(tasks.worker_pid) for _ in range(100)]
        worker = meeting.await_arrivals(1)[0].pid
        assert all(future.cancel(running=True) for future in waiting)
        assert all(future.cancel(running=True) for future in waiting)
        meeting.open(1)
        assert running.result(timeout=50) == worker
        assert not running.cancel(running=True)
        assert pool.submit(tasks.worker_pid).result(timeout=50) == worker
