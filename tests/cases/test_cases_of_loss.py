"""C18, C21, C26, C59, C75, C78: nothing deadlocks, only the guilty future fails, and its error says
what and where."""

from __future__ import annotations

import os
import threading
import traceback
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from support import gates, scripts, tasks
from support.implementations import START_METHODS, Implementation

NO_POOL_BREAKS = pytest.mark.ours_only("one lost payload breaks no pool")


def users_error(error: BaseException | None) -> BaseException | None:
    """The exception of the user's own in `error`: itself or what caused it."""
    while error is not None and not isinstance(error, tasks.UserError):
        error = error.__cause__ or error.__context__
    return error


def fill_up(pool: Any, count: int) -> None:
    """C18's shape: tasks with 1 kB there and 1 kB back, and nobody takes the results before all are
    submitted."""
    load = os.urandom(1000)
    futures = [pool.submit(tasks.identity, load) for _ in range(count)]
    assert all(future.result(timeout=50) == load for future in futures)


# The standard pool is given fewer: a full wake-up pipe can still stop it in 3.11
# (python/cpython#105829).
def test_c18_many_unconsumed_results_do_not_deadlock(
    implementation: Implementation, link: str
) -> None:
    with implementation.pool() as pool:
        fill_up(pool, 200_000 if implementation.name == "allcores" else 5_000)


@pytest.mark.parametrize("start_method", START_METHODS[1:])
def test_c18_under_each_start_method(implementation: Implementation, start_method: str) -> None:
    with implementation.pool(start_method) as pool:
        fill_up(pool, 200_000 if implementation.name == "allcores" else 5_000)


REFUSALS = {
    "state": tasks.RefusesState,
    "reduce": tasks.RefusesReduce,
    "restoring": tasks.RefusesRestoring,
}


@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize("way", ["in", "out"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_c21_object_that_refuses_fails_only_its_future(
    implementation: Implementation, start_method: str, way: str, refusal: str
) -> None:
    kind = REFUSALS[refusal]
    with implementation.pool(start_method) as pool:
        future = (
            pool.submit(tasks.identity, kind()) if way == "in" else pool.submit(tasks.build, kind)
        )
        error = future.exception(timeout=50)
        if refusal != "restoring":
            assert isinstance(error, tasks.UserError)
            assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2
        elif implementation.differs("one lost payload breaks no pool"):
            assert isinstance(error, BrokenProcessPool)
            assert users_error(error) is not None
            assert "__setstate__ refused" in "".join(traceback.format_exception(error))
            assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2
        else:
            assert isinstance(error, BrokenProcessPool)


@NO_POOL_BREAKS
def test_c21_neighbours_of_a_refused_object_keep_their_results(
    implementation: Implementation, link: str
) -> None:
    kinds = [tasks.RefusesState, tasks.RefusesReduce, tasks.RefusesRestoring]
    with implementation.pool() as pool:
        futures = []
        for number in range(300):
            futures.append(pool.submit(tasks.add_one, number))
            futures.append(pool.submit(tasks.identity, kinds[number % 3]()))
            futures.append(pool.submit(tasks.build, kinds[number % 3]))
        outcomes = [future.exception(timeout=50) for future in futures]
        assert [future.result() for future in futures[::3]] == [number + 1 for number in range(300)]
    assert not any(outcomes[::3])
    assert all(users_error(error) is not None for error in (*outcomes[1::3], *outcomes[2::3]))


@NO_POOL_BREAKS
def test_c21_refused_item_of_map_spares_what_came_before_it(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        results = pool.map(tasks.identity, [1, 2, tasks.RefusesRestoring(), 4], chunksize=1)
        assert [next(results), next(results)] == [1, 2]
        with pytest.raises(BrokenProcessPool):
            next(results)
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2


@pytest.mark.parametrize("start_method", START_METHODS)
def test_c26_pool_works_while_another_thread_imports(
    implementation: Implementation,
    start_method: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"slow_to_import_{start_method}_{implementation.name}"
    (tmp_path / f"{name}.py").write_text(
        "from support import gates\ngates.reached.set()\nassert gates.opened.wait(50)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    gates.reached.clear()
    gates.opened.clear()
    importer = threading.Thread(target=__import__, args=(name,))
    importer.start()
    try:
        assert gates.reached.wait(50)
        with implementation.pool(start_method) as pool:
            refused = pool.submit(tasks.identity, threading.Lock())
            assert isinstance(refused.exception(timeout=50), TypeError)
            assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2
    finally:
        gates.opened.set()
        importer.join()


@pytest.mark.parametrize("start_method", START_METHODS)
def test_c26_module_uses_a_pool_while_it_is_imported(
    implementation: Implementation, start_method: str, tmp_path: Path
) -> None:
    context = (
        "None" if start_method == "default" else f"multiprocessing.get_context({start_method!r})"
    )
    (tmp_path / "uses_a_pool.py").write_text(
        f"""
import multiprocessing, threading
from {implementation.module.__name__} import ProcessPoolExecutor
from support import tasks
with ProcessPoolExecutor(2, mp_context={context}) as pool:
    error = pool.submit(tasks.identity, threading.Lock()).exception()
    answer = pool.submit(tasks.add_one, 1).result()
"""
    )
    program = f"""
        import sys

        if __name__ == "__main__":
            sys.path.insert(0, {str(tmp_path)!r})
            import uses_a_pool

            print("answer", uses_a_pool.answer, type(uses_a_pool.error).__name__)
        """
    result = scripts.run_file(program)
    assert (result.code, "answer 2 TypeError" in result.words) == (0, True), result.words


@pytest.mark.parametrize("start_method", START_METHODS)
def test_c59_result_that_can_not_be_unpickled_is_an_exception(
    implementation: Implementation, start_method: str
) -> None:
    with implementation.pool(start_method) as pool:
        error = pool.submit(tasks.make_ending_when_unpickled, "raises").exception(timeout=50)
        assert isinstance(error, BrokenProcessPool)
        if implementation.differs("one lost payload breaks no pool"):
            assert users_error(error) is not None
            assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2


@NO_POOL_BREAKS
@pytest.mark.parametrize("start_method", START_METHODS)
def test_c75_exception_with_required_arguments_arrives(
    implementation: Implementation, start_method: str
) -> None:
    with implementation.pool(start_method) as pool:
        error = pool.submit(tasks.raise_needs_arguments).exception(timeout=50)
        assert error is not None
        told = "".join(traceback.format_exception(error))
        assert isinstance(error, tasks.NeedsArguments) or "NeedsArguments" in str(error)
        assert "code 42: no reason" in str(error)
        assert "in raise_needs_arguments" in told
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2


@pytest.mark.parametrize("start_method", START_METHODS)
def test_c75_exception_that_pickle_refuses_arrives(
    implementation: Implementation, start_method: str
) -> None:
    with implementation.pool(start_method) as pool:
        error = pool.submit(tasks.raise_holds_a_lock).exception(timeout=50)
        assert error is not None
        if implementation.name == "allcores":
            assert isinstance(error, tasks.HoldsALock) or "HoldsALock" in str(error)
            assert "held" in str(error)
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2


def notes(error: BaseException | None) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


@pytest.mark.ours_only("errors name the argument")
@pytest.mark.parametrize("chunksize", [1, 7])
def test_c78_error_of_map_names_function_index_and_argument(
    implementation: Implementation, chunksize: int
) -> None:
    with implementation.pool() as pool:
        results = pool.map(
            tasks.reciprocal, [*range(1, 20), 0.0, *range(1, 20)], chunksize=chunksize
        )
        with pytest.raises(ZeroDivisionError) as caught:
            list(results)
    told = notes(caught.value)
    assert "reciprocal" in told
    assert "19" in told
    assert "0.0" in told


@pytest.mark.ours_only("errors name the argument")
def test_c78_error_of_submit_names_function_and_argument(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        error = pool.submit(tasks.reciprocal, 0.0).exception(timeout=50)
    assert "reciprocal" in notes(error)
    assert "0.0" in notes(error)


@pytest.mark.ours_only("errors name the argument")
def test_c78_note_is_short_whatever_the_argument(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        errors = [
            pool.submit(tasks.add_one, "x" * 1_000_000).exception(timeout=50),
            pool.submit(tasks.add_one, tasks.ReprFails()).exception(timeout=50),
        ]
    assert all(isinstance(error, TypeError) for error in errors)
    assert all("add_one" in notes(error) and len(notes(error)) < 1000 for error in errors)


def test_c78_remote_traceback_is_the_cause(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        error = pool.submit(tasks.reciprocal, 0).exception(timeout=50)
    assert type(error) is ZeroDivisionError
    assert "in reciprocal" in str(error.__cause__)
