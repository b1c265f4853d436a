"""`examples/c_extension` builds and runs: two calls are in it at once where the lock is let go, and
`auto` chooses threads there, processes where it is held."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import pytest
from support import extensions, scripts

import allcores
from allcores.ladder import machine, recognise

MODULES = {
    "gcd_swig_released": "threads",
    "gcd_swig_held": "processes",
    "gcd_pybind11_released": "threads",
    "gcd_pybind11_held": "processes",
}
PAIRS = [(1963309, 2265973), (2030677, 3814172), (1820, 1924), (3, 7)]
LONG = (3823812, 4237281)


@pytest.fixture(scope="module")
def built() -> str:
    return extensions.built_examples()


@pytest.fixture
def folder(built: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the extension modules are, and can be imported from."""
    monkeypatch.syspath_prepend(built)
    return built


@pytest.fixture(params=extensions.example_modules())
def extension(request: pytest.FixtureRequest, folder: str) -> Any:
    return importlib.import_module(request.param)


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The usual machine, whatever the cache of this one's user says."""
    usual = machine.Machine(tmp_path / "cache" / "machine.json")
    usual._factor = 1.0
    monkeypatch.setattr(machine, "_here", usual)


def test_results_are_those_of_math_on_every_rung(extension: Any) -> None:
    right = [math.gcd(*pair) for pair in PAIRS]
    for backend in ("serial", "threads", "processes", "native", "auto"):
        assert list(allcores.map(extension.gcd, PAIRS, backend=backend)) == right


def test_two_calls_meet_where_the_lock_is_let_go(extension: Any) -> None:
    releases = MODULES[extension.__name__] == "threads"
    seconds = 30.0 if releases else 0.05  # nobody can come while the lock is held
    met = allcores.map(extension.meet, [seconds, seconds], backend="threads", max_workers=2)
    assert list(met) == [int(releases)] * 2


def test_adviser_chooses_by_what_it_has_measured(extension: Any) -> None:
    chosen = MODULES[extension.__name__]
    whose = "SWIG" if "swig" in extension.__name__ else "pybind11"
    does = "lets the interpreter's lock go" if chosen == "threads" else "holds the lock"
    explained = allcores.explain(extension.gcd, [LONG] * 40)
    assert explained.verdict is not None
    assert explained.verdict.rung == chosen
    assert explained.whose == f"a {whose} function that {does}"


def test_map_of_auto_never_has_threads_wait_for_the_lock(extension: Any) -> None:
    found = allcores.compare(extension.gcd, [LONG] * 60, ["serial", "auto"], repeats=1)
    assert found.agree
    if MODULES[extension.__name__] == "processes":
        assert not found.rows[-1].chosen.startswith("threads: ")
        assert not found.rows[-1].chosen.endswith("lets the interpreter's lock go")


@pytest.mark.usefixtures("folder")
def test_both_halves_of_a_swig_module_are_known() -> None:
    for name in ("gcd_swig_held", "_gcd_swig_held"):
        assert recognise.maker(importlib.import_module(name).gcd) == "SWIG"


def test_notes_call_the_function_by_its_name(extension: Any) -> None:
    with pytest.raises(TypeError) as caught:
        list(allcores.map(extension.gcd, ["no pair"], backend="threads"))
    assert "in allcores task gcd(index 0, 'no pair')" in caught.value.__notes__


def test_example_is_one_command() -> None:
    ended = scripts.run([str(extensions.EXAMPLE), "--times", "1", "--repeats", "1"])
    assert ended.code == 0, ended.words
    assert "all results equal math.gcd: yes" in ended.words
