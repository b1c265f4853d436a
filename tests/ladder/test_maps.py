"""`allcores.map` and `Executor.map` mean the same on every rung."""

from __future__ import annotations

import functools
import itertools
import os
import signal
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import rungs, tasks
from support.meetings import Meeting

import allcores


def next_or_error(results: Iterator[Any]) -> Any:
    try:
        return next(results)
    except Exception as error:
        return type(error)


def test_results_are_in_order(backend: str) -> None:
    expected = list(range(1, 501))
    assert list(allcores.map(tasks.add_one, range(500), backend=backend)) == expected
    assert list(allcores.map(tasks.add_one, iter(range(500)), backend=backend)) == expected
    assert list(allcores.map(tasks.add_one, range(500), backend=backend, chunksize=7)) == expected


def test_the_shortest_iterable_ends_it(backend: str) -> None:
    assert list(allcores.map(pow, range(5), [2] * 3, backend=backend)) == [0, 1, 4]
    assert list(allcores.map(pow, itertools.count(), [2] * 3, backend=backend)) == [0, 1, 4]


def test_nothing_comes_of_nothing(backend: str) -> None:
    assert list(allcores.map(tasks.add_one, [], backend=backend)) == []
    assert list(allcores.map(tasks.add_one, iter([]), backend=backend)) == []
    assert list(allcores.map(tasks.fail, backend=backend)) == []


def test_what_is_no_iterable_is_refused_at_once(backend: str) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        allcores.map(tasks.add_one, 5, backend=backend)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not callable"):
        allcores.map(5, [1], backend=backend)  # type: ignore[arg-type]


def test_error_comes_in_its_turn_and_next_goes_on(backend: str) -> None:
    numbers = [1, 2, 0, 4, 0]
    results = allcores.map(tasks.reciprocal, numbers, backend=backend)
    found = [next_or_error(results) for _ in range(6)]
    assert found == [1, 0.5, ZeroDivisionError, 0.25, ZeroDivisionError, StopIteration]


def test_error_names_function_index_and_argument(backend: str) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(allcores.map(tasks.reciprocal, [1, 2, 0], backend=backend))
    assert caught.value.__notes__ == ["in allcores task reciprocal(index 2, 0)"]
    with pytest.raises(ZeroDivisionError) as caught:
        list(allcores.map(divmod, [1, 2], [1, 0], backend=backend))
    assert caught.value.__notes__ == ["in allcores task divmod(index 1, (2, 0))"]


def test_traceback_shows_where_it_was_raised(backend: str) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(allcores.map(tasks.reciprocal, [0], backend=backend))
    text = "".join(traceback.format_exception(caught.value))
    assert "in reciprocal" in text
    assert "return 1 / number" in text


def test_error_with_arguments_of_its_own_arrives(backend: str) -> None:
    results = allcores.map(
        lambda _: tasks.raise_needs_arguments(), [1], backend=backend, return_exceptions=True
    )
    (error,) = results
    assert isinstance(error, tasks.NeedsArguments)
    assert error.code == 42


def test_exceptions_are_results_if_asked_for(backend: str) -> None:
    one, error, other = allcores.map(
        tasks.reciprocal, [1, 0, 2], backend=backend, return_exceptions=True
    )
    assert (one, other) == (1, 0.5)
    assert isinstance(error, ZeroDivisionError)
    assert error.__notes__ == ["in allcores task reciprocal(index 1, 0)"]


def test_system_exit_is_the_exception_of_its_call(backend: str) -> None:
    found = list(allcores.map(rungs.leave, range(3), backend=backend, return_exceptions=True))
    assert [type(each) for each in found] == [int, SystemExit, int]


def test_stop_iteration_of_a_call_comes_in_its_turn(backend: str) -> None:
    results = allcores.map(rungs.stop, range(3), backend=backend)
    assert [next_or_error(results) for _ in range(4)] == [0, StopIteration, 2, StopIteration]


@pytest.mark.parametrize("kind", ["lambda", "closure", "partial", "method", "builtin"])
def test_c55_functions_of_all_kinds_work(backend: str, kind: str) -> None:
    three = 3

    def closure(number: int) -> int:
        return number + three

    functions = {
        "lambda": lambda number: number + 3,
        "closure": closure,
        "partial": functools.partial(int.__add__, 3),
        "method": rungs.Adder(3).add,
        "builtin": (3).__add__,
    }
    assert list(allcores.map(functions[kind], range(3), backend=backend)) == [3, 4, 5]


def test_shared_objects_are_given_as_themselves(backend: str) -> None:
    table = allcores.share({"a": 1})
    assert list(allcores.map(dict.get, [table] * 2, "ab", backend=backend)) == [1, None]
    with allcores.Executor(backend, 1) as executor:
        assert executor.submit(dict.get, table, "a").result(timeout=50) == 1


def test_results_may_come_as_they_come(backend: str) -> None:
    results = allcores.map(tasks.add_one, range(100), backend=backend, ordered=False)
    assert sorted(results) == list(range(1, 101))
    found = list(
        allcores.map(
            tasks.reciprocal, [0, 1, 2], backend=backend, ordered=False, return_exceptions=True
        )
    )
    assert sorted(map(str, found)) == ["0.5", "1.0", "division by zero"]


@pytest.mark.backends(*rungs.PARALLEL)
def test_unordered_results_do_not_wait_for_the_first(backend: str, meeting: Meeting) -> None:
    task = functools.partial(rungs.first_waits, meeting.place)
    results = allcores.map(
        task, range(4), backend=backend, max_workers=2, ordered=False, chunksize=1
    )
    assert sorted(next(results) for _ in range(3)) == [1, 2, 3]
    meeting.open()
    assert list(results) == [0]


# Laziness


def test_endless_input_can_be_left_after_ten(backend: str) -> None:
    items = rungs.Counting()
    results = allcores.map(tasks.add_one, items, backend=backend, max_workers=2)
    assert [next(results) for _ in range(10)] == list(range(1, 11))
    results.close()  # type: ignore[attr-defined]
    assert items.taken <= 2 * 10 + 4 * (2 * 2 + 2)
    assert len(list(results)) <= items.taken - 10  # what had come with the tenth


def test_generators_are_run_in_the_thread_that_takes_results(backend: str) -> None:
    items = rungs.Counting()
    results = allcores.map(tasks.add_one, items, backend=backend, max_workers=2)
    assert list(itertools.islice(results, 200)) == list(range(1, 201))
    results.close()  # type: ignore[attr-defined]
    assert items.threads == {threading.get_ident()}


def test_error_of_the_input_comes_after_the_results_before_it(backend: str) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise tasks.UserError("no more")

    results = allcores.map(tasks.add_one, items(), backend=backend)
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(tasks.UserError, match="no more"):
        next(results)
    assert list(results) == []


def test_buffersize_bounds_what_is_taken(backend: str) -> None:
    items = rungs.Counting()
    with allcores.Executor(backend, 2) as executor:
        results = executor.map(tasks.add_one, items, buffersize=3)
        assert items.taken <= 3
        assert next(results) == 1
        assert items.taken <= 4
        results.close()  # type: ignore[attr-defined]


def test_closed_map_starts_nothing_more(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "marks"
    results = allcores.map(
        functools.partial(rungs.mark, path), itertools.count(), backend=backend, max_workers=1
    )
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert rungs.marks(path) <= 1 + 4 * (2 + 2)


def test_dropped_map_says_that_items_were_not_run(backend: str, tmp_path: Path) -> None:
    task = functools.partial(rungs.mark, tmp_path / "marks")
    results = [allcores.map(task, range(100_000), backend=backend, max_workers=1)]
    with pytest.warns(ResourceWarning, match=r"a map of `mark` was dropped before its end"):
        results.clear()


def test_error_that_leaves_a_loop_drops_the_rest_quietly(backend: str) -> None:
    with pytest.raises(ZeroDivisionError):
        for _ in allcores.map(tasks.reciprocal, [0] * 1000, backend=backend):
            pass


# Retries and limits


def test_retries_make_a_call_again(backend: str, tmp_path: Path) -> None:
    task = functools.partial(rungs.fail_the_first, tmp_path / "one")
    assert list(allcores.map(task, [2], backend=backend, retries=2)) == [3]
    task = functools.partial(rungs.fail_the_first, tmp_path / "other")
    with pytest.raises(ConnectionError, match="call 2"):
        list(allcores.map(task, [2], backend=backend, retries=1))


def test_retry_on_says_after_what(backend: str, tmp_path: Path) -> None:
    task = functools.partial(rungs.fail_the_first, tmp_path / "marks")
    with pytest.raises(ConnectionError, match="call 1"):
        list(allcores.map(task, [1], backend=backend, retries=3, retry_on=KeyError))
    (found,) = allcores.map(task, [2], backend=backend, retries=3, retry_on=(KeyError, OSError))
    assert found == 3


@pytest.mark.backends("serial", "threads", "interpreters")
def test_timeout_that_could_not_be_kept_is_refused(backend: str) -> None:
    with pytest.raises(NotImplementedError, match=f"`timeout` .* backend `{backend}`.*\nhint: use"):
        allcores.map(tasks.add_one, [1], backend=backend, timeout=1.0)


@pytest.mark.backends("processes", "auto")
def test_timeout_ends_the_one_call(backend: str, meeting: Meeting) -> None:
    task = functools.partial(rungs.first_waits, meeting.place)
    late, *others = allcores.map(
        task, range(20), backend=backend, timeout=0.5, return_exceptions=True
    )
    assert isinstance(late, allcores.TaskTimeout)
    assert (late.index, late.limit) == (0, 0.5)
    assert others == list(range(1, 20))


@pytest.mark.backends("processes")
def test_lost_worker_costs_one_item(backend: str) -> None:
    found = list(
        allcores.map(
            lambda number: tasks.die() if number == 3 else number,
            range(20),
            backend=backend,
            return_exceptions=True,
        )
    )
    assert isinstance(found.pop(3), allcores.WorkerDied)
    assert found == [number for number in range(20) if number != 3]


@pytest.mark.parametrize(
    "wrong",
    [{"timeout": 0}, {"retries": -1}, {"chunksize": 0}, {"max_workers": 0}],
    ids=lambda each: next(iter(each)),
)
def test_numbers_out_of_range_are_refused(backend: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        allcores.map(tasks.add_one, [1], backend=backend, **wrong)


# Interrupts and nesting


@pytest.mark.backends("serial", "auto")
def test_ctrl_c_in_the_caller_leaves_the_map(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "marks"

    def interrupted(number: int) -> None:
        rungs.mark(path)
        if number == 3:
            signal.raise_signal(signal.SIGINT)

    results = allcores.map(interrupted, range(100), backend=backend)
    with pytest.raises(KeyboardInterrupt):
        list(results)
    assert list(results) == []
    assert rungs.marks(path) == 4


@pytest.mark.backends("threads", "processes")
def test_ctrl_c_leaves_the_map(backend: str, meeting: Meeting) -> None:
    def interrupt() -> None:
        meeting.await_arrivals(1)
        os.kill(os.getpid(), signal.SIGINT)

    def consume() -> None:
        for _ in allcores.map(task, range(100), backend=backend, max_workers=2):
            pass

    hand = threading.Thread(target=interrupt)
    hand.start()
    task = functools.partial(rungs.first_waits, meeting.place)
    try:
        with pytest.raises(KeyboardInterrupt):
            consume()
    finally:
        meeting.open()
        hand.join()


def test_map_inside_a_task_of_the_same_backend(backend: str) -> None:
    task = functools.partial(rungs.inner_map, backend)
    if backend == "interpreters":
        task = functools.partial(rungs.inner_map, "serial")  # our engine can't be imported there
    assert list(allcores.map(task, [3, 4], backend=backend, max_workers=2)) == [3, 6]
