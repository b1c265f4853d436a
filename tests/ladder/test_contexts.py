"""C84: context variables and log records, on every rung."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import nested, rungs

import allcores


@pytest.fixture
def request_number() -> Iterator[Callable[[Any], object]]:
    """Sets the context variable for the time of the test."""
    token = nested.REQUEST.set("at the beginning")
    yield nested.REQUEST.set
    nested.REQUEST.reset(token)


def asked_for(backend: str) -> dict[str, Any]:
    """What makes the variable visible, where it is not by itself."""
    return {} if backend in ("serial", "threads") else {"context_vars": (nested.REQUEST,)}


WITH_CONTEXT = pytest.mark.backends("serial", "threads", "processes", "auto")


@WITH_CONTEXT
def test_c84_map_sees_the_variable_of_its_caller(
    backend: str, request_number: Callable[[Any], object]
) -> None:
    request_number(1)
    first = allcores.map(nested.request, range(5), backend=backend, **asked_for(backend))
    other = allcores.map(nested.request, iter(range(5)), backend=backend, **asked_for(backend))
    request_number(2)
    assert list(first) == list(other) == [1] * 5


@WITH_CONTEXT
def test_c84_submit_sees_the_variable_of_its_caller(
    backend: str, request_number: Callable[[Any], object]
) -> None:
    with allcores.Executor(backend, 1, **asked_for(backend)) as executor:
        request_number(1)
        future = executor.submit(nested.request)
        request_number(2)
        assert future.result(timeout=50) == 1


@WITH_CONTEXT
def test_c84_what_a_task_sets_ends_with_it(
    backend: str, request_number: Callable[[Any], object]
) -> None:
    request_number(1)
    with allcores.Executor(backend, 1, **asked_for(backend)) as executor:
        executor.submit(nested.change_request).result(timeout=50)
        assert executor.submit(nested.request).result(timeout=50) == 1
        list(executor.map(lambda _: nested.change_request(), [1]))
        assert list(executor.map(nested.request, [1])) == [1]
    assert nested.REQUEST.get() == 1


def test_c84_callback_runs_in_the_context_in_which_it_was_added(
    backend: str, request_number: Callable[[Any], object]
) -> None:
    seen: list[Any] = []
    with allcores.Executor(backend, 1) as executor:
        future = executor.submit(abs, -1)
        for number in (1, 2):
            request_number(number)
            future.add_done_callback(lambda _: seen.append(nested.REQUEST.get()))
        request_number(3)
        assert future.result(timeout=50) == 1
    future.add_done_callback(lambda _: seen.append(nested.REQUEST.get()))
    assert sorted(seen) == [1, 2, 3]


def test_c84_context_vars_must_be_context_variables(backend: str) -> None:
    with pytest.raises(TypeError, match="must hold context variables, not `'REQUEST'`"):
        allcores.Executor(backend, context_vars=("REQUEST",))  # type: ignore[arg-type]


@WITH_CONTEXT
def test_c84_caller_without_the_variable_has_none(
    backend: str, request_number: Callable[[Any], object]
) -> None:
    with allcores.Executor(backend, 1, **asked_for(backend)) as executor:
        bare = contextvars.Context().run(executor.submit, nested.request)
        assert bare.result(timeout=50) == "none"


class Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """The one handler of this process."""
    root, loud = logging.getLogger(), logging.getLogger("loud")
    monkeypatch.setattr(root, "handlers", [keeper := Keeper()])
    loud.setLevel(logging.DEBUG)
    yield keeper
    loud.setLevel(logging.NOTSET)


@pytest.mark.backends("serial", "threads", "processes", "auto")
def test_c84_log_records_reach_the_handlers_of_the_caller_in_order(
    backend: str, keeper: Keeper
) -> None:
    list(allcores.map(rungs.log, range(20), backend=backend, max_workers=1))
    assert keeper.words == [f"item {number}" for number in range(20)]
    with allcores.Executor(backend, 1) as executor:
        executor.submit(rungs.log, 20).result(timeout=50)
    assert keeper.words[20:] == ["item 20"]
