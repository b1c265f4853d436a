"""`backend="native"` with Numba or Cython in place of our own compiler."""

from __future__ import annotations

import importlib
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy
import pytest
from support import scripts

import allcores
from allcores.ladder import backends
from allcores.native import compilers

ROOT = Path(__file__).parent.parent.parent
PAIRS = [(12, 18), (17, 5), (100, 75), (2**40, 2**20)]


@pytest.fixture(scope="module", autouse=True)
def numba() -> Any:
    """Imported before the tests, with what it imports when it compiles, and without the threads of
    these libraries."""
    with mock.patch.dict(os.environ, {"OPENBLAS_NUM_THREADS": "1"}):
        module: Any = importlib.import_module("numba")
        module.njit(abs_of)(1)
    return module


def abs_of(number: int) -> int:
    return abs(number)


def gcd(pair: tuple[int, int]) -> int:
    a, b = pair
    while b:
        a, b = b, a % b
    return a


def square(number: Any) -> Any:
    return number * number


def wave(number: float) -> float:
    return math.sin(number) * math.exp(-number)


def halve(values: Any) -> Any:
    for index in range(len(values)):
        values[index] /= 2
    return values.sum()


def parted(a: int, b: int) -> tuple[int, float]:
    return a // b, a / b


def unsupported(number: int) -> Any:
    return {str(number): [object()]}


# Numba


def by_numba(fn: Any, *iterables: Any, **options: Any) -> Any:
    """The map's results; it has warned, at the line that asked for it."""
    with pytest.warns(allcores.native.IntegersWrap, match=f"`{fn.__name__}`") as caught:
        results = allcores.map(fn, *iterables, backend="native", compiler="numba", **options)
    assert [each.filename for each in caught] == [__file__]
    return results


def test_numba_gives_results_in_order() -> None:
    assert list(by_numba(gcd, PAIRS)) == [math.gcd(*pair) for pair in PAIRS]


def test_numba_runs_in_an_executor_of_threads() -> None:
    with allcores.Executor("native", compiler="numba", max_workers=2) as executor:
        with pytest.warns(allcores.native.IntegersWrap):
            future = executor.submit(gcd, (12, 18))
        assert future.result() == 6
        # It is compiled once: no more warnings.
        assert list(executor.map(gcd, PAIRS)) == [math.gcd(*pair) for pair in PAIRS]
        with pytest.raises(NotImplementedError, match="can't be stopped"):
            executor.options(timeout=1)


def test_numba_takes_several_arguments_and_gives_tuples() -> None:
    assert list(by_numba(parted, [7, -7], [2, 2])) == [(3, 3.5), (-4, -3.5)]


def test_wrapped_integer_is_found_in_the_sample() -> None:
    with pytest.raises(allcores.native.ResultDiffers) as caught:
        list(by_numba(square, [10**10]))
    words = str(caught.value)
    assert "`square(10000000000)` gave 7766279631452241920" in words
    assert "100000000000000000000 in CPython" in words
    assert "hint:" in words
    assert any("square(index 0" in note for note in caught.value.__notes__)


def test_function_that_differed_once_gives_no_more_results() -> None:
    items = [*range(1, 10), 10**10, 3]  # the tenth call is in the sample
    results = list(by_numba(square, items, max_workers=1, return_exceptions=True))
    assert results[:9] == [n * n for n in range(1, 10)]
    assert [type(each) for each in results[9:]] == [allcores.native.ResultDiffers] * 2


def out_of_bounds(values: Any) -> Any:
    total = 0
    for index in range(len(values) + 1):
        total += values[index] * 0
    return total


def test_item_that_raises_in_python_alone_differs() -> None:
    with pytest.raises(allcores.native.ResultDiffers, match="IndexError"):
        list(by_numba(out_of_bounds, [numpy.arange(3)]))


def test_floats_agree_to_twelve_digits_and_arguments_may_be_changed() -> None:
    numbers = [n / 7 for n in range(40)]
    results = list(by_numba(wave, numbers))
    assert results == pytest.approx([wave(each) for each in numbers])
    arrays = [numpy.arange(4.0), numpy.arange(6.0)]
    assert list(by_numba(halve, arrays)) == [3.0, 7.5]
    assert arrays[0].tolist() == [0.0, 0.5, 1.0, 1.5]  # changed once


def test_what_numba_cannot_compile_says_numba() -> None:
    with pytest.raises(Exception, match="nopython") as caught:
        list(by_numba(unsupported, [1]))
    assert type(caught.value).__module__.startswith("numba.")


def test_dispatcher_that_holds_the_lock_is_compiled_anew(numba: Any) -> None:
    from allcores.native.numba_compiler import NumbaFunction

    holding, releasing = numba.njit(gcd), numba.njit(nogil=True)(gcd)
    with pytest.warns(allcores.native.IntegersWrap):
        anew, same = NumbaFunction(holding), NumbaFunction(releasing)
    assert anew._compiled is not holding
    assert anew._compiled.targetoptions["nogil"]
    assert same._compiled is releasing
    assert anew((12, 18)) == same((12, 18)) == 6


# Cython

MODULE = '''
"""Compiled by Cython in pure Python mode."""

import os

LOADED = [__file__]


def gcd(pair: tuple) -> int:
    a, b = pair
    while b:
        a, b = b, a % b
    return a


def where(number):
    return os.getpid(), LOADED[0], number * 10**20


class Tools:
    @staticmethod
    def double(number):
        return number * 2


def make():
    def inner(number):
        return number
    return inner


def fail(number):
    raise KeyError(number)
'''


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Any:
    """A module in a file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    folder = cache / "modules"
    folder.mkdir(exist_ok=True)
    (folder / "for_cython.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module("for_cython")
    for name in [name for name in sys.modules if name.startswith("for_cython")]:
        del sys.modules[name]


def test_cython_runs_the_compiled_module_in_processes(plain: Any) -> None:
    results = allcores.map(plain.gcd, PAIRS, backend="native", compiler="cython")
    assert list(results) == [math.gcd(*pair) for pair in PAIRS]
    with allcores.Executor("native", compiler="cython", max_workers=1) as executor:
        pid, path, number = executor.submit(plain.where, 3).result()
        assert (pid != os.getpid(), number) == (True, 3 * 10**20)
        assert path.endswith(".so")
        assert list(executor.map(plain.Tools.double, [1, "a"])) == [2, "aa"]


def test_what_a_compiled_function_raises_comes_with_its_note(plain: Any) -> None:
    with pytest.raises(KeyError) as caught:
        list(allcores.map(plain.fail, [7], backend="native", compiler="cython"))
    assert any("fail(index 0, 7)" in note for note in caught.value.__notes__)


def test_function_without_a_module_of_its_own_is_refused(plain: Any) -> None:
    for fn in (plain.make(), lambda number: number, abs):
        with pytest.raises(NotImplementedError, match="Cython, which compiles modules"):
            allcores.map(fn, [1], backend="native", compiler="cython")


def test_script_that_maps_when_imported_is_told_what_to_do(tmp_path: Path, cache: Path) -> None:
    script = tmp_path / "script.py"
    body = (
        "import allcores\n"
        "def double(number):\n"
        "    return 2 * number\n"
        "{guard}print(list(allcores.map(double, [1, 2], backend='native', compiler='cython')))\n"
    )
    cached = {"XDG_CACHE_HOME": str(cache)}
    script.write_text(body.format(guard=""))
    ended = scripts.run([str(script)], more=cached)
    assert ended.code == 1
    assert "if __name__ == '__main__':" in ended.words
    script.write_text(body.format(guard="if __name__ == '__main__':\n    "))
    ended = scripts.run([str(script)], more=cached)
    assert (ended.code, ended.words) == (0, "[2, 4]\n")


def test_failed_compilation_shows_what_the_compiler_said(plain: Any) -> None:
    path = Path(plain.__file__)
    path.write_text(MODULE + "\ndef broken(number):\n    cython.declare(\n")
    with pytest.raises(RuntimeError, match=r"`for_cython\.py` could not be compiled"):
        allcores.map(plain.gcd, PAIRS, backend="native", compiler="cython")


# Both


def test_both_are_compared_with_ours(plain: Any) -> None:
    rungs = ["serial", "native", "native:numba", "native:cython"]
    with pytest.warns(allcores.native.IntegersWrap):
        found = allcores.compare(plain.gcd, PAIRS, rungs, repeats=1)
    assert [row.backend for row in found.rows] == rungs
    assert found.agree
    assert all(row.is_right for row in found.rows)
    with pytest.raises(ValueError, match="no compiler `gcc`"):
        allcores.compare(plain.gcd, PAIRS, ["native:gcc"])


@pytest.mark.parametrize("name", ["numba", "cython"])
def test_extra_that_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilers, "find_spec", lambda package: None)
    with pytest.raises(NotImplementedError) as caught:
        allcores.map(gcd, PAIRS, backend="native", compiler=name)
    assert f"hint: `pip install 'allcores[{name}]'`" in str(caught.value)


def test_compiler_is_known_and_belongs_to_the_native_rung() -> None:
    assert list(allcores.map(gcd, PAIRS, backend="native", compiler="cranelift"))
    with pytest.raises(ValueError, match="hint: one of `cranelift`, `numba`, `cython`"):
        allcores.map(gcd, PAIRS, backend="native", compiler="gcc")
    for backend in ("auto", *set(backends.names()) - {"native"}):
        with pytest.raises(ValueError, match="hint: backend='native', compiler='numba'"):
            allcores.Executor(backend, compiler="numba")


def test_neither_is_imported_unless_it_is_asked_for() -> None:
    code = (
        "import sys, allcores\n"
        "print(list(allcores.map(abs, [-1], backend='native')))\n"
        "print(allcores.explain(abs, [-1]).whose)\n"
        "sys.exit(str({'numba', 'Cython', 'numpy'} & sys.modules.keys() or ''))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr.strip() == ""
