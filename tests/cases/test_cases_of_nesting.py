"""C27, C61, C63, C84 to C87: executors inside tasks, forks of the user's, what travels beside
arguments, and whose the cores are."""

from __future__ import annotations

import contextvars
import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import nested, scripts, tasks
from support.implementations import START_METHODS, Implementation

from allcores.pool import logs

INSIDE = pytest.mark.ours_only("executors work inside tasks")
SHARED = pytest.mark.ours_only("pools share the cores")
CONTEXTS = pytest.mark.ours_only("contexts travel")
BY_METHOD = pytest.mark.parametrize("start_method", START_METHODS)


# C27: an executor inside its own tasks


@INSIDE
@BY_METHOD
@pytest.mark.parametrize("fib", [nested.fib_by_submit, nested.fib_by_map])
def test_c27_recursive_fork_join_completes_with_one_worker(
    implementation: Implementation, start_method: str, fib: Callable[..., int]
) -> None:
    with implementation.pool(start_method, max_workers=1) as pool:
        assert pool.submit(fib, pool, 12).result(timeout=50) == 144


@INSIDE
def test_c27_over_both_links_with_several_workers(
    implementation: Implementation, link: str
) -> None:
    with implementation.pool() as pool:
        assert list(pool.map(nested.fib_by_submit, [pool] * 8, range(8))) == [
            0, 1, 1, 2, 3, 5, 8, 13,
        ]  # fmt: skip


GLOBAL = """
    import multiprocessing

    from {module} import ProcessPoolExecutor

    def fib(number):
        if number < 2:
            return number
        one, other = pool.submit(fib, number - 1), pool.submit(fib, number - 2)
        return one.result() + other.result()

    with ProcessPoolExecutor(1, mp_context={context}) as pool:
        def closed_over(number):
            return sum(pool.map(lambda each: fib(each), [number - 1, number - 2]))

        print("answer", pool.submit(fib, 10).result(), pool.submit(closed_over, 10).result())
    """


@INSIDE
@BY_METHOD
def test_c27_executor_that_is_a_global_of_the_script(
    implementation: Implementation, start_method: str
) -> None:
    context = (
        "None" if start_method == "default" else f"multiprocessing.get_context({start_method!r})"
    )
    result = scripts.run_file(GLOBAL.format(module=implementation.module.__name__, context=context))
    assert (result.code, result.words) == (0, "answer 55 55\n")


@INSIDE
@BY_METHOD
def test_c27_executor_comes_back_as_itself(
    implementation: Implementation, start_method: str
) -> None:
    with implementation.pool(start_method) as pool:
        is_executor, pid, back = pool.submit(nested.give_back, pool).result(timeout=50)
    assert (is_executor, back) == (True, pool)
    assert pid != os.getpid()


@INSIDE
@pytest.mark.parametrize("start_method", ["fork", "forkserver"])
def test_c27_another_executor_of_the_parent_works_in_a_task_too(
    implementation: Implementation, start_method: str
) -> None:
    with implementation.pool(start_method) as other, implementation.pool(start_method) as pool:
        assert pool.submit(nested.fib_by_submit, other, 5).result(timeout=50) == 5
        assert other.submit(nested.fib_by_map, pool, 5).result(timeout=50) == 5


@INSIDE
def test_c27_inner_failure_has_its_note(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        assert pool.submit(nested.failure_of_inner_call, pool).result(timeout=50) == (
            True,
            "inside",
            ["in allcores task fail('inside')"],
        )
        got, notes = pool.submit(nested.first_failure_of_inner_map, pool).result(timeout=50)
    assert (got, notes) == ([1, 0.5], ["in allcores task one_by(index 2, 0)"])


@INSIDE
def test_c27_inner_future_has_ended(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        assert all(pool.submit(nested.states_of_inner_future, pool).result(timeout=50))


@INSIDE
def test_c27_inner_map_is_lazy_but_makes_its_calls(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        assert pool.submit(nested.taken_by_inner_map, pool).result(timeout=50) == (3, [0, 1, 2])
        assert pool.submit(nested.calls_of_unattended_map, pool).result(timeout=50) == [1, 2, 3]


@INSIDE
def test_c27_shutdown_in_a_task_does_nothing(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        assert pool.submit(nested.inner_pool_outlives_shutdown, pool).result(timeout=50) == 2
        assert pool.submit(abs, -1).result(timeout=50) == 1


def test_c27_executor_goes_nowhere_else(implementation: Implementation) -> None:
    import pickle

    with implementation.pool(max_workers=1) as pool:
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(pool)
        error = pool.submit(implementation.module.ProcessPoolExecutor, 1).exception(timeout=50)
    assert isinstance(error, TypeError)
    assert "cannot pickle" in str(error)


# C61: a fork after OpenMP threads


@SHARED
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU's OpenMP")
def test_c61_fork_after_openmp_threads_does_not_hang(implementation: Implementation) -> None:
    result = scripts.run_file(
        f"""
        import ctypes
        import multiprocessing
        import threading

        from {implementation.module.__name__} import ProcessPoolExecutor

        gomp = ctypes.CDLL("libgomp.so.1")

        def team():
            seen = set()
            body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(
                lambda _: seen.add(threading.get_native_id())
            )
            gomp.GOMP_parallel(body, None, 0, 0)
            return len(seen)

        gomp.omp_set_num_threads(2)
        here = team()
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            print("answer", here, pool.submit(team).result(50))
        """,
        {"PYTHON_CPU_COUNT": "4"},
    )
    assert "answer 2 1" in result.words, result.words


# C63: the user's own fork


FORKED = """
    import concurrent.futures
    import multiprocessing
    import os
    import sys
    import threading

    from {module} import ProcessPoolExecutor
    from support import tasks

    def refused(use):
        try:
            got = use()
        except RuntimeError as error:
            assert "fork" in str(error) and "hint:" in str(error), error
        else:
            raise AssertionError(f"not refused: {{got!r}}")

    def use_all():
        refused(lambda: pool.submit(abs, 1))
        refused(lambda: pool.map(abs, [1]))
        refused(lambda: unused.submit(abs, 1))
        refused(lambda: next(results))
        for future in (running, watched, undecoded):
            refused(future.result)
            refused(lambda: future.result(timeout=0))
            refused(future.exception)
            refused(future.done)
            refused(future.running)
            refused(future.cancel)
            refused(future.cancelled)
            refused(lambda: future.add_done_callback(print))
            refused(lambda: concurrent.futures.wait([future]))
            refused(lambda: list(concurrent.futures.as_completed([future])))
            assert "of another process" in repr(future)
        assert known.result() == 3
        pool.shutdown()
        pool.shutdown(wait=False, cancel_futures=True)
        pool.terminate_workers()
        pool.kill_workers()
        with pool:
            pass

    if __name__ == "__main__":
        context = multiprocessing.get_context({start_method!r})
        gate = context.Event()
        pool = ProcessPoolExecutor(1, context, tasks.remember, (gate,))
        unused = ProcessPoolExecutor(1, context)
        known, undecoded = pool.submit(abs, -3), pool.submit(abs, -4)
        known.result()
        while not undecoded.done():
            pass
        running, watched = pool.submit(tasks.wait_for_remembered), pool.submit(abs, -5)
        done = []
        watched.add_done_callback(done.append)
        results = pool.map(abs, range(1000), chunksize=1)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            {in_child}
        else:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            gate.set()
            assert running.result(50) == "set" and watched.result(50) == 5
            assert undecoded.result() == 4 and list(results) == list(range(1000))
            pool.shutdown()
            unused.shutdown()
            print("answer", code, len(done), flush=True)
    """

IN_CHILD = {
    "uses all that is there": "use_all()",
    "ends at once": "pass",
    "drops everything": "del pool, unused, running, watched, undecoded, known, results",
    "makes a pool of its own": (
        "assert ProcessPoolExecutor(1, context).submit(abs, -6).result(50) == 6"
    ),
}


@pytest.mark.ours_only("forked copies refuse")
@pytest.mark.parametrize("start_method", START_METHODS[1:])
@pytest.mark.parametrize("behaviour", IN_CHILD)
def test_c63_child_of_the_users_fork_survives_and_parent_goes_on(
    implementation: Implementation, behaviour: str, start_method: str
) -> None:
    result = scripts.run_file(
        FORKED.format(
            module=implementation.module.__name__,
            start_method=start_method,
            in_child=IN_CHILD[behaviour],
        )
    )
    assert (result.code, "answer 0 1" in result.words) == (0, True), result.words
    assert "Traceback" not in result.words, result.words


# C84: context variables and log records


@pytest.fixture
def request_number() -> Iterator[Callable[[Any], None]]:
    """Sets the context variable for the time of the test."""
    token = nested.REQUEST.set("at the beginning")
    yield nested.REQUEST.set
    nested.REQUEST.reset(token)


@CONTEXTS
@BY_METHOD
def test_c84_context_variable_around_map_is_seen_by_the_items(
    implementation: Implementation,
    start_method: str,
    request_number: Callable[[Any], None],
) -> None:
    with implementation.pool(start_method, context_vars=(nested.REQUEST,)) as pool:
        request_number("first")
        first = pool.map(nested.request, range(5))
        request_number("second")
        second = pool.submit(nested.request)
        request_number("third")
        assert list(first) == ["first"] * 5
        assert second.result(timeout=50) == "second"


@CONTEXTS
def test_c84_what_a_task_sets_ends_with_it(
    implementation: Implementation, link: str, request_number: Callable[[Any], None]
) -> None:
    request_number(1)
    with implementation.pool(max_workers=1, context_vars=(nested.REQUEST,)) as pool:
        pool.submit(nested.change_request).result(timeout=50)
        assert pool.submit(nested.request).result(timeout=50) == 1


@CONTEXTS
def test_c84_variable_that_the_caller_has_not_set_is_not_set_in_a_fork(
    implementation: Implementation, request_number: Callable[[Any], None]
) -> None:
    with implementation.pool("fork", max_workers=1, context_vars=(nested.REQUEST,)) as pool:
        assert pool.submit(nested.request).result(timeout=50) == "at the beginning"
        bare = contextvars.Context().run(pool.submit, nested.request)
        assert bare.result(timeout=50) == "none"


@CONTEXTS
def test_c84_value_that_can_not_be_pickled_is_named(
    implementation: Implementation, request_number: Callable[[Any], None]
) -> None:
    request_number(tasks.make_lock_holder())
    with implementation.pool(context_vars=(nested.REQUEST,)) as pool:
        error = pool.submit(nested.request).exception(timeout=50)
        with pytest.raises(TypeError):
            list(pool.map(nested.request, [1]))
        nested.REQUEST.set("again")
        assert pool.submit(nested.request).result(timeout=50) == "again"
    assert "in the value of the context variable `REQUEST`" in error.__notes__


@CONTEXTS
def test_c84_context_vars_must_be_context_variables(implementation: Implementation) -> None:
    with pytest.raises(TypeError, match="context variables, not `'REQUEST'`"):
        implementation.pool(context_vars=("REQUEST",))


VARIABLES_OF_MAIN = """
    import contextvars
    import multiprocessing

    from {module} import ProcessPoolExecutor

    REQUEST = contextvars.ContextVar("REQUEST", default="none")

    def make_hidden():
        return contextvars.ContextVar("hidden")

    def read():
        return REQUEST.get()

    def use(hidden):
        context = multiprocessing.get_context({start_method!r})
        with ProcessPoolExecutor(1, context, context_vars=[hidden, REQUEST]) as pool:
            print(pool.submit(read).result())
            REQUEST.set("mine"), hidden.set("seen")
            print(pool.submit(read).result(), pool.submit(lambda: hidden.get()).result())
            print([each is one for each, one in
                   zip(pool.submit(lambda: (REQUEST, hidden)).result(), (REQUEST, hidden))])

    use(make_hidden())
    """


@CONTEXTS
@pytest.mark.parametrize("start_method", START_METHODS[1:])
def test_c84_variables_of_the_script_are_one_object_in_a_worker(
    implementation: Implementation, start_method: str
) -> None:
    source = VARIABLES_OF_MAIN.format(
        module=implementation.module.__name__, start_method=start_method
    )
    result = scripts.run_file(source)
    assert (result.code, result.words) == (0, "none\nmine seen\n[True, True]\n")


@CONTEXTS
def test_c84_callback_runs_in_the_context_in_which_it_was_added(
    implementation: Implementation, link: str, request_number: Callable[[Any], None]
) -> None:
    seen: list[Any] = []
    gate = multiprocessing.get_context("fork").Event()
    with implementation.pool(
        "fork", max_workers=1, initializer=tasks.remember, initargs=(gate,)
    ) as pool:
        future = pool.submit(tasks.wait_for_remembered)
        for number in (1, 2):
            request_number(number)
            future.add_done_callback(lambda _: seen.append(nested.REQUEST.get()))
        request_number(3)
        gate.set()
        assert future.result(timeout=50) == "set"
    future.add_done_callback(lambda _: seen.append(nested.REQUEST.get()))
    assert seen == [1, 2, 3]


class Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    """The one handler of this process, and two loggers with levels."""
    root, loud = logging.getLogger(), logging.getLogger("loud")
    kept, level = root.handlers[:], root.level
    root.handlers[:] = [keeper := Keeper()]
    root.setLevel(logging.WARNING)
    loud.setLevel(logging.DEBUG)
    yield keeper
    root.handlers[:] = kept
    root.setLevel(level)
    loud.setLevel(logging.NOTSET)


@CONTEXTS
@BY_METHOD
def test_c84_log_records_of_a_worker_reach_the_handlers_of_the_parent_in_order(
    implementation: Implementation, start_method: str, keeper: Keeper
) -> None:
    with implementation.pool(start_method) as pool:
        said = pool.submit(nested.log_in_worker, logs.levels()).result(timeout=50)
    assert keeper.records == []
    for payload in said:
        logs.handle(payload)
    first, second, third = keeper.records
    assert (first.name, first.getMessage()) == ("loud.child", "first argument")
    assert (second.name, second.shape) == ("quiet", (2, 3))  # type: ignore[attr-defined]
    assert "lock" in second.lock  # type: ignore[attr-defined]
    assert logging.Formatter().format(third).startswith("an error\nTraceback")
    assert "UserError: third" in (third.exc_text or "")
    assert os.getpid() not in {each.process for each in keeper.records}


@CONTEXTS
def test_c84_levels_of_the_parent_decide_when_a_record_arrives(
    implementation: Implementation, keeper: Keeper
) -> None:
    with implementation.pool() as pool:
        said = pool.submit(nested.log_in_worker, logs.levels()).result(timeout=50)
    logging.getLogger("loud").setLevel(logging.ERROR)
    for payload in said:
        logs.handle(payload)
    assert [each.getMessage() for each in keeper.records] == ["second", "an error"]


# C86 and C87: one budget of cores


@SHARED
@BY_METHOD
@pytest.mark.parametrize(("first", "leaves"), [(1, 4), (2, 4), (4, 4), (6, 6)])
def test_c86_three_levels_share_one_budget(
    implementation: Implementation,
    start_method: str,
    first: int,
    leaves: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", "4")
    with implementation.pool(start_method, max_workers=first) as pool:
        found = list(pool.map(nested.widths, [2] * first, chunksize=1, timeout=50))
    assert sum(map(len, found)) == leaves


@SHARED
@pytest.mark.parametrize("count", [1, 3])
def test_c86_default_is_the_share_and_a_number_is_honoured(
    implementation: Implementation, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", "5")
    monkeypatch.setenv("ALLCORES_CORES", str(count))
    with implementation.pool(max_workers=None) as pool, implementation.pool(max_workers=7) as other:
        assert (pool._max_workers, other._max_workers) == (count, 7)


@SHARED
@BY_METHOD
def test_c87_thread_limits_are_the_share(
    implementation: Implementation, start_method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", "8")
    for name in nested.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with implementation.pool(start_method) as pool:
        assert set(pool.submit(nested.limits).result(timeout=50).values()) == {"4"}
        assert pool.submit(nested.limit_of_a_program).result(timeout=50) == "4 4\n"
        assert pool.submit(nested.inner_limits).result(timeout=50) == ("4", "1")
    assert not any(nested.limits().values())


@SHARED
@BY_METHOD
def test_c87_limits_that_the_user_has_set_stay(
    implementation: Implementation, start_method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", "8")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    for name in nested.VARIABLES[1:]:
        monkeypatch.delenv(name, raising=False)
    with implementation.pool(start_method) as pool:
        found = pool.submit(nested.limits).result(timeout=50)
        assert pool.submit(nested.inner_limits).result(timeout=50) == ("4", "4")
    assert (found["OMP_NUM_THREADS"], found["OPENBLAS_NUM_THREADS"]) == ("4", None)
    assert found["RAYON_NUM_THREADS"] == "4"


@SHARED
@pytest.mark.parametrize("start_method", ["fork", "forkserver"])
def test_c87_blas_has_the_share_whether_it_was_loaded_before_the_fork_or_not(
    implementation: Implementation, start_method: str
) -> None:
    result = scripts.run_file(
        f"""
        import ctypes
        import multiprocessing

        import numpy

        from {implementation.module.__name__} import ProcessPoolExecutor

        def threads():
            numpy.ones((4, 4)) @ numpy.ones((4, 4))
            with open("/proc/self/maps") as file:
                path = next(line.split()[-1] for line in file if "openblas" in line)
            return ctypes.CDLL(path).scipy_openblas_get_num_threads64_()

        context = multiprocessing.get_context({start_method!r})
        with ProcessPoolExecutor(2, context) as pool, ProcessPoolExecutor(1, context) as wide:
            print("answer", threads(), pool.submit(threads).result(), wide.submit(threads).result())
        """,
        {"PYTHON_CPU_COUNT": "2", "OPENBLAS_NUM_THREADS": "", "OMP_NUM_THREADS": ""},
    )
    here, narrow, wide = result.words.split()[1:]
    assert (int(narrow), int(wide)) == (1, min(int(here), 2)), result.words
