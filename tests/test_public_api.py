"""The names, signatures, classes and words that programs and libraries rely on: the same as the
standard library's."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import multiprocessing
import sys
import threading
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest
from support import tasks
from support.implementations import START_METHODS, Implementation

Standard = concurrent.futures.ProcessPoolExecutor
NAMES = {
    "ProcessPoolExecutor", "ThreadPoolExecutor", "Executor", "Future", "wait", "as_completed",
    "FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED", "CancelledError", "TimeoutError",
    "BrokenExecutor",
}  # fmt: skip


def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(function).parameters.values()
    ]


def buffersize() -> list[tuple[str, Any, Any]]:
    """Ours everywhere, the standard library's from 3.14 on."""
    return (
        []
        if sys.version_info >= (3, 14)
        else [("buffersize", inspect.Parameter.KEYWORD_ONLY, None)]
    )


# What ours has beyond the standard signature: keywords with defaults that keep its meaning.
MORE: dict[str, dict[str, Any]] = {
    "__init__": {
        "on_worker_death": "break",
        "max_worker_memory": None,
        "context_vars": (),
        "forward_logs": False,
    },
    "shutdown": {"timeout": None, "abandon": False},
    "map": {"return_exceptions": False, "ordered": True},
}


@pytest.mark.parametrize(
    "method", ["__init__", "submit", "map", "shutdown", "__enter__", "__exit__"]
)
def test_signature_is_the_standard_one_and_more_keywords(
    implementation: Implementation, method: str
) -> None:
    ours = parameters(getattr(implementation.module.ProcessPoolExecutor, method))
    extra = buffersize() if method == "map" else []
    if implementation.differs("more keywords"):
        more = MORE.get(method, {}).items()
        extra += [(name, inspect.Parameter.KEYWORD_ONLY, default) for name, default in more]
    else:
        extra = []
    assert ours == parameters(getattr(Standard, method)) + extra


@pytest.mark.ours_only("kill and terminate everywhere")
@pytest.mark.parametrize("name", ["terminate_workers", "kill_workers"])
def test_kill_and_terminate_exist(implementation: Implementation, name: str) -> None:
    assert [
        each[0] for each in parameters(getattr(implementation.module.ProcessPoolExecutor, name))
    ] == ["self"]


@pytest.mark.ours_only("kill and terminate everywhere")
@pytest.mark.parametrize("name", ["terminate_workers", "kill_workers"])
def test_kill_and_terminate_end_a_task_that_never_would(
    implementation: Implementation, link: str, name: str
) -> None:
    with multiprocessing.Manager() as manager:
        never = manager.Event()
        pool = implementation.pool()
        started = manager.Event()
        futures = [pool.submit(tasks.say_and_wait_for, started, never) for _ in range(4)]
        assert started.wait(50)
        getattr(pool, name)()
        assert all(
            future.cancelled() or isinstance(future.exception(timeout=50), BrokenProcessPool)
            for future in futures
        )
        with pytest.raises((RuntimeError, BrokenProcessPool)):
            pool.submit(tasks.add_one, 1)


@pytest.mark.parametrize("name", ["ProcessPoolExecutor", "ThreadPoolExecutor", "Future"])
def test_classes_subclass_the_standard_ones(implementation: Implementation, name: str) -> None:
    assert issubclass(getattr(implementation.module, name), getattr(concurrent.futures, name))


def test_thread_pool_is_the_standard_one(implementation: Implementation) -> None:
    assert implementation.module.ThreadPoolExecutor is concurrent.futures.ThreadPoolExecutor


@pytest.mark.parametrize(
    "name", ["CancelledError", "TimeoutError", "InvalidStateError", "BrokenExecutor"]
)
def test_shared_classes_are_the_standard_ones(implementation: Implementation, name: str) -> None:
    assert getattr(implementation.module, name) is getattr(concurrent.futures, name)


@pytest.mark.ours_only("one executor for all")
def test_executor_is_one_over_all_and_has_the_standard_ones_as_instances(
    implementation: Implementation,
) -> None:
    ours = implementation.module.Executor
    assert issubclass(ours, concurrent.futures.Executor)
    assert issubclass(implementation.module.ProcessPoolExecutor, ours)
    assert issubclass(concurrent.futures.ThreadPoolExecutor, ours)


def test_all_lists_the_standard_names_and_each_exists(implementation: Implementation) -> None:
    assert set(implementation.module.__all__) >= NAMES
    assert all(hasattr(implementation.module, name) for name in implementation.module.__all__)
    assert len(set(implementation.module.__all__)) == len(implementation.module.__all__)


def test_instances_are_of_the_standard_classes(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        assert isinstance(pool, Standard)
        future = pool.submit(tasks.add_one, 1)
        assert isinstance(future, concurrent.futures.Future)
        assert type(future) is implementation.module.Future
        assert future.result(timeout=50) == 2


def test_max_workers_can_be_read(implementation: Implementation) -> None:
    with implementation.pool(max_workers=3) as pool:
        assert pool._max_workers == 3
    with implementation.pool(max_workers=None) as pool, Standard() as standard:
        assert pool._max_workers == vars(standard)["_max_workers"]


def test_broken_can_be_read(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        assert not pool._broken
        with pytest.raises(BrokenProcessPool):
            pool.submit(tasks.die).result(timeout=50)
        assert pool._broken


def test_fn_and_self_are_keywords_of_the_task(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        assert pool.submit(tasks.keywords, self=1, fn=2).result(timeout=50) == {"self": 1, "fn": 2}


@pytest.mark.parametrize("start_method", START_METHODS)
def test_workers_are_processes_of_multiprocessing(
    implementation: Implementation, start_method: str
) -> None:
    with implementation.pool(start_method) as pool:
        name, parent, pid = pool.submit(tasks.who_am_i).result(timeout=50)
    assert name != "MainProcess"
    assert parent == multiprocessing.current_process().pid
    assert pid != parent


@pytest.mark.parametrize("start_method", START_METHODS)
def test_locks_and_queues_travel_as_initargs(
    implementation: Implementation, start_method: str
) -> None:
    context = multiprocessing.get_context(None if start_method == "default" else start_method)
    queue, lock = context.SimpleQueue(), context.Lock()
    try:
        with implementation.pool(
            start_method, mp_context=context, initializer=tasks.remember, initargs=((queue, lock),)
        ) as pool:
            assert pool.submit(tasks.put_in_remembered_queue, 42).result(timeout=50) is None
            assert queue.get() == 42
    finally:
        queue.close()


def test_pool_without_context_manager_is_collected(implementation: Implementation) -> None:
    pool = implementation.pool()
    future = pool.submit(tasks.add_one, 1)
    del pool
    assert future.result(timeout=50) == 2


# Words that tests and log filters match.


def test_words_of_as_completed_on_time_out(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        done = [pool.submit(tasks.add_one, number) for number in range(2)]
        concurrent.futures.wait(done, timeout=50)
        never: list[Any] = [concurrent.futures.Future(), implementation.module.Future()]
        with pytest.raises(TimeoutError, match=r"2 \(of 4\) futures unfinished"):
            list(implementation.module.as_completed([*done, *never], timeout=0))


class Words(logging.Handler):
    """Keeps what is logged as text: records would keep the future alive, and so the pool."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record)


def test_words_of_a_callback_that_raises(
    implementation: Implementation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(future: object) -> None:
        raise tasks.UserError("callback")

    words, later = Words(), threading.Event()
    logger = logging.getLogger("concurrent.futures")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [words])
    with implementation.pool() as pool:
        future = pool.submit(tasks.add_one, 1)
        future.add_done_callback(fails)
        future.add_done_callback(lambda _: later.set())
        assert later.wait(50)
        assert future.result(timeout=50) == 2
    assert "exception calling callback for" in words.text
    assert "UserError: callback" in words.text


def test_time_out_of_result_is_the_standard_one(implementation: Implementation) -> None:
    with multiprocessing.Manager() as manager, implementation.pool() as pool:
        event = manager.Event()
        future = pool.submit(tasks.wait_for, event)
        with pytest.raises(concurrent.futures.TimeoutError):
            future.result(timeout=0)
        with pytest.raises(concurrent.futures.TimeoutError):
            future.exception(timeout=0.01)
        event.set()
        assert future.result(timeout=50) == "set"


# Waiting, with anybody's futures.


@pytest.mark.parametrize("waiter", ["standard", "own"])
def test_wait_takes_foreign_futures_too(
    implementation: Implementation, waiter: str, link: str
) -> None:
    module = concurrent.futures if waiter == "standard" else implementation.module
    by_hand: concurrent.futures.Future[int] = concurrent.futures.Future()
    with (
        implementation.pool() as pool,
        Standard(1) as standard,
        concurrent.futures.ThreadPoolExecutor(1) as threads,
    ):
        mixed = [
            pool.submit(tasks.add_one, 1),
            standard.submit(tasks.add_one, 2),
            threads.submit(tasks.add_one, 3),
            by_hand,
        ]
        mixed[0].add_done_callback(lambda future: by_hand.set_result(5))
        done, pending = module.wait(mixed, timeout=50)
    assert not pending
    assert sorted(future.result() for future in done) == [2, 3, 4, 5]


@pytest.mark.parametrize("waiter", ["standard", "own"])
def test_as_completed_takes_foreign_futures_too(
    implementation: Implementation, waiter: str, link: str
) -> None:
    module = concurrent.futures if waiter == "standard" else implementation.module
    with implementation.pool() as pool, concurrent.futures.ThreadPoolExecutor(1) as threads:
        mixed = [
            executor.submit(tasks.add_one, number)
            for number in range(50)
            for executor in (pool, threads)
        ]
        results = [future.result() for future in module.as_completed(mixed, timeout=50)]
    assert sorted(results) == sorted([*range(1, 51)] * 2)


@pytest.mark.parametrize("waiter", ["standard", "own"])
def test_wait_returns_at_the_first_exception(implementation: Implementation, waiter: str) -> None:
    module = concurrent.futures if waiter == "standard" else implementation.module
    with multiprocessing.Manager() as manager, implementation.pool() as pool:
        event = manager.Event()
        slow, bad = pool.submit(tasks.wait_for, event), pool.submit(tasks.fail)
        done, pending = module.wait([slow, bad], timeout=50, return_when=module.FIRST_EXCEPTION)
        assert (done, pending) == ({bad}, {slow})
        event.set()


def test_callbacks_run_once_each_in_order(implementation: Implementation, link: str) -> None:
    called: list[int] = []
    finished = threading.Event()
    with implementation.pool() as pool:
        future = pool.submit(tasks.add_one, 1)
        for number in range(5):
            future.add_done_callback(lambda _, number=number: called.append(number))
        future.add_done_callback(lambda _: finished.set())
        assert finished.wait(50)
    assert called == [0, 1, 2, 3, 4]


def test_cancelled_future_of_a_waiting_task(implementation: Implementation, link: str) -> None:
    with multiprocessing.Manager() as manager, implementation.pool(max_workers=1) as pool:
        event = manager.Event()
        futures = [pool.submit(tasks.wait_for, event) for _ in range(10)]
        assert futures[-1].cancel()
        assert futures[-1].cancelled()
        assert futures[-1].done()
        event.set()
        assert [future.result(timeout=50) for future in futures[:-1]] == ["set"] * 9
        with pytest.raises(concurrent.futures.CancelledError):
            futures[-1].result()


def test_run_in_executor(implementation: Implementation, link: str) -> None:
    async def program() -> list[int]:
        loop = asyncio.get_running_loop()
        with implementation.pool() as pool:
            return await asyncio.gather(
                *(loop.run_in_executor(pool, tasks.add_one, number) for number in range(100))
            )

    assert asyncio.run(program()) == list(range(1, 101))


def test_wrapped_future_cancels_the_one_of_the_pool(implementation: Implementation) -> None:
    async def program(event: Any) -> bool:
        with implementation.pool(max_workers=1) as pool:
            running = [pool.submit(tasks.wait_for, event) for _ in range(10)]
            wrapped = asyncio.wrap_future(running[-1])
            wrapped.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wrapped
            await asyncio.get_running_loop().run_in_executor(None, event.set)
            return bool(running[-1].cancelled())

    with multiprocessing.Manager() as manager:
        assert asyncio.run(program(manager.Event()))


def test_exception_reaches_the_awaiting_coroutine(implementation: Implementation) -> None:
    async def program() -> None:
        with implementation.pool() as pool:
            await asyncio.wrap_future(pool.submit(tasks.fail))

    with pytest.raises(tasks.UserError, match="as asked"):
        asyncio.run(program())


@pytest.mark.ours_only("buffersize everywhere")
def test_map_with_buffersize_takes_no_more_than_it_says(
    implementation: Implementation, link: str
) -> None:
    taken: list[int] = []

    def items() -> Any:
        for number in range(1000):
            taken.append(number)
            yield number

    with implementation.pool() as pool:
        results = pool.map(tasks.add_one, items(), buffersize=10)
        assert len(taken) == 10
        assert next(results) == 1
        assert len(taken) == 11
        assert list(results) == list(range(2, 1001))


def test_map_keeps_order_and_stops_at_the_shortest(
    implementation: Implementation, link: str
) -> None:
    with implementation.pool() as pool:
        assert list(pool.map(pow, range(100), [2] * 50, timeout=50)) == [
            number**2 for number in range(50)
        ]
        assert list(pool.map(tasks.add_one, [], timeout=50)) == []
        assert list(pool.map(tasks.add_one, range(1000), chunksize=7)) == list(range(1, 1001))
