"""C55, C56, C57 and C85: what pickle refuses travels, from wherever it was typed, and pools open
pools."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import scripts, tasks
from support.implementations import START_METHODS, Implementation

BY_VALUE = pytest.mark.ours_only("functions travel by value")


class Scale:
    """A class of an ordinary module, whose bound methods travel."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def times(self, number: int) -> int:
        return self.factor * number


def what_pickle_refuses() -> dict[str, Callable[[int], Any]]:
    """Functions that each return 3 times their argument."""
    factor = 3

    def local(number: int) -> int:
        return factor * number

    class Local:
        def times(self, number: int) -> int:
            return factor * number

        @classmethod
        def class_times(cls, number: int) -> int:
            return factor * number

    def recursive(number: int) -> int:
        return 0 if number == 0 else factor + recursive(number - 1)

    return {
        "lambda": lambda number: 3 * number,
        "closure": lambda number: factor * number,
        "local function": local,
        "local recursive function": recursive,
        "bound method": Scale(3).times,
        "bound method of a local class": Local().times,
        "class method of a local class": Local.class_times,
        "partial of a lambda": functools.partial(lambda one, other: one * other, 3),
    }


@BY_VALUE
@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize("kind", what_pickle_refuses())
def test_c55_function_travels(implementation: Implementation, start_method: str, kind: str) -> None:
    function = what_pickle_refuses()[kind]
    with implementation.pool(start_method) as pool:
        assert pool.submit(function, 5).result(timeout=50) == 15
        assert list(pool.map(function, range(20), timeout=50)) == [
            3 * number for number in range(20)
        ]


@BY_VALUE
def test_c55_lambdas_travel_as_arguments_and_results(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        returned = pool.submit(lambda function: lambda: function() + 1, lambda: 41).result(
            timeout=50
        )
    assert returned() == 42


@BY_VALUE
def test_c55_instances_of_local_classes_keep_their_class(implementation: Implementation) -> None:
    class Local:
        pass

    with implementation.pool() as pool:
        assert type(pool.submit(Local).result(timeout=50)) is Local
        assert pool.submit(isinstance, Local(), Local).result(timeout=50) is True


# What a user types; `{module}` and `{context}` are filled in.  Blank lines end blocks, so that it
# can be typed at a prompt too.
TYPED = """
    import multiprocessing

    from {module} import ProcessPoolExecutor

    class Pair:
        def __init__(self, left, right):
            self.left, self.right = left, right
        def total(self):
            return self.left + self.right

    OFFSET = 10

    def add(pair):
        return Pair(pair.total() + OFFSET, 0)

    def use():
        with ProcessPoolExecutor(2, mp_context={context}) as pool:
            one = pool.submit(add, Pair(1, 2)).result()
            assert isinstance(one, Pair), type(one)
            assert pool.submit(Pair(3, 4).total).result() == 7
            assert pool.submit(lambda: OFFSET).result() == 10
            return [pair.total() for pair in pool.map(add, [Pair(n, n) for n in range(3)])]

    print("answer", use())
    """
ANSWER = "answer [10, 12, 14]"
WAYS = {
    "script": scripts.run_file,
    "command": scripts.run_command,
    "stdin": scripts.run_stdin,
    "interactive": scripts.run_interactively,
    "notebook": scripts.run_notebook,
}


@BY_VALUE
@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize("way", WAYS)
def test_c56_what_is_defined_in_main_works(
    implementation: Implementation, way: str, start_method: str
) -> None:
    context = (
        "None" if start_method == "default" else f"multiprocessing.get_context({start_method!r})"
    )
    result = WAYS[way](TYPED.format(module=implementation.module.__name__, context=context))
    assert ANSWER in result.words, result.words
    assert result.code == 0
    assert "Traceback" not in result.words


@pytest.mark.parametrize("way", WAYS)
def test_c56_functions_of_modules_work_from_everywhere(
    implementation: Implementation, way: str
) -> None:
    typed = """
        from {module} import ProcessPoolExecutor

        from support import tasks

        def use():
            with ProcessPoolExecutor(2) as pool:
                return list(pool.map(tasks.add_one, range(3)))

        print("answer", use())
        """
    result = WAYS[way](typed.format(module=implementation.module.__name__))
    assert "answer [1, 2, 3]" in result.words, result.words
    assert result.code == 0


@BY_VALUE
@pytest.mark.parametrize("start_method", START_METHODS)
def test_c57_body_of_a_script_without_guard_runs_once(
    implementation: Implementation, start_method: str, tmp_path: Path
) -> None:
    context = (
        "None" if start_method == "default" else f"multiprocessing.get_context({start_method!r})"
    )
    trace = tmp_path / "trace"
    result = scripts.run_file(
        f"""
        import multiprocessing
        import os

        from {implementation.module.__name__} import ProcessPoolExecutor

        with open({str(trace)!r}, "a") as stream:
            stream.write(f"body {{__name__}}\\n")

        def square(number):
            return number * number

        with ProcessPoolExecutor(2, mp_context={context}) as pool:
            elsewhere = pool.submit(os.getpid).result() != os.getpid()
            print("answer", list(pool.map(square, range(5))), elsewhere)
        """
    )
    assert "answer [0, 1, 4, 9, 16] True" in result.words, result.words
    assert result.code == 0
    assert trace.read_text() == "body __main__\n"


@pytest.mark.parametrize("start_method", START_METHODS)
def test_c85_pool_opens_in_a_task(implementation: Implementation, start_method: str) -> None:
    with implementation.pool(start_method) as pool:
        futures = [
            pool.submit(tasks.nested_sum, implementation.module.__name__, list(range(count)))
            for count in (5, 10)
        ]
        assert [future.result(timeout=50) for future in futures] == [15, 55]


def test_c85_three_levels_deep(implementation: Implementation) -> None:
    with implementation.pool(max_workers=1) as pool:
        deep = pool.submit(tasks.nested_depth, implementation.module.__name__, 3).result(timeout=50)
    assert len({os.getpid(), *deep}) == 4
    assert all(one != other for one, other in itertools.pairwise(deep))
