"""Functions that are machine code already are known by what they do with the interpreter's lock,
measured, and by their makers' names."""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import math
import os
import pickle
import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from support import extensions

import allcores
from allcores.ladder import machine, recognise
from allcores.ladder.choose import Judge
from allcores.ladder.probe import Probe
from allcores.ladder.timed import Timed

LONG = (3823812, 4237281)
RELEASES, HOLDS = "lets the interpreter's lock go", "holds the lock"


def gcd(pair: tuple[int, int]) -> int:
    a, b = pair
    for candidate in range(min(a, b), 0, -1):
        if a % candidate == 0 and b % candidate == 0:
            return candidate
    return 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Where the modules are, found by imports."""
    made = tmp_path_factory.mktemp("machine-code")
    sys.path.insert(0, str(made))
    yield made
    sys.path.remove(str(made))


@pytest.fixture(scope="module")
def library(folder: Path) -> str:
    return str(extensions.library(folder))


@pytest.fixture(scope="module")
def cython(folder: Path) -> Any:
    return extensions.cython_module(folder)


@pytest.fixture(scope="module")
def numba() -> Any:
    with mock.patch.dict(os.environ, {"OPENBLAS_NUM_THREADS": "1"}):
        module: Any = importlib.import_module("numba")
        module.njit(gcd)((3, 4))
    return module


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The usual machine, whatever the cache of this one's user says."""
    usual = machine.Machine(tmp_path / "cache" / "machine.json")
    usual._factor = 1.0
    monkeypatch.setattr(machine, "_here", usual)


def explained(fn: Any, item: Any = LONG, *, count: int = 40) -> tuple[str, str]:
    """The rung that a map of so many would run on, and what is said of the function."""
    found = allcores.explain(fn, [item] * count)
    assert found.verdict is not None
    assert found.whose in str(found)
    return found.verdict.rung, found.whose


def of_two(function: Any) -> Any:
    """A foreign function of one argument, the other one given."""
    return partial(function, LONG[0])


def test_ctypes_lets_the_lock_go_but_for_pydll(library: str) -> None:
    for kind, does in ((ctypes.CDLL, RELEASES), (ctypes.PyDLL, HOLDS)):
        loaded = kind(library)
        loaded.gcd.argtypes = [ctypes.c_longlong] * 2
        loaded.gcd.restype = ctypes.c_longlong
        rung, said = explained(of_two(loaded.gcd), LONG[1])
        # Such functions can't be pickled, so there is no rung for those that hold the lock.
        assert rung == ("threads" if does == RELEASES else "serial")
        assert said == f"a ctypes function that {does}"


def test_function_of_a_module_that_calls_such_a_library_can_go_to_processes(
    library: str, folder: Path
) -> None:
    (folder / "calls_gcd.py").write_text(
        "import ctypes\n"
        f"gcd = ctypes.PyDLL({library!r}).gcd\n"
        "gcd.argtypes, gcd.restype = [ctypes.c_longlong] * 2, ctypes.c_longlong\n"
        "def call(pair):\n"
        "    return gcd(*pair)\n"
    )
    call = importlib.import_module("calls_gcd").call
    assert explained(call) == ("processes", "")
    assert list(allcores.map(call, [LONG, (3, 6)], backend="processes")) == [math.gcd(*LONG), 3]


def test_cffi_lets_the_lock_go_in_both_modes(library: str, folder: Path) -> None:
    from cffi import FFI

    ffi: Any = FFI()
    ffi.cdef("long long gcd(long long a, long long b);")
    for lib in (ffi.dlopen(library), extensions.cffi_module(folder).lib):
        assert explained(of_two(lib.gcd), LONG[1]) == (
            "threads",
            f"a cffi function that {RELEASES}",
        )


def test_cython_is_told_apart_by_measuring(cython: Any) -> None:
    assert explained(cython.gcd_released) == ("threads", f"a Cython function that {RELEASES}")
    assert explained(cython.gcd_held) == ("processes", f"a Cython function that {HOLDS}")
    assert list(allcores.map(cython.gcd_held, [LONG, (3, 6)], backend="processes")) == [
        math.gcd(*LONG),
        3,
    ]


def test_numba_is_told_apart_by_measuring(numba: Any) -> None:
    released, held = numba.njit(nogil=True)(gcd), numba.njit(gcd)
    assert explained(released) == ("threads", f"a Numba function that {RELEASES}")
    # So many that it is worth compiling in each of them.
    assert explained(held, count=5000) == ("processes", f"a Numba function that {HOLDS}")
    assert list(allcores.map(held, [LONG, (3, 6)], backend="processes")) == [math.gcd(*LONG), 3]


def test_what_c_functions_of_python_do_is_said_too() -> None:
    data = bytes(20_000_000)
    assert explained(hashlib.sha256, data) == ("threads", f"a C function that {RELEASES}")
    assert explained(gcd, (20_000, 30_001))[1] == ""


def test_map_of_auto_says_whose_function_it_is(cython: Any) -> None:
    """Where it comes back to the caller it says what an item took instead."""
    found = allcores.compare(cython.gcd_held, [LONG] * 60, ["serial", "auto"], repeats=1)
    assert found.agree
    chosen = found.rows[-1].chosen
    came_back = chosen.startswith("serial: an item took ")
    assert came_back or chosen.endswith(f"a Cython function that {HOLDS}")


def test_first_call_that_compiles_says_nothing_of_an_item(numba: Any) -> None:
    probe = Probe(numba.njit(gcd))
    assert probe.will_compile()
    probe.run(((12, 18),))
    assert (probe.done, probe.wall_ns, probe.item_ns()) == (1, 0, 0.0)
    assert not probe.will_compile()
    probe.run(((12, 18),))
    assert (probe.done, probe.wall_ns > 0) == (2, True)
    probe.weigh()
    # A worker has to compile it again.
    assert probe.measured(10)["function_pickle_ns"] >= recognise.compile_s(probe._fn) * 1e9 > 0


def test_nothing_begins_elsewhere_while_the_first_item_compiles(numba: Any) -> None:
    rungs = {"threads": 6, "processes": 2}
    judge = Judge(numba.njit(gcd), rungs, set())
    judge.begin([(12, 18)], 9, lambda rung: None)
    assert judge._watch is None
    judge = Judge(gcd, rungs, set())
    judge.begin([(12, 18)], 9, lambda rung: None)
    assert judge._watch is not None
    judge.begun()


def test_maker_is_found_behind_partials_and_measurements(cython: Any) -> None:
    assert recognise.maker(Timed(partial(cython.gcd_held))) == "Cython"
    assert recognise.maker(pickle.dumps) == "C"
    assert recognise.maker(gcd) is None
    assert recognise.maker("word".join) is None
    assert recognise.told(cython.gcd_held, None) == ""
