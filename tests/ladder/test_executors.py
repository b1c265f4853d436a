"""`allcores.Executor` is a standard executor with the same meaning on every rung."""

from __future__ import annotations

import concurrent.futures
import functools
import threading
from pathlib import Path
from typing import Any

import pytest
from support import nested, rungs, tasks
from support.meetings import Meeting, meet

import allcores


def test_call_and_its_result(backend: str) -> None:
    with allcores.Executor(backend, 2) as executor:
        future = executor.submit(tasks.keywords, self=1, fn=2)
        assert future.result(timeout=50) == {"self": 1, "fn": 2}
        assert future.done()
        assert not future.cancel()
        assert isinstance(future, allcores.Future)


def test_error_of_a_call_names_it(backend: str) -> None:
    with allcores.Executor(backend, 1) as executor:
        error = executor.submit(tasks.reciprocal, 0).exception(timeout=50)
    assert isinstance(error, ZeroDivisionError)
    assert error.__notes__ == ["in allcores task reciprocal(0)"]


def test_futures_can_be_waited_for(backend: str) -> None:
    with allcores.Executor(backend, 2) as executor:
        futures = [executor.submit(tasks.add_one, number) for number in range(20)]
        done, pending = allcores.wait(futures, timeout=50)
        assert (done, pending) == (set(futures), set())
        results = [future.result() for future in allcores.as_completed(futures, timeout=50)]
    assert sorted(results) == list(range(1, 21))


def test_callback_is_called_with_the_future(backend: str) -> None:
    called, later = [], threading.Event()
    with allcores.Executor(backend, 1) as executor:
        future = executor.submit(tasks.add_one, 1)
        future.add_done_callback(called.append)
        future.add_done_callback(lambda _: later.set())
        assert later.wait(50)
    assert called == [future]


@pytest.mark.backends(*rungs.PARALLEL)
def test_call_that_has_not_started_can_be_cancelled(backend: str, meeting: Meeting) -> None:
    with allcores.Executor(backend, 1) as executor:
        running = executor.submit(meet, meeting.place)
        meeting.await_arrivals(1)
        futures = [executor.submit(meet, meeting.place) for _ in range(10)]
        assert futures[-1].cancel()
        assert not running.cancel()
        executor.shutdown(wait=False, cancel_futures=True)
        meeting.open()
        assert isinstance(running.result(timeout=50), int)
        assert futures[-1].cancelled()
        assert not allcores.wait(futures, timeout=50).not_done
        with pytest.raises(concurrent.futures.CancelledError):
            futures[-1].result(timeout=50)


def test_nothing_is_taken_after_shutdown(backend: str) -> None:
    executor = allcores.Executor(backend, 1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(tasks.add_one, 1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.map(tasks.add_one, [1])


def test_shutdown_runs_maps_that_nobody_has_looked_at(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "marks"
    with allcores.Executor(backend, 2) as executor:
        one = executor.map(functools.partial(rungs.mark, path), range(20))
        other = executor.map(functools.partial(rungs.mark, path), iter(range(20)))
    assert rungs.marks(path) == 40
    assert list(one) == list(other) == list(range(20))


def test_map_has_the_standard_timeout(backend: str) -> None:
    with allcores.Executor(backend, 1) as executor:
        with pytest.raises(TimeoutError):
            list(executor.map(tasks.add_one, range(100_000), timeout=0))
        assert list(executor.map(tasks.add_one, [1], timeout=50)) == [2]


@pytest.mark.backends(*rungs.PARALLEL)
def test_map_past_its_time_raises_while_a_call_runs(backend: str, meeting: Meeting) -> None:
    with allcores.Executor(backend, 1) as executor:
        results = executor.map(meet, [meeting.place], timeout=0.05)
        with pytest.raises(TimeoutError):
            next(results)
        meeting.open()


def test_map_with_all_keywords(backend: str) -> None:
    with allcores.Executor(backend, 2) as executor:
        found = list(
            executor.map(
                tasks.reciprocal,
                [1, 0, 2],
                timeout=50,
                chunksize=2,
                buffersize=2,
                return_exceptions=True,
                ordered=False,
                progress=False,
            )
        )
    assert sorted(map(str, found)) == ["0.5", "1.0", "division by zero"]


def test_options_are_a_view(backend: str, tmp_path: Path) -> None:
    task = functools.partial(rungs.fail_the_first, tmp_path / "marks")
    with allcores.Executor(backend, 1) as executor:
        careful = executor.options(retries=2)
        assert careful.submit(task, 2).result(timeout=50) == 3
        assert list(careful.options(retry_on=KeyError).map(task, [2])) == [4]
        error = executor.submit(task, 9).exception(timeout=50)
    assert isinstance(error, ConnectionError)


@pytest.mark.backends("serial", "threads", "interpreters")
def test_options_that_could_not_be_kept_are_refused(backend: str) -> None:
    with (
        allcores.Executor(backend, 1) as executor,
        pytest.raises(NotImplementedError, match=f"`timeout` .* backend `{backend}`"),
    ):
        executor.options(timeout=1.0)


def test_unknown_options_are_refused(backend: str) -> None:
    with allcores.Executor(backend, 1) as executor:
        with pytest.raises(TypeError, match="unknown option `colour`"):
            executor.options(colour="red")
        with pytest.raises(ValueError, match="`retries` must be 0 or more"):
            executor.options(retries=-1)


@pytest.mark.backends("processes", "auto")
def test_option_timeout_ends_a_call(backend: str, meeting: Meeting) -> None:
    with allcores.Executor(backend, 1) as executor:
        future = executor.options(timeout=0.3).submit(meet, meeting.place)
        assert isinstance(future.exception(timeout=50), allcores.TaskTimeout)
        assert executor.submit(tasks.add_one, 1).result(timeout=50) == 2


@pytest.mark.backends("serial", "threads", "processes")
def test_initializer_is_called_before_the_first_call(backend: str) -> None:
    rungs.forget()
    with allcores.Executor(backend, 1, initializer=rungs.begin, initargs=(7,)) as executor:
        assert executor.submit(rungs.begun).result(timeout=50) == [7]
        assert list(executor.map(rungs.begun, [0])) == [[7]]


@pytest.mark.backends("serial", "threads", "processes")
def test_initializer_that_fails_breaks_the_executor(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    def first(executor: allcores.Executor) -> Any:
        return executor.submit(tasks.add_one, 1).result(timeout=50)

    with allcores.Executor(backend, 1, initializer=tasks.refuse_to_start) as executor:
        with pytest.raises(allcores.BrokenExecutor):
            first(executor)
        with pytest.raises(allcores.BrokenExecutor):
            list(executor.map(tasks.add_one, [1, 2, 3]))


@pytest.mark.backends("serial", "threads", "processes", "auto")
def test_executor_can_be_used_in_its_own_tasks(backend: str) -> None:
    with allcores.Executor(backend, 1) as executor:
        assert executor.submit(nested.fib_by_submit, executor, 6).result(timeout=50) == 8
        assert executor.submit(nested.fib_by_map, executor, 6).result(timeout=50) == 8


def test_stats_count_calls(backend: str) -> None:
    with allcores.Executor(backend, 1) as executor:
        good, bad = executor.submit(tasks.add_one, 1), executor.submit(tasks.reciprocal, 0)
        allcores.wait([good, bad], timeout=50)
        assert {"submitted", "queued", "done", "failed", "cancelled"} <= executor.stats().keys()
        assert executor.stats()["submitted"] == 2


def test_max_workers_can_be_read(backend: str) -> None:
    with allcores.Executor(backend, 3) as executor:
        assert executor._max_workers == (1 if backend == "serial" else 3)
        assert f"{backend!r}" in repr(executor)


def test_standard_executors_are_instances() -> None:
    with (
        allcores.ProcessPoolExecutor(1) as pool,
        concurrent.futures.ThreadPoolExecutor(1) as threads,
        allcores.Executor("serial") as serial,
    ):
        for each in (pool, threads, serial):
            assert isinstance(each, allcores.Executor)
            assert isinstance(each, concurrent.futures.Executor)
    assert not isinstance(1, allcores.Executor)
    assert not issubclass(concurrent.futures.Executor, type("Own", (allcores.Executor,), {}))
