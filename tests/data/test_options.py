"""Options of a view, and calls that are made again: no process is needed for these."""

from __future__ import annotations

from typing import Any

import pytest

from allcores.pool.options import Options, Terms
from allcores.pool.retrying import ForItems, Retrying


class Flaky:
    """Raises as often as it was told to, then gives its argument back, having spoiled it."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, items: list[int]) -> list[int]:
        self.calls += 1
        seen = list(items)
        items.clear()
        if self.errors:
            raise self.errors.pop(0)
        return seen


def test_no_options_are_no_terms_for_the_engine() -> None:
    assert Options().terms() is None
    assert Options(retry_on=(ValueError,)).terms() is None


def test_terms_say_what_the_engine_must_know() -> None:
    assert Options(timeout=2).terms() == Terms(2.0, 0, retry_timeouts=False)
    assert Options(timeout=float("inf"), retries=1).terms() == Terms(None, 1, retry_timeouts=False)


@pytest.mark.parametrize("kind", [TimeoutError, OSError, Exception])
def test_retrying_on_timeouts_is_the_engines_affair_too(kind: type[Exception]) -> None:
    assert Options(retries=1, retry_on=(kind,)).terms() == Terms(None, 1, retry_timeouts=True)


def test_changes_build_on_each_other_and_a_single_class_will_do() -> None:
    options = Options().changed({"retries": 2}).changed({"retry_on": ValueError})
    assert options == Options(None, 2, (ValueError,))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"time_out": 1}, TypeError, "unknown option `time_out`"),
        ({"timeout": 0}, ValueError, "`timeout` must be greater than 0, not `0`"),
        ({"timeout": float("nan")}, ValueError, "`timeout` must be greater than 0, not `nan`"),
        ({"timeout": "1"}, TypeError, "`timeout` must be a number of seconds or None, not `'1'`"),
        ({"retries": -1}, ValueError, "`retries` must be 0 or more, not `-1`"),
        ({"retries": 1.5}, TypeError, "`retries` must be an integer, not `1.5`"),
        ({"retry_on": (3,)}, TypeError, "`retry_on` must hold exception classes, not `3`"),
    ],
)
def test_bad_options_are_refused_by_name_and_value(
    changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words.replace("(", r"\(")):
        Options().changed(changes)


def test_function_is_wrapped_only_when_something_is_to_be_retried() -> None:
    assert Options(retries=3).applied_to(len) is len
    assert Options(retry_on=(ValueError,)).applied_to(len) is len
    assert isinstance(Options(retries=3, retry_on=(ValueError,)).applied_to(len), Retrying)


def test_each_try_gets_arguments_that_no_other_has_touched() -> None:
    flaky = Flaky(ValueError(), ValueError())
    value = Retrying(flaky, 2, (ValueError,)).run((([1, 2],), {}), lambda: (([1, 2],), {}))
    assert value == [1, 2]
    assert flaky.calls == 3


def test_last_error_is_raised_when_no_try_is_left() -> None:
    flaky = Flaky(ValueError("first"), ValueError("second"))
    with pytest.raises(ValueError, match="second"):
        Retrying(flaky, 1, (ValueError,))([1])
    assert flaky.calls == 2


def test_other_errors_are_not_retried() -> None:
    flaky = Flaky(KeyError("other"))
    with pytest.raises(KeyError):
        Retrying(flaky, 5, (ValueError,))([1])
    assert flaky.calls == 1


@pytest.mark.parametrize("start", [0, 2])
def test_item_of_a_chunk_is_loaded_anew_for_each_try(start: int) -> None:
    items = [[0], [1], [2], [3]]
    calls = ForItems(
        Retrying(Flaky(ValueError()), 1, (ValueError,)),
        lambda: [list(item) for item in items],
        start,
        star=False,
    )
    assert [calls(list(item)) for item in items[start:]] == items[start:]


def test_item_of_several_arguments_is_spread() -> None:
    seen = []

    def add(one: int, other: int) -> int:
        seen.append((one, other))
        if len(seen) == 1:
            raise ValueError
        return one + other

    calls = ForItems(Retrying(add, 1, (ValueError,)), lambda: [(1, 2)], 0, star=True)
    assert calls(1, 2) == 3
    assert seen == [(1, 2), (1, 2)]
