"""`backend="native"`: compiled functions as a rung like the others, whose calls can be stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support import tasks

import allcores
from allcores.ladder import backends
from allcores.ladder.backends.base import Refusal
from allcores.native.limits import OutOfTime, within
from native import programs

ROOT = Path(__file__).parent.parent.parent


def gcd(pair: tuple[int, int]) -> int:
    a, b = pair
    while b:
        a, b = b, a % b
    return a


def divided(a: int, b: int) -> int:
    return a // b


def square(a: Any) -> Any:
    return a * a


def endless(a: int) -> int:
    while a:
        pass
    return a


def test_map_gives_what_serial_gives() -> None:
    items: list[Any] = [*range(3000), 10**10, 2.5, True, 2**70, "no"]
    native = allcores.map(square, items[:-1], backend="native")
    assert list(native) == [square(each) for each in items[:-1]]
    pairs = [(n, n + 6) for n in range(1, 500)]
    assert list(allcores.map(gcd, pairs, backend="native")) == [gcd(pair) for pair in pairs]


def test_items_run_as_machine_code() -> None:
    compiled = allcores.native(square)
    assert list(allcores.map(compiled, range(1000), backend="native"))[-1] == 999 * 999
    assert allcores.native.report(compiled).items == 1000


def test_what_an_item_raises_comes_with_its_note() -> None:
    results = allcores.map(divided, [7, 1, 3], [2, 0, 1], backend="native")
    assert next(results) == 3
    with pytest.raises(ZeroDivisionError) as caught:
        next(results)
    assert any("divided" in note and "1" in note for note in caught.value.__notes__)


def test_long_call_is_stopped_by_its_limit() -> None:
    results = allcores.map(
        endless, [0, 5, 0], backend="native", timeout=0.1, return_exceptions=True
    )
    first, stopped, last = results
    assert (first, last) == (0, 0)
    assert isinstance(stopped, allcores.TaskTimeout)
    assert (stopped.index, stopped.limit) == (1, 0.1)
    with allcores.Executor("native", max_workers=1) as executor:
        future = executor.options(timeout=0.1).submit(endless, 1)
        with pytest.raises(allcores.TaskTimeout, match="`endless`"):
            future.result()
        assert executor.submit(endless, 0).result() == 0


def test_limit_is_tried_again_as_often_as_was_asked_for() -> None:
    with pytest.raises(allcores.TaskTimeout) as caught:
        list(allcores.map(endless, [1], backend="native", timeout=0.05, retries=1))
    assert caught.value.function is not None


def test_limit_of_a_function_that_runs_in_python_is_refused() -> None:
    with pytest.raises(NotImplementedError, match=r"`timeout` could not be kept.*runs in Python"):
        allcores.map(tasks.worker_pid, [1], backend="native", timeout=1.0)
    assert list(allcores.map(tasks.worker_pid, [1], backend="native")) == [os.getpid()]


def test_refusal_names_the_place() -> None:
    backend = backends.get("native")
    assert backend.refusal() is None
    assert backend.refusal(gcd) is None
    refusal = backend.refusal(tasks.worker_pid)
    assert isinstance(refusal, Refusal)
    assert "line" in refusal.why


def test_abandoned_executor_stops_what_runs() -> None:
    executor = backends.get("native").open(allcores.ladder.options.OpenOptions(max_workers=1))
    future = executor.submit(endless, 1)
    while not future.running():
        pass
    executor.abandon()
    with pytest.raises(CancelledError):
        future.result()
    executor.shutdown()


ENDLESS = """
import signal, sys, allcores
sys.path[:0] = ["tests"]
from native.test_rung import endless
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    results = allcores.map(endless, [1, 2, 3, 4], backend="native")
    print("ready", flush=True)
    list(results)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_stops_an_endless_map() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
    assert process.returncode == 0


def test_compare_has_the_rung() -> None:
    found = allcores.compare(gcd, [(n, 12) for n in range(1, 60)], ["serial", "native"], 1)
    assert [(row.backend, row.is_right) for row in found.rows] == [
        ("serial", True),
        ("native", True),
    ]


def test_function_is_compiled_once_for_all_maps() -> None:
    text = "def f(a):\n    return a * 3\n"
    function = programs.made(text, "<compiled-once>")["f"]
    for _ in range(3):
        assert list(allcores.map(function, range(10), backend="native")) == list(range(0, 30, 3))
    report = allcores.native.report(function)
    assert report.items == 30
    assert list(report.types.values()) == ["int"]


def slow_in_python(a: int) -> int:
    """Beyond 64 bits from the first turn on, and through after some hours."""
    total = 2**62 * 2 + a
    for i in range(10**10):
        total += i
    return total


def late(a: int) -> int:
    if a > 2**63:
        raise TimeoutError("its own")
    return a


def test_call_left_to_python_is_stopped_by_its_limit() -> None:
    results = allcores.map(
        slow_in_python, [1, 2], backend="native", timeout=0.1, return_exceptions=True
    )
    for index, stopped in enumerate(results):
        assert isinstance(stopped, allcores.TaskTimeout)
        assert (stopped.index, stopped.limit) == (index, 0.1)
    with allcores.Executor("native", max_workers=1) as executor:
        with pytest.raises(allcores.TaskTimeout):
            executor.options(timeout=0.05).submit(slow_in_python, a=1).result()
        assert executor.options(timeout=60).submit(late, 2**62).result() == 2**62
        with pytest.raises(TimeoutError, match="its own"):
            executor.options(timeout=60).submit(late, 2**64).result()


def test_limit_that_ends_with_the_call_is_never_met_afterwards() -> None:
    def call() -> int:
        return sum(range(1000))

    for turn in range(300):
        with suppress(OutOfTime):
            assert within(turn % 30 * 1e-6, call) == 499500
        assert [each for each in range(50) if each % 7 == 0] == [0, 7, 14, 21, 28, 35, 42, 49]
