"""The compiled rung as one of `auto`'s: chosen where it gains, and never with another result."""

from __future__ import annotations

import itertools
import math
import os
import signal
import sys
import threading
import time
from typing import Any
from weakref import WeakKeyDictionary

import pytest

import allcores
from allcores.ladder import choose, compiled
from allcores.ladder.compiled import Compiled
from allcores.native import callable as front


def heavy(number: int) -> int:
    """Some milliseconds in Python."""
    found = 0
    for each in range(60_000):
        found = (found + each * number) % 1_000_003
    return found


def scaled(number: int, factor: float) -> float:
    total = 0.0
    for each in range(20_000):
        total += (each + number) * factor
    return total


def divided(number: int) -> int:
    total = 0
    for each in range(20_000):
        total += each % 7
    return total // number


def large(number: int) -> int:
    """Beyond 64 bits from the hundredth item on."""
    total = 0
    for each in range(20_000):
        total += each
    return total * 10**12 if number < 100 else total * 2**61


def noted(number: int) -> int:
    seen.append(number)
    return heavy(number)


seen: list[int] = []


@pytest.fixture
def judges(monkeypatch: pytest.MonkeyPatch) -> list[choose.Judge]:
    """The judges of all maps, in turn."""
    found: list[choose.Judge] = []
    made = choose.Judge.__init__

    def kept(self: choose.Judge, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        found.append(self)

    monkeypatch.setattr(choose.Judge, "__init__", kept)
    monkeypatch.setattr(compiled, "_known", WeakKeyDictionary())
    monkeypatch.setattr(compiled, "FIRST_WORK_NS", compiled.LEAST_WORK_NS)
    return found


def test_heavy_function_of_numbers_runs_as_machine_code(judges: list[choose.Judge]) -> None:
    assert list(allcores.map(heavy, range(200))) == [heavy(each) for each in range(200)]
    assert judges[0].reason.startswith("native: ")


def test_what_was_compared_once_goes_at_once_the_next_time(judges: list[choose.Judge]) -> None:
    for _ in range(2):
        assert list(allcores.map(heavy, range(200))) == [heavy(each) for each in range(200)]
    assert judges[0]._probe.done > 0
    assert judges[1]._probe.done == 0
    assert judges[1].reason.endswith("as its results were CPython's before")


def test_little_work_stays_in_the_caller_though_it_was_compared(
    judges: list[choose.Judge],
) -> None:
    assert list(allcores.map(heavy, range(200))) == [heavy(each) for each in range(200)]
    assert list(allcores.map(heavy, range(2))) == [heavy(0), heavy(1)]
    assert judges[1].reason.startswith("serial: ")


def test_arguments_of_other_types_are_compared_again(judges: list[choose.Judge]) -> None:
    assert list(allcores.map(scaled, range(200), [0.5] * 200))
    numbers = [float(each) for each in range(200)]
    assert list(allcores.map(scaled, numbers, [0.5] * 200)) == [scaled(n, 0.5) for n in numbers]
    assert judges[1].reason.startswith("native: ")
    assert judges[1]._probe.done > 0


def test_function_whose_global_has_changed_is_compared_again(
    judges: list[choose.Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(allcores.map(with_a_global, range(200)))
    monkeypatch.setattr(sys.modules[__name__], "STEP", 5)
    found = list(allcores.map(with_a_global, range(200)))
    assert found == [with_a_global(each) for each in range(200)]
    assert judges[1]._probe.done > 0


STEP = 3


def with_a_global(number: int) -> int:
    found = 0
    for each in range(60_000):
        found = (found + each * number + STEP) % 1_000_003
    return found


def test_function_of_several_iterables_runs_as_machine_code(judges: list[choose.Judge]) -> None:
    found = list(allcores.map(scaled, range(200), itertools.repeat(0.5)))
    assert found == [scaled(each, 0.5) for each in range(200)]
    assert judges[0].reason.startswith("native: ")


def test_function_with_effects_never_does_and_runs_each_item_once(
    judges: list[choose.Judge],
) -> None:
    seen.clear()
    with allcores.Executor("auto", 1) as executor:
        assert list(executor.map(noted, range(60))) == [heavy(each) for each in range(60)]
    assert seen == list(range(60))
    assert "native" not in judges[0].reason
    assert judges[0]._compiled.refusal


def test_exceptions_are_those_of_python(judges: list[choose.Judge]) -> None:
    numbers = [0 if each == 90 else each + 1 for each in range(120)]
    found = list(allcores.map(divided, numbers, return_exceptions=True))
    error = found.pop(90)
    assert found == [divided(each) for each in numbers if each]
    assert isinstance(error, ZeroDivisionError)
    assert error.__notes__ == ["in allcores task divided(index 90, 0)"]
    assert judges[0].reason.startswith("native: ")


def test_items_that_machine_code_leaves_are_right_and_bring_the_others_back(
    judges: list[choose.Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: Any = iter(range(1_000))
    assert list(allcores.map(large, numbers)) == [large(each) for each in range(1_000)]
    assert judges[0]._compiled.reason == "left_to_python"
    assert "most items are left to Python" in judges[0]._compiled.refusal
    # And nobody goes there at once the next time.
    assert list(allcores.map(large, range(300))) == [large(each) for each in range(300)]
    assert judges[1]._probe.done > 0


class Wrong(front.Native):
    """Machine code with a mistake in it."""

    def result(self, args: Any, brake: Any, periods: Any) -> Any:
        return -1

    def results(self, calls: Any, brake: Any) -> Any:
        return [-1 for _ in calls]


def test_wrong_result_is_never_given_out(
    judges: list[choose.Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "known", Wrong)
    assert list(allcores.map(heavy, range(100))) == [heavy(each) for each in range(100)]
    assert judges[0]._compiled.reason == "result_differs"


def slow_first(number: int) -> int:
    """The first item takes most of a second, the others some milliseconds."""
    found = 0
    for each in range(60_000 if number else 8_000_000):
        found = (found + each * number) % 1_000_003
    return found


def test_others_run_as_machine_code_beside_a_long_first_item(judges: list[choose.Judge]) -> None:
    assert list(allcores.map(slow_first, range(20))) == [slow_first(each) for each in range(20)]
    assert judges[0].reason.startswith("native: ")
    assert judges[0]._was_early


@pytest.mark.parametrize("sized", [True, False], ids=["list", "generator"])
def test_wrong_result_beside_a_long_first_item_is_never_given_out(
    judges: list[choose.Judge], monkeypatch: pytest.MonkeyPatch, sized: bool
) -> None:
    monkeypatch.setattr(front, "known", Wrong)
    numbers: Any = range(20) if sized else iter(range(20))
    told: list[int] = []
    found = allcores.map(slow_first, numbers, progress=lambda done, total: told.append(done))
    assert list(found) == [slow_first(each) for each in range(20)]
    assert judges[0]._compiled.reason == "result_differs"
    assert told == sorted(set(told))
    assert told[-1] == 20


def raising_first(number: int) -> int:
    found = 0
    for each in range(60_000 if number else 8_000_000):
        found = (found + each * number) % 1_000_003
    return 1 // number + found


def test_first_item_that_raises_is_left_and_the_others_go_on(judges: list[choose.Judge]) -> None:
    found = list(allcores.map(raising_first, range(10), return_exceptions=True))
    assert isinstance(found[0], ZeroDivisionError)
    assert found[1:] == [raising_first(each) for each in range(1, 10)]


def endless(number: int) -> int:
    while True:
        number = (number * 3) % 7


def test_item_without_end_is_tried_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MOST_PERIODS", 1)
    tried = Compiled(endless)
    tried.run_ahead([1])
    assert tried.refusal == "its first item takes long as machine code, too"


def test_trial_that_python_forestalls_is_made_again() -> None:
    tried = Compiled(endless)
    tried.stop()
    tried.run_ahead([1])
    assert tried.item_ns is None
    assert not tried.refusal
    tried.go_on()
    assert tried.may_be_tried(1_000_000_000)


def test_interrupt_of_an_item_without_end_ends_its_trial_too(
    judges: list[choose.Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch runs it as machine code meanwhile."""
    monkeypatch.setattr(compiled, "MOST_PERIODS", 100_000)
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        began = time.thread_time()
        while not any(each.name == "allcores-watch" for each in threading.enumerate()):
            pass
        while time.thread_time() - began < 0.3:
            pass
        signal.pthread_kill(main, signal.SIGINT)

    hand = threading.Thread(target=interrupt)
    hand.start()
    with pytest.raises(KeyboardInterrupt):
        list(allcores.map(endless, range(10)))
    hand.join()
    assert all(each.name != "allcores-watch" for each in threading.enumerate())


def minus(number: float) -> float:
    return -number


@pytest.mark.parametrize(
    ("values", "agrees"),
    [([0.0, -1.0], False), ([-0.0, -1.0], True), ([-0.0, -1], False), ([0, -1.0], False)],
    ids=str,
)
def test_results_are_compared_in_type_value_and_sign_of_zero(
    values: list[Any], agrees: bool
) -> None:
    tried = Compiled(minus)
    tried.compare([0.0, 1.0], values, 1.0)
    assert (not tried.refusal) == agrees
    assert (tried.item_ns is not None) == agrees


def test_function_that_python_did_not_write_is_refused_without_a_look() -> None:
    for each in (math.sqrt, len, os.getpid, functools_partial()):
        assert Compiled(each).refusal == "only functions written in Python are compiled"


def functools_partial() -> Any:
    import functools

    return functools.partial(heavy, 1)


def test_function_whose_source_can_not_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: front.Native) -> bool:
        raise SyntaxError("no source")

    monkeypatch.setattr(front.Native, "is_compiled", fail)
    tried = Compiled(heavy)
    tried.compare([1], [heavy(1)], 1.0)
    assert tried.refusal == "its source can't be read: SyntaxError: no source"


def test_little_work_is_not_tried() -> None:
    tried = Compiled(heavy)
    assert not tried.may_be_tried(1_000_000)
    assert tried.may_be_tried(1_000_000_000)
    tried.compare([1], [heavy(1)], 1.0)
    assert not tried.may_be_tried(1_000_000_000)


def test_explain_says_what_is_against_machine_code_with_its_place() -> None:
    told = allcores.explain(noted, range(5))
    assert f"line {noted.__code__.co_firstlineno + 1}" in str(told)
    assert "native: " in str(told)
    assert allcores.explain(heavy, range(200)).native == ""
    assert "native" in str(allcores.explain(heavy, range(200)))


def test_compare_names_the_compiled_rung_and_its_prediction() -> None:
    found = allcores.compare(heavy, list(range(30)), ["serial", "native", "auto"], repeats=1)
    assert found.agree
    assert "native" in found.terms
