"""C51, C60, C61, C62: pools in a row, pools beside threads, what a start imports."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from support import scripts
from support.implementations import START_METHODS, Implementation

CLEAN = pytest.mark.ours_only("functions travel by value")
PRELOADED = pytest.mark.ours_only("fork servers have what the script imported")
NO_WARNING = pytest.mark.ours_only("a start is safe beside threads")


def run(source: str, implementation: Implementation, *options: str) -> scripts.Result:
    """A program that has `Pool`, `method` and the names of `source`."""
    pool = f"from {implementation.module.__name__} import ProcessPoolExecutor as Pool\n"
    return scripts.run([*options, "-c", pool + textwrap.dedent(source)])


# C51: one pool after the other


def test_c51_fifty_blocks_in_a_row_start_alike_and_leave_nothing(
    implementation: Implementation,
) -> None:
    result = run(
        """
        import multiprocessing, operator, os, threading

        methods = set()
        for number in range(50):
            with Pool(2) as pool:
                assert pool.submit(operator.add, number, 1).result() == number + 1
                methods.add(pool._mp_context.get_start_method())
            assert not pool._processes
            assert threading.active_count() == 1, threading.enumerate()
            assert not multiprocessing.active_children()
        print("methods", len(methods))
        """,
        implementation,
    )
    assert result == scripts.Result(0, "methods 1\n")


@NO_WARNING
def test_c51_name_that_is_bound_to_the_next_pool_changes_no_start(
    implementation: Implementation,
) -> None:
    result = run(
        """
        import os

        forks = []
        os.register_at_fork(after_in_parent=lambda: forks.append(1))
        for _ in range(8):
            with Pool(1) as pool:
                pool.submit(os.getpid).result()
        print("forks", len(forks))
        """,
        implementation,
    )
    assert result == scripts.Result(0, "forks 8\n")


@CLEAN
def test_c51_first_call_of_a_scripts_own_function_needs_no_cloudpickle(
    implementation: Implementation,
) -> None:
    result = run(
        """
        import multiprocessing, sys

        STEP = 1

        class Point:
            def __init__(self, x): self.x = x
            def moved(self): return self.x + STEP

        def helper(x): return Point(x).moved()

        def task(x): return helper(x)

        with Pool(2, multiprocessing.get_context("fork")) as pool:
            first = pool.submit(task, 1).result(), list(pool.map(task, [1, 2]))
            print(first, {"cloudpickle", "dis"} & sys.modules.keys())
            STEP = 10
            print(pool.submit(task, 1).result())
            def helper(x): return -x
            print(pool.submit(task, 1).result())
        """,
        implementation,
    )
    assert result == scripts.Result(0, "(2, [2, 3]) set()\n11\n-1\n")


# C60: a pool beside threads


@NO_WARNING
def test_c60_pool_beside_four_threads_warns_of_nothing(implementation: Implementation) -> None:
    result = run(
        """
        import threading

        stop = threading.Event()
        threads = [threading.Thread(target=stop.wait) for _ in range(4)]
        for each in threads: each.start()
        with Pool(2) as pool:
            print(pool.submit(abs, -1).result(), list(pool.map(abs, [-2, -3])))
        stop.set()
        """,
        implementation,
        "-W",
        "error",
    )
    assert result == scripts.Result(0, "1 [2, 3]\n")


# C61: numerical libraries that have started threads


@pytest.mark.parametrize("method", START_METHODS)
def test_c61_matmul_in_parent_and_in_tasks_completes(
    implementation: Implementation, method: str
) -> None:
    result = run(
        f"""
        import multiprocessing
        from support.starts import matmul

        method = {method!r}
        context = None if method == "default" else multiprocessing.get_context(method)
        if __name__ == "__main__":
            here = matmul(0)
            with Pool(2, context) as pool:
                print(list(pool.map(matmul, [0, 1], timeout=50)) == [here, here])
        """,
        implementation,
    )
    assert result == scripts.Result(0, "True\n")


# C62: a main module that imports something slow


@PRELOADED
@pytest.mark.parametrize(("start_method", "imports"), [("fork", 1), ("forkserver", 2)])
def test_c62_library_of_the_main_module_is_not_imported_once_a_worker(
    implementation: Implementation, tmp_path: Path, start_method: str, imports: int
) -> None:
    (tmp_path / "slow_library.py").write_text(
        """
import os, pathlib
def keep(barrier): globals().update(BARRIER=barrier)
def meet(): return BARRIER.wait(50) < 4
with open(pathlib.Path(__file__).with_name("imports"), "a") as file: print(os.getpid(), file=file)
"""
    )
    (tmp_path / "program.py").write_text(
        f"""
import multiprocessing, os, slow_library
from {implementation.module.__name__} import ProcessPoolExecutor

def task():
    return slow_library.meet()

if __name__ == "__main__":
    context = multiprocessing.get_context({start_method!r})
    met = slow_library.keep, (context.Barrier(4),)
    with ProcessPoolExecutor(4, context, *met) as pool:
        print(*[future.result() for future in [pool.submit(task) for _ in range(4)]])
"""
    )
    result = scripts.run([str(tmp_path / "program.py")])
    assert result == scripts.Result(0, "True True True True\n")
    assert len((tmp_path / "imports").read_text().splitlines()) == imports
