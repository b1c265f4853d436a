"""What goes wrong before, beside and after a task: the standard error, or a clear one; no other
result is lost."""

from __future__ import annotations

import contextlib
import importlib
import threading
import traceback
from concurrent.futures import BrokenExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from support import scripts, tasks
from support.implementations import START_METHODS, Implementation


@pytest.mark.parametrize("count", [0, -1, -1000])
def test_max_workers_must_be_positive(implementation: Implementation, count: int) -> None:
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        implementation.pool(max_workers=count)


def test_initializer_must_be_callable(implementation: Implementation) -> None:
    with pytest.raises(TypeError, match="initializer must be a callable"):
        implementation.pool(initializer=42)


def test_max_tasks_per_child_is_a_positive_integer(implementation: Implementation) -> None:
    with pytest.raises(TypeError, match="max_tasks_per_child must be an integer"):
        implementation.pool("spawn", max_tasks_per_child=1.5)
    with pytest.raises(ValueError, match="max_tasks_per_child must be >= 1"):
        implementation.pool("spawn", max_tasks_per_child=0)


def test_max_tasks_per_child_refuses_fork(implementation: Implementation) -> None:
    with pytest.raises(ValueError, match="max_tasks_per_child is incompatible with the 'fork'"):
        implementation.pool("fork", max_tasks_per_child=1)


def test_chunksize_must_be_positive(implementation: Implementation) -> None:
    with implementation.pool() as pool, pytest.raises(ValueError, match="chunksize must be >= 1"):
        pool.map(tasks.add_one, [1, 2], chunksize=0)


def test_submit_wants_a_function(implementation: Implementation) -> None:
    with implementation.pool() as pool, pytest.raises(TypeError):
        pool.submit()


def test_what_is_not_callable_is_an_error_of_its_future(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        assert isinstance(pool.submit(42).exception(timeout=50), TypeError)
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2


def around(pool: Any, *call: Any) -> BaseException:
    """The error of one task, with a hundred good ones before and after it that must all return."""
    before = [pool.submit(tasks.add_one, number) for number in range(100)]
    future = pool.submit(*call)
    after = [pool.submit(tasks.add_one, number) for number in range(100)]
    error = future.exception(timeout=50)
    assert [each.result(timeout=50) for each in (*before, *after)] == [
        *range(1, 101),
        *range(1, 101),
    ]
    assert isinstance(error, BaseException), f"returned {future.result()}"
    return error


@pytest.mark.parametrize("start_method", START_METHODS)
def test_argument_that_does_not_pickle(implementation: Implementation, start_method: str) -> None:
    with implementation.pool(start_method) as pool:
        error = around(pool, tasks.identity, threading.Lock())
    assert isinstance(error, TypeError)
    assert "cannot pickle '_thread.lock' object" in str(error)
    if implementation.differs("errors name the argument"):
        assert "identity" in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("start_method", START_METHODS)
def test_result_that_does_not_pickle(implementation: Implementation, start_method: str) -> None:
    with implementation.pool(start_method) as pool:
        error = around(pool, tasks.make_lock_holder)
    assert isinstance(error, TypeError)
    assert "cannot pickle '_thread.lock' object" in str(error)
    if implementation.differs("errors name the argument"):
        assert "make_lock_holder" in "".join(traceback.format_exception(error))


def test_item_of_map_that_does_not_pickle(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        results = pool.map(tasks.identity, [1, threading.Lock(), 3], timeout=50)
        assert next(results) == 1
        with pytest.raises(TypeError, match="cannot pickle"):
            next(results)
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2


@pytest.mark.ours_only("one lost payload breaks no pool")
@pytest.mark.parametrize("start_method", START_METHODS)
def test_result_that_does_not_unpickle(implementation: Implementation, start_method: str) -> None:
    with implementation.pool(start_method) as pool:
        error = around(pool, tasks.make_ending_when_unpickled, "raises")
    assert isinstance(error, BrokenProcessPool)
    assert "make_ending_when_unpickled" in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("start_method", ["default", "spawn", "forkserver"])
def test_function_that_the_worker_can_not_import(
    implementation: Implementation,
    start_method: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"gone_{start_method}_{implementation.name}"
    source = tmp_path / f"{name}.py"
    source.write_text("def vanished():\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with implementation.pool(start_method) as pool:
        # The workers exist before the module does: none of them can have inherited it.
        assert pool.submit(tasks.add_one, 1).result(timeout=50) == 2
        module = importlib.import_module(name)
        source.unlink()
        if implementation.differs("one lost payload breaks no pool"):
            error = around(pool, module.vanished)
            assert name in "".join(traceback.format_exception(error))
        else:
            error = pool.submit(module.vanished).exception(timeout=50)
    assert isinstance(error, BrokenProcessPool)


@pytest.mark.parametrize("start_method", START_METHODS)
def test_initializer_that_raises_breaks_the_pool(
    implementation: Implementation, start_method: str
) -> None:
    with implementation.pool(start_method, initializer=tasks.refuse_to_start) as pool:
        futures = _submit_some(pool)
        assert futures
        assert all(
            isinstance(future.exception(timeout=50), BrokenProcessPool) for future in futures
        )
        with pytest.raises(BrokenExecutor):
            pool.submit(tasks.add_one, 1)


def _submit_some(pool: Any) -> list[Any]:
    """As many as the pool takes before it notices that it is broken."""
    futures: list[Any] = []
    with contextlib.suppress(BrokenExecutor):
        futures.extend(pool.submit(tasks.add_one, number) for number in range(10))
    return futures


def test_initializer_that_raises_is_logged_with_its_traceback(
    implementation: Implementation,
) -> None:
    result = scripts.run_file(
        f"""
        from {implementation.module.__name__} import ProcessPoolExecutor
        from support import tasks

        if __name__ == "__main__":
            with ProcessPoolExecutor(1, initializer=tasks.refuse_to_start) as pool:
                print("answer", type(pool.submit(tasks.add_one, 1).exception()).__mro__)
        """
    )
    assert result.code == 0, result.words
    assert "BrokenProcessPool" in result.words.partition("answer")[2]
    assert "Exception in initializer" in result.words
    assert "in refuse_to_start" in result.words


@pytest.mark.parametrize("start_method", START_METHODS)
def test_initializer_runs_before_the_first_task_of_each_worker(
    implementation: Implementation, start_method: str
) -> None:
    with implementation.pool(start_method, initializer=tasks.remember, initargs=("kept",)) as pool:
        assert {pool.submit(tasks.recall).result(timeout=50) for _ in range(20)} == {"kept"}


@pytest.mark.parametrize("wait", [True, False])
def test_submit_after_shutdown(implementation: Implementation, wait: bool) -> None:
    pool = implementation.pool()
    future = pool.submit(tasks.add_one, 1)
    pool.shutdown(wait=wait)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(tasks.add_one, 1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.map(tasks.add_one, [1])
    assert future.result(timeout=50) == 2


def test_shutdown_twice_and_of_an_unused_pool(implementation: Implementation) -> None:
    pool = implementation.pool()
    pool.shutdown()
    pool.shutdown(wait=False, cancel_futures=True)
    with pool:
        pass


FORKED = """
    import os
    import sys

    from {module} import ProcessPoolExecutor
    from support import tasks

    if __name__ == "__main__":
        pool = ProcessPoolExecutor(2)
        assert pool.submit(tasks.add_one, 1).result() == 2
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            {in_child}
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert pool.submit(tasks.add_one, 2).result() == 3
        pool.shutdown()
        print("answer", code)
    """


@pytest.mark.parametrize("in_child", ["sys.exit(5)", "os._exit(5)", "del pool; sys.exit(5)"])
def test_forked_copy_that_does_not_use_the_pool_harms_nobody(
    implementation: Implementation, in_child: str
) -> None:
    result = scripts.run_file(
        FORKED.format(module=implementation.module.__name__, in_child=in_child)
    )
    assert (result.code, "answer 5" in result.words) == (0, True), result.words


@pytest.mark.ours_only("forked copies refuse")
@pytest.mark.parametrize(
    "use",
    ["pool.submit(tasks.add_one, 1)", "list(pool.map(tasks.add_one, [1]))"],
    ids=("submit", "map"),
)
def test_forked_copy_that_uses_the_pool_is_told_so(
    implementation: Implementation, use: str
) -> None:
    in_child = f"""
            try:
                {use}
            except RuntimeError as error:
                print("refused:", error, flush=True)
                os._exit(5)
            os._exit(6)"""
    result = scripts.run_file(
        FORKED.format(module=implementation.module.__name__, in_child=in_child.strip())
    )
    assert (result.code, "answer 5" in result.words) == (0, True), result.words
    assert "fork" in result.words.partition("refused:")[2]


@pytest.mark.parametrize("start_method", START_METHODS)
def test_worker_that_prints_to_a_closed_stdout(
    implementation: Implementation, start_method: str
) -> None:
    with implementation.pool(start_method) as pool:
        error = around(pool, tasks.close_stdout_and_print, "lost")
    assert isinstance(error, ValueError)
    assert "closed file" in str(error)


def test_worker_whose_descriptor_of_stdout_is_closed(implementation: Implementation) -> None:
    result = scripts.run_file(
        f"""
        import sys

        from {implementation.module.__name__} import ProcessPoolExecutor
        from support import tasks

        if __name__ == "__main__":
            with ProcessPoolExecutor(1) as pool:
                assert pool.submit(tasks.close_descriptor_of_stdout, 1).result() == 1
                error = pool.submit(tasks.print_flushed, "lost").exception()
                assert pool.submit(tasks.add_one, 1).result() == 2
            print("answer", type(error).__name__, file=sys.stderr)
        """
    )
    assert (result.code, "answer OSError" in result.words) == (0, True), result.words


def test_program_whose_reader_has_gone(implementation: Implementation) -> None:
    """`program | head -0`: what workers print is lost, what they return is not."""
    result = scripts.run_file(
        f"""
        import os
        import sys

        from {implementation.module.__name__} import ProcessPoolExecutor
        from support import tasks

        if __name__ == "__main__":
            reader, writer = os.pipe()
            os.close(reader)
            os.dup2(writer, 1)
            with ProcessPoolExecutor(2) as pool:
                assert pool.submit(tasks.print_and_return, "lost").result() == "lost"
                error = pool.submit(tasks.print_flushed, "lost").exception()
                assert pool.submit(tasks.add_one, 1).result() == 2
            print("answer", type(error).__name__, file=sys.stderr)
        """
    )
    assert (result.code, "answer BrokenPipeError" in result.words) == (0, True), result.words


def test_program_without_stdout(implementation: Implementation) -> None:
    result = scripts.run_file(
        f"""
        import sys

        if __name__ == "__main__":
            import os

            os.close(1)
            from {implementation.module.__name__} import ProcessPoolExecutor
            from support import tasks

            with ProcessPoolExecutor(2) as pool:
                print("answer", list(pool.map(tasks.add_one, range(3))), file=sys.stderr)
            os._exit(0)
        """
    )
    assert (result.code, "answer [1, 2, 3]" in result.words) == (0, True), result.words
