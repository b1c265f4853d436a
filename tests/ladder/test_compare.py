"""`allcores.compare` and `allcores.explain`: what they run, and what they say of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy
import pytest

import allcores
from allcores.ladder.same import same


def double(number: int) -> int:
    return 2 * number


def fail_on_three(number: int) -> int:
    if number == 3:
        raise LookupError("three", number)
    return number


def own_thread(_: int) -> int:
    import threading

    return threading.get_ident() * threading.active_count()


def test_comparison_has_a_right_row_for_each_rung_that_was_named() -> None:
    found = allcores.compare(double, range(20), ["serial", "threads", "processes", "auto"], 2)

    assert [row.backend for row in found.rows] == ["serial", "threads", "processes", "auto"]
    assert all(row.is_right and len(row.seconds) == 2 for row in found.rows)
    assert found.function == "double"
    assert found.items == 20
    assert found.best is not None
    assert found.rows[-1].chosen


def test_comparison_names_whoever_can_run_here_if_nobody_is_named() -> None:
    names = [row.backend for row in allcores.compare(double, [1, 2], repeats=1).rows]

    assert {"serial", "threads", "processes", "auto"} <= set(names)
    assert names[0] == "serial"


def test_timeline_has_every_item_once() -> None:
    found = allcores.compare(double, range(30), ["serial", "threads", "processes"], 1)

    for row in found.rows:
        assert sum(map(len, row.lanes)) == 30
        assert all(0 <= begun <= ended for lane in row.lanes for begun, ended in lane)
    assert len(found.rows[0].lanes) == 1


def test_rung_that_fails_is_a_row_that_says_why() -> None:
    import threading

    lock = threading.Lock()

    found = allcores.compare(lambda n: lock.locked() or n, [1, 2], ["serial", "processes"], 1)

    serial, processes = found.rows
    assert serial.is_right
    assert processes.seconds == []
    assert "pickle" in processes.why_not
    assert found.best is serial


def test_rung_that_gives_other_results_is_told_and_not_the_best() -> None:
    found = allcores.compare(own_thread, [1, 2, 3], ["serial", "threads"], 1)

    assert not found.agree
    assert "item 0 gave" in found.rows[1].why_not
    assert found.best is found.rows[0]
    assert "`threads` differ" in found.verdict


def test_exceptions_are_results_and_compared() -> None:
    found = allcores.compare(fail_on_three, range(6), ["serial", "threads", "processes"], 1)

    assert found.agree
    assert all(row.is_right for row in found.rows)


def test_items_of_a_generator_are_taken_once() -> None:
    found = allcores.compare(double, (each for each in range(5)), ["serial", "threads"], 1)

    assert found.items == 5
    assert found.agree


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("not callable", [1]), TypeError, "is not callable"),
        ((double, []), ValueError, "hint: give a sample of them"),
        ((double, [1], ["serial"], 0), ValueError, "hint: a number from 1 on"),
        ((double, [1], ["steam"]), ValueError, "steam"),
    ],
    ids=["function", "items", "repeats", "backend"],
)
def test_compare_refuses_what_makes_no_sense(
    arguments: tuple[Any, ...], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        allcores.compare(*arguments)


class Odd:
    """Equal to nothing, not even itself."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = object.__hash__


def _pairs() -> Iterator[tuple[str, Any, Any, bool]]:
    one = numpy.arange(6.0).reshape(2, 3)
    yield "numbers", 1, 1, True
    yield "types", 1, 1.0, False
    yield "booleans", True, 1, False
    yield "nan", math.nan, float("nan"), True
    yield "zeros", 0.0, -0.0, False
    yield "bits", 0.1 + 0.2, 0.3, False
    yield "arrays", one, one.copy(), True
    yield "other arrays", one, one + 1, False
    yield "shapes", one, one.reshape(3, 2), False
    yield "types of arrays", one, one.astype("float32"), False
    yield "arrays with nan", one * math.nan, one * math.nan, True
    yield "lists", [1, [math.nan]], [1, [float("nan")]], True
    yield "lengths", [1, 2], [1], False
    yield "dictionaries", {"a": one}, {"a": one.copy()}, True
    yield "keys", {"a": 1}, {"b": 1}, False
    yield "sets", {1, 2}, {2, 1}, True
    yield "exceptions", ValueError("x", 1), ValueError("x", 1), True
    yield "other exceptions", ValueError("x"), ValueError("y"), False
    yield "types of exceptions", ValueError("x"), TypeError("x"), False
    yield "objects by their pickles", Odd(1), Odd(1), True
    yield "other objects", Odd(1), Odd(2), False


@pytest.mark.parametrize(("one", "other", "are_same"), [p[1:] for p in _pairs()],
                         ids=[p[0] for p in _pairs()])  # fmt: skip
def test_results_are_same_part_by_part(one: Any, other: Any, are_same: bool) -> None:
    assert same(one, other) is are_same
    assert same(other, one) is are_same


def test_explanation_says_the_choice_the_leverage_and_the_prediction() -> None:
    found = allcores.explain(double, range(1_000))

    assert found.sampled > 0
    assert found.verdict is not None
    assert found.verdict.rung == "serial"
    text = str(found)
    assert text.startswith("double\n")
    assert "leverage:" in text
    assert "predicted" in text


def test_explanation_of_what_cannot_be_sent_says_so() -> None:
    import threading

    lock = threading.Lock()

    found = allcores.explain(lambda n: lock.locked() or n, range(10))

    assert found.refusal
    assert f"it can't go to processes: {found.refusal}" in str(found)


def test_explanation_without_items_runs_nothing() -> None:
    calls: list[int] = []

    found = allcores.explain(calls.append)

    assert calls == []
    assert found.leverage is None
    assert "hint: explain(fn, items) runs a few of them" in str(found)


def test_explanation_of_an_endless_input_takes_a_few_items() -> None:
    from itertools import count

    taken = count()

    allcores.explain(double, taken)

    assert next(taken) <= 100


def test_explanation_raises_what_the_function_raises() -> None:
    with pytest.raises(LookupError):
        allcores.explain(fail_on_three, range(10))
    with pytest.raises(TypeError, match="is not callable"):
        allcores.explain("nothing")  # type: ignore[arg-type]
