"""`allcores.share`: an object crosses once for each worker, however many tasks it is passed to."""

from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy
import pytest
from support import buffers, nested, tasks
from support.memory import MIB

import allcores
from allcores import ProcessPoolExecutor, share


def with_a_pool(test: Callable[[ProcessPoolExecutor], None]) -> Callable[[str], None]:
    """Nothing but the test holds it, so that nothing is left when it is over."""

    def run(link: str) -> None:
        with ProcessPoolExecutor(2) as pool:
            test(pool)

    run.__name__ = test.__name__
    return run


@with_a_pool
def test_c35_a_shared_object_is_made_once_in_each_worker(pool: ProcessPoolExecutor) -> None:
    shared = share(buffers.Counted(5))
    found = [pool.submit(buffers.made_and_value, shared, step) for step in range(200)]
    results = [future.result() for future in found]
    assert [value for _, _, value in results] == [5 + step for step in range(200)]
    assert {made for _, made, _ in results} == {1}


@with_a_pool
def test_c36_a_partial_crosses_once_for_each_worker_of_a_map(pool: ProcessPoolExecutor) -> None:
    function = partial(buffers.made_and_value, buffers.Counted(5))
    results = list(pool.map(function, range(1000), chunksize=10))
    assert [value for _, _, value in results] == list(range(5, 1005))
    assert {made for _, made, _ in results} == {1}


@with_a_pool
def test_a_task_gets_the_object_and_no_handle(pool: ProcessPoolExecutor) -> None:
    for value in ({"a": 1}, [1, 2], "text", 7, None, numpy.arange(5), lambda: 3):
        result = pool.submit(buffers.type_name, share(value)).result()
        assert result == type(value).__name__


@with_a_pool
def test_handles_may_stand_anywhere_among_the_arguments(pool: ProcessPoolExecutor) -> None:
    shared = share(numpy.arange(MIB // 8))
    assert pool.submit(buffers.item_of, shared, 3).result() == 3
    assert pool.submit(buffers.item_of, index=4, values=shared).result() == 4
    assert pool.submit(buffers.nested_value, {"here": shared}, 5).result() == 5
    assert list(pool.map(buffers.item_of, [shared] * 10, range(10))) == list(range(10))
    assert list(pool.map(partial(buffers.item_of, shared), range(10))) == list(range(10))
    careful = pool.options(timeout=50, retries=1)
    assert careful.submit(buffers.item_of, shared, 6).result() == 6
    with ProcessPoolExecutor(1, on_worker_death="replace") as other:
        assert list(other.map(buffers.item_of, [shared] * 10, range(10))) == list(range(10))


class _Slow:
    """Lets another thread go on in the middle of a pickle."""

    def __init__(self, met: threading.Barrier) -> None:
        self._met = met

    def __reduce__(self) -> tuple[type[list[int]], tuple[()]]:
        self._met.wait(30)
        return list, ()


@with_a_pool
def test_threads_that_pickle_at_once_need_each_their_own(pool: ProcessPoolExecutor) -> None:
    """Both are in the middle of a pickle before either comes to its handle."""
    pool.submit(buffers.first_of, share([0])).result()
    met, results = threading.Barrier(2), {}

    def pass_on(number: int) -> None:
        holder = {"slow": _Slow(met), "here": share([number]), "again": _Slow(met)}
        results[number] = pool.submit(buffers.nested_value, holder, 0).result()

    threads = [threading.Thread(target=pass_on, args=(number,)) for number in (7, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {7: 7, 8: 8}


@with_a_pool
def test_a_task_sees_the_object_as_it_was_when_it_was_shared(pool: ProcessPoolExecutor) -> None:
    values = numpy.zeros(MIB // 8)
    shared = share(values)
    values[0] = 1
    assert pool.submit(buffers.first_of, shared).result() == 0
    assert pool.submit(buffers.first_of, values).result() == 1


@with_a_pool
def test_shared_arrays_are_read_only(pool: ProcessPoolExecutor) -> None:
    assert not pool.submit(buffers.is_writable, share(numpy.zeros(MIB // 8))).result()


def test_one_handle_serves_many_pools_and_goes_with_its_last_use() -> None:
    shared = share(numpy.arange(MIB // 8))
    for _ in range(3):
        with ProcessPoolExecutor(1) as pool:
            assert pool.submit(buffers.item_of, shared, 2).result() == 2


def test_workers_let_go_of_what_no_handle_is_left_of(link: str) -> None:
    with ProcessPoolExecutor(1) as pool:
        shared = share(buffers.Watched())
        token = pool.submit(buffers.watch, shared).result()
        assert pool.submit(buffers.is_there, token).result()
        del shared
        gc.collect()
        assert not pool.submit(buffers.is_there, token).result()


def test_a_task_that_waits_keeps_what_it_needs(link: str) -> None:
    with ProcessPoolExecutor(1) as pool:
        shared = share(numpy.arange(MIB // 8))
        futures = [pool.submit(buffers.item_of, shared, step) for step in range(200)]
        del shared
        gc.collect()
        assert [future.result() for future in futures] == list(range(200))


def test_a_worker_that_takes_a_dead_ones_place_gets_the_object_too(link: str) -> None:
    shared = share(numpy.ones(MIB // 8))
    with ProcessPoolExecutor(2, on_worker_death="replace") as pool:
        futures = [pool.submit(buffers.sum_unless, step % 5 == 3, shared) for step in range(20)]
        results = [future.exception() or future.result() for future in futures]
    assert [result for result in results if isinstance(result, float)] == [MIB / 8] * 16


@with_a_pool
def test_an_object_that_can_not_be_made_fails_its_tasks_alone(pool: ProcessPoolExecutor) -> None:
    shared = share(tasks.RefusesRestoring())
    for _ in range(3):
        with pytest.raises(allcores.TransportError):
            pool.submit(tasks.identity, shared).result()
    assert pool.submit(tasks.add_one, 1).result() == 2


def test_what_can_not_be_pickled_is_said_at_once() -> None:
    with pytest.raises(TypeError, match="lock"):
        share(threading.Lock())


@with_a_pool
def test_a_handle_is_for_tasks_only(pool: ProcessPoolExecutor) -> None:
    shared = share([1])
    with pytest.raises(pickle.PicklingError, match="hint: pass it"):
        pickle.dumps(shared)
    assert repr(shared) == "<shared list>"
    assert shared.value == [1]


@with_a_pool
def test_an_executor_within_a_task_hands_the_object_over(pool: ProcessPoolExecutor) -> None:
    assert pool.submit(nested.share_and_submit, pool).result() == [7, 7]


# Read-only arrays


@with_a_pool
def test_an_array_that_nobody_may_write_to_is_sent_once(pool: ProcessPoolExecutor) -> None:
    values = numpy.arange(MIB, dtype=float)
    values.flags.writeable = False
    found = {pool.submit(buffers.pid_and_identity, values).result() for _ in range(100)}
    assert len(found) <= 2, "one object in each worker"
    assert pool.stats()["bytes_copied"] < 9 * MIB + 100_000
    assert [pool.submit(buffers.item_of, values, step).result() for step in range(50)] == list(
        range(50)
    )


@with_a_pool
def test_an_array_that_was_written_to_meanwhile_is_sent_again(pool: ProcessPoolExecutor) -> None:
    """It has to be writable for that, so it is not taken for the one that was sent."""
    values = numpy.zeros(MIB)
    values.flags.writeable = False
    assert [pool.submit(buffers.first_of, values).result() for _ in range(3)] == [0, 0, 0]
    values.flags.writeable = True
    values[0] = 1
    assert [pool.submit(buffers.first_of, values).result() for _ in range(3)] == [1, 1, 1]


@with_a_pool
def test_a_read_only_view_of_what_others_write_to_is_compared(pool: ProcessPoolExecutor) -> None:
    values = numpy.zeros(MIB)
    view = values[:]
    view.flags.writeable = False
    for step in range(5):
        values[0] = step
        assert pool.submit(buffers.first_of, view).result() == step


@with_a_pool
def test_another_array_at_the_same_place_is_another_array(pool: ProcessPoolExecutor) -> None:
    for step in range(20):
        values = numpy.full(MIB, float(step))
        values.flags.writeable = False
        found = [pool.submit(buffers.first_of, values).result() for _ in range(2)]
        assert found == [step, step]
        del values


@with_a_pool
def test_arrays_over_bytes_are_constant(pool: ProcessPoolExecutor) -> None:
    values: Any = numpy.frombuffer(bytes(MIB), dtype=numpy.uint8)
    found = {pool.submit(buffers.pid_and_identity, values).result() for _ in range(30)}
    assert len(found) <= 2
