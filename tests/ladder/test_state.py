"""`auto` sends no function to a process that needs what can't be sent there."""

from __future__ import annotations

import sys
import threading
from functools import partial
from types import FunctionType
from typing import Any

import pytest
from support import scripts

from allcores.ladder import state


def of_main(source: str, monkeypatch: pytest.MonkeyPatch, **globals_: Any) -> FunctionType:
    """The function `f` that the source defines, as if `__main__` had defined it."""
    main = sys.modules["__main__"]
    for name, value in globals_.items():
        monkeypatch.setattr(main, name, value, raising=False)
    before = set(vars(main))
    exec(source, vars(main))
    for name in set(vars(main)) - before:
        value = vars(main)[name]
        delattr(main, name)
        monkeypatch.setattr(main, name, value, raising=False)
    found = vars(main)["f"]
    assert isinstance(found, FunctionType)
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(x):\n    return x + numbers[0]", None),
        ("def f(x):\n    with lock:\n        return x", "lock"),
        ("def g(x):\n    return lock\ndef f(x):\n    return g(x)", "lock"),
        ("def f(x):\n    return [lock for _ in x]", "lock"),
        ("class C:\n    def m(self):\n        return lock\ndef f(x):\n    return C()", "lock"),
        ("def f(x):\n    return f(x - 1) if x else unknown", None),
    ],
    ids=["plain", "named", "by another", "in a comprehension", "by a class", "itself"],
)
def test_what_can_not_be_sent_is_found(
    source: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    f = of_main(source, monkeypatch, lock=threading.Lock(), numbers=[1])
    assert state.missing(f) == expected
    assert state.missing(partial(f, 1)) == expected


def test_functions_of_modules_need_nothing_of_main() -> None:
    assert state.missing(scripts.run) is None
    assert state.missing(len) is None


def test_auto_calls_a_function_that_needs_a_lock_of_main_in_this_process() -> None:
    result = scripts.run_file(
        """
import os, threading, time
import allcores
lock = threading.Lock()
def f(n):
    with lock:
        end = time.thread_time() + 0.002
        while time.thread_time() < end:
            pass
    return os.getpid()
if __name__ == "__main__":
    idle = threading.Event()
    threading.Thread(target=idle.wait, daemon=True).start()
    here = {os.getpid()}
    with allcores.Executor() as executor:
        assert set(executor.map(f, range(100))) == here
        assert executor.submit(f, 0).result() in here
        assert executor.submit(lambda: lock.locked() and 0).result() is False
    print("done")
"""
    )
    assert result.words.split() == ["done"], result.words
