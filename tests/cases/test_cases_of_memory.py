"""C10, C66-C68: memory that a task must not have fails it, memory that it may have is left alone,
and what is over gives its memory back."""

from __future__ import annotations

import sys
from collections import deque

import pytest
from support import memory, scripts, tasks, troubles
from support.implementations import START_METHODS, Implementation
from support.meetings import Meeting, meet
from support.memory import MIB

LIMITED = pytest.mark.ours_only("workers have a memory limit")
TOO_MUCH = 4096 * MIB


@LIMITED
@pytest.mark.parametrize("start_method", START_METHODS)
def test_c10_task_that_allocates_past_the_limit_fails_with_the_reason(
    implementation: Implementation, start_method: str
) -> None:
    """The limit is a quarter of what the task wants; its worker and its neighbours live on."""
    with implementation.pool(start_method, max_worker_memory=1024 * MIB) as pool:
        futures = [pool.submit(tasks.add_one, number) for number in range(10)]
        greedy = pool.submit(troubles.allocate, TOO_MUCH)
        futures += [pool.submit(tasks.add_one, number) for number in range(10)]
        error = greedy.exception(timeout=50)
        assert isinstance(error, MemoryError)
        assert "max_worker_memory" in "\n".join(error.__notes__)
        assert [each.result(timeout=50) for each in futures] == [*range(1, 11), *range(1, 11)]
        assert pool.submit(troubles.allocate, 16 * MIB).result(timeout=50) == 16 * MIB


@LIMITED
@pytest.mark.parametrize("chunksize", [1, 10])
def test_c10_item_that_allocates_past_the_limit_fails_alone(
    implementation: Implementation, link: str, chunksize: int
) -> None:
    """The same with `map`."""
    with implementation.pool(max_worker_memory=1024 * MIB) as pool:
        results = list(
            pool.map(troubles.allocate_at_5, range(10), chunksize=chunksize, return_exceptions=True)
        )
    error = results.pop(5)
    assert isinstance(error, MemoryError)
    assert "max_worker_memory" in "\n".join(error.__notes__)
    assert results == [0, 1, 2, 3, 4, 6, 7, 8, 9]


@LIMITED
def test_c10_argument_past_the_limit_fails_its_call_alone(
    implementation: Implementation, link: str
) -> None:
    """Even that of a function's first call: the function's own bytes arrive without a limit."""
    with implementation.pool("spawn", 1, max_worker_memory=128 * MIB) as pool:
        error = pool.submit(len, bytes(256 * MIB)).exception(timeout=50)
        assert isinstance(error, MemoryError)
        assert "max_worker_memory" in "\n".join(error.__notes__)
        assert pool.submit(len, b"small").result(timeout=50) == 5


@LIMITED
def test_c10_program_ends_with_the_code_that_it_chose(implementation: Implementation) -> None:
    """A worker out of memory does not hang the program."""
    result = scripts.run_file(
        f"""
        import sys
        from allcores import ProcessPoolExecutor
        from support import troubles

        if __name__ == "__main__":
            with ProcessPoolExecutor(2, max_worker_memory={1024 * MIB}) as pool:
                try:
                    pool.submit(troubles.allocate, {TOO_MUCH}).result()
                except MemoryError:
                    sys.exit(3)
        """
    )
    assert (result.code, result.words) == (3, "")


@pytest.fixture
def start() -> int:
    """What this process has in memory before the test; its peak is measured from here."""
    memory.forget_peak()
    return memory.resident()


# A map may be as far ahead of its consumer as a few chunks, whose number of items is measured.
@pytest.mark.ours_only("maps are lazy")
@pytest.mark.parametrize(
    ("options", "count", "bound"), [({}, 600, 350), ({"buffersize": 4}, 300, 100)]
)
def test_c66_results_of_a_map_taken_one_by_one_do_not_pile_up(
    implementation: Implementation,
    link: str,
    start: int,
    options: dict[str, int],
    count: int,
    bound: int,
) -> None:
    """Many results of a megabyte each, with the items from a generator."""
    with implementation.pool() as pool:
        results = pool.map(troubles.make_megabyte, (number for number in range(count)), **options)
        taken = 0
        for data in results:
            assert (len(data), data[:4]) == (MIB, taken.to_bytes(4, "little"))
            taken += 1
    assert taken == count
    assert memory.peak() - start < bound * MIB


def test_c66_results_of_futures_taken_one_by_one_do_not_pile_up(
    implementation: Implementation, link: str, start: int
) -> None:
    """300 tasks that return a megabyte each, four at a time."""
    with implementation.pool() as pool:
        futures = [pool.submit(troubles.make_megabyte, number) for number in range(4)]
        for number in range(4, 300):
            assert len(futures.pop(0).result(timeout=50)) == MIB
            futures.append(pool.submit(troubles.make_megabyte, number))
        del futures
    assert memory.peak() - start < 100 * MIB


def test_c66_dropped_futures_give_their_memory_back(
    implementation: Implementation, link: str, start: int
) -> None:
    """A hundred megabytes lie in futures, are looked at and dropped, five times."""
    with implementation.pool() as pool:
        for _ in range(5):
            futures = [pool.submit(troubles.make_megabyte, number) for number in range(100)]
            for future in futures:
                assert future.exception(timeout=50) is None
            del futures, future
    assert memory.peak() - start < 300 * MIB


@pytest.mark.parametrize("start_method", START_METHODS)
def test_c66_what_the_program_drops_is_gone(
    implementation: Implementation, start_method: str
) -> None:
    """A pool has seen a script's globals, and keeps none of them, nor does it keep itself."""
    method = None if start_method == "default" else start_method
    result = scripts.run_file(
        f"""
        import gc
        import multiprocessing
        import weakref
        from {implementation.module.__name__} import ProcessPoolExecutor
        from support import tasks

        class Data:
            pass

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            data = Data()
            pool = ProcessPoolExecutor(1, context)
            assert pool.submit(tasks.add_one, 1).result() == 2
            kept = [weakref.ref(data), weakref.ref(pool)]
            del data
            gc.collect()
            print("data", kept[0]())
            pool.shutdown()
            del pool
            gc.collect()
            print("pool", kept[1]())
        """
    )
    assert (result.code, result.words) == (0, "data None\npool None\n")


def test_c67_worker_that_keeps_a_large_cache_stays(
    implementation: Implementation, link: str
) -> None:
    """A task fills a quarter of a gigabyte for good, which nobody has forbidden."""
    with implementation.pool(max_workers=1) as pool:
        workers = {pool.submit(troubles.fill_cache, 64 * MIB).result(timeout=50) for _ in range(4)}
        workers.add(pool.submit(tasks.worker_pid).result(timeout=50))
    assert len(workers) == 1


@LIMITED
def test_c67_worker_past_the_limit_that_the_user_set_is_replaced(
    implementation: Implementation, link: str
) -> None:
    """With a limit, the cache costs the worker, between two tasks, and never a result."""
    with implementation.pool("spawn", 1, max_worker_memory=128 * MIB) as pool:
        futures = [pool.submit(troubles.fill_cache, 24 * MIB) for _ in range(12)]
        workers = [future.result(timeout=50) for future in futures]
    assert len(set(workers)) > 1
    assert workers == sorted(workers, key=workers.index)


@pytest.mark.ours_only("waiting tasks are small")
@pytest.mark.skipif(sys.platform != "linux", reason="`mallinfo2` is glibc's")
def test_c68_waiting_tasks_are_small_and_their_memory_comes_back(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """100,000 tasks wait behind one that does not end: the engine has less than 300 bytes for
    each, arguments included, and none of it afterwards."""
    count = 100_000
    with implementation.pool(max_workers=1) as pool:
        blocker = pool.submit(meet, meeting.place)
        meeting.await_arrivals(1)
        before = memory.allocated()
        futures = [pool.submit(tasks.add_one, number) for number in range(count)]
        waiting = memory.allocated() - before
        meeting.open(1)
        assert blocker.result(timeout=50)
        assert sum(future.result(timeout=50) for future in futures) == sum(range(1, count + 1))
        futures.clear()
        left = memory.allocated() - before
    assert waiting < 300 * count
    assert left < 30 * count


@pytest.mark.ours_only("waiting tasks are small")
@pytest.mark.skipif(sys.platform != "linux", reason="glibc gives memory back when asked")
def test_c68_system_has_the_memory_of_a_crowd_back(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """300,000 tasks wait and are cancelled: with their futures they take less than 300 bytes each
    of the machine's memory, and next to none when they are gone, though the pool lives on."""
    count = 300_000
    with implementation.pool(max_workers=1) as pool:
        blocker = pool.submit(meet, meeting.place)
        meeting.await_arrivals(1)
        before = memory.resident()
        futures = deque(pool.submit(tasks.add_one, number) for number in range(count))
        waiting = memory.resident() - before
        assert all(future.cancel() for future in futures)
        futures.clear()
        left = memory.resident() - before
        meeting.open(1)
        assert blocker.result(timeout=50)
    assert waiting < 300 * count
    assert left < 60 * count


def test_c68_futures_stay_small_when_others_were_waited_for() -> None:
    """A standard future has seven attributes; those that nobody looked into have room for one."""
    script = """
import sys, tracemalloc
from concurrent.futures import wait

import allcores

with allcores.ProcessPoolExecutor(1) as pool:
    if sys.argv[1:]:
        allcores.Future()
        wait([pool.submit(abs, 1)])
    futures = [None] * 10_000
    tracemalloc.start()
    for number in range(10_000):
        futures[number] = pool.submit(abs, number)
    print(tracemalloc.get_traced_memory()[0])
"""
    alone, beside = (
        int(scripts.run(["-c", script, *more]).words) for more in ([], ["beside others"])
    )
    assert beside < 1.1 * alone
