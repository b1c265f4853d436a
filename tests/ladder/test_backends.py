"""Backends by name: what there is, what is known, what can't be used here and why."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support import rungs, tasks

import allcores
from allcores.ladder import backends
from allcores.ladder.backends.base import Refusal
from allcores.ladder.backends.serial import SerialExecutor
from allcores.ladder.options import OpenOptions


@pytest.mark.parametrize("name", ["ray"])
def test_backend_that_is_not_in_this_build_says_what_it_needs(name: str) -> None:
    with pytest.raises(NotImplementedError, match=f"backend `{name}` is not in this build\nhint:"):
        allcores.map(tasks.add_one, [1], backend=name)
    with pytest.raises(NotImplementedError, match=f"backend `{name}` is not in this build\nhint:"):
        allcores.Executor(name)


def test_unknown_backend_is_told_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no backend `gpu`\nhint: one of `auto`, `serial`"):
        allcores.map(tasks.add_one, [1], backend="gpu")
    with pytest.raises(TypeError, match="must be a name"):
        allcores.Executor(3)  # type: ignore[arg-type]


def test_interpreters_need_a_python_that_has_them() -> None:
    refusal = backends.get("interpreters").refusal()
    if rungs.HAS_INTERPRETERS:
        assert refusal is None
        return
    with pytest.raises(NotImplementedError, match=r"it needs Python 3\.14 or later.*\nhint: use"):
        allcores.map(tasks.add_one, [1], backend="interpreters")


def test_interpreters_refuse_context_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    from support.nested import REQUEST

    backend = rungs.prepare("interpreters", monkeypatch)
    with pytest.raises(NotImplementedError, match="`context_vars` could not be kept"):
        allcores.Executor(backend, context_vars=(REQUEST,))


def test_what_runs_in_other_interpreters_needs_no_extension() -> None:
    code = (
        "import sys, pickle\n"
        "from allcores.ladder.backends import away\n"
        "from allcores.pool.retrying import Retrying\n"
        "function = away.dumps(Retrying(lambda x: 1 / x, 1, (Exception,)))\n"
        "items = [away.dumps(((number,), {})) for number in (2, 0)]\n"
        "(one, other), failures, took_ns = away.run(function, items)\n"
        "assert pickle.loads(one) == 0.5\n"
        "assert type(pickle.loads(failures[1][0])) is ZeroDivisionError\n"
        "sys.exit(str({'allcores._core', 'allcores.pool.codec'} & sys.modules.keys() or ''))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert run.stderr.strip() == ""


class Echo:
    """A backend of somebody else's."""

    name = "echo"

    def refusal(self, fn: object = None) -> Refusal | None:
        return None

    def open(self, options: OpenOptions) -> SerialExecutor:
        return SerialExecutor(options)


class Closed(Echo):
    name = "closed"

    def refusal(self, fn: object = None) -> Refusal | None:
        return Refusal("it is closed on Sundays", "come on Monday")


def test_backend_of_others_is_used_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_registered", {})
    backends.register(Echo())
    backends.register(Closed())
    assert backends.names()[-2:] == ("echo", "closed")
    assert list(allcores.map(tasks.add_one, [1], backend="echo")) == [2]
    with pytest.raises(NotImplementedError, match="`closed`: it is closed on Sundays\nhint: come"):
        allcores.Executor("closed")
    for taken in (Echo(), backends.get("serial")):
        with pytest.raises(ValueError, match="there is a backend"):
            backends.register(taken)


def test_cheap_import_stays_cheap() -> None:
    code = (
        "import sys, allcores\n"
        "dir(allcores)\n"
        "sys.exit(' '.join(each for each in sys.modules if each.startswith('allcores.')))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert run.stderr.strip() == ""


def test_map_imports_little() -> None:
    code = (
        "import operator, sys, allcores\n"
        "assert list(allcores.map(operator.neg, [1], backend='processes')) == [-1]\n"
        "sys.exit(str({'typing', 'dataclasses', 'inspect', 'cloudpickle', 'numpy', 'tqdm'}"
        " & sys.modules.keys() or ''))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert run.stderr.strip() == ""
