"""C80 to C83: how far a map has come, in items, the same on every rung."""

from __future__ import annotations

import functools
import io
import itertools
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest
from support import rungs, tasks
from support.meetings import Meeting

import allcores
from allcores.ladder import progress


class Calls:
    """A callable that keeps what it was told, and by which thread."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int | None]] = []
        self.threads: set[int] = set()

    def __call__(self, done: int, total: int | None) -> None:
        self.told.append((done, total))
        self.threads.add(threading.get_ident())


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each number is shown, however short after the last."""
    monkeypatch.setattr(progress.Meter, "is_due", lambda self: True)
    monkeypatch.setattr(progress, "INTERVAL_S", 0.001)


def test_c80_callable_is_told_of_all_items(backend: str, at_once: None) -> None:
    calls = Calls()
    results = allcores.map(tasks.add_one, range(500), backend=backend, progress=calls)
    assert list(results) == list(range(1, 501))
    done = [each for each, _ in calls.told]
    assert done == sorted(set(done))
    assert calls.told[-1] == (500, 500)
    assert calls.threads == {threading.get_ident()}


def test_c80_total_of_a_generator_is_not_known(backend: str) -> None:
    calls = Calls()
    assert len(list(allcores.map(abs, iter(range(30)), backend=backend, progress=calls))) == 30
    assert calls.told[-1] == (30, None)


def test_c80_errors_are_finished_items(backend: str) -> None:
    calls = Calls()
    found = allcores.map(
        tasks.reciprocal, [1, 0, 2], backend=backend, return_exceptions=True, progress=calls
    )
    assert len(list(found)) == 3
    assert calls.told[-1] == (3, 3)


def test_c80_maps_of_an_executor_show_it_too(backend: str) -> None:
    calls = Calls()
    with allcores.Executor(backend, 2) as executor:
        assert list(executor.map(tasks.add_one, range(9), progress=calls)) == list(range(1, 10))
        assert list(executor.options(retries=1).map(abs, [1], progress=calls)) == [1]
    assert [each for each in calls.told if each in ((9, 9), (1, 1))] == [(9, 9), (1, 1)]
    assert calls.told[-1] == (1, 1)


def test_c80_map_that_is_left_says_how_far_it_came(backend: str) -> None:
    calls = Calls()
    results = allcores.map(abs, itertools.count(), backend=backend, progress=calls)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()  # type: ignore[attr-defined]
    done, total = calls.told[-1]
    assert done >= 3
    assert total is None


def test_c80_what_the_callable_raises_comes_out_and_ends_the_map(
    backend: str, at_once: None
) -> None:
    def refuses(done: int, total: int | None) -> None:
        raise tasks.UserError(f"at {done}")

    with pytest.raises(tasks.UserError, match="at "):
        list(allcores.map(tasks.add_one, range(5), backend=backend, progress=refuses))


@pytest.mark.backends(*rungs.PARALLEL)
def test_c80_items_are_counted_while_the_first_result_is_waited_for(
    backend: str, meeting: Meeting
) -> None:
    def let_go(done: int, total: int | None) -> None:
        told.append(done)
        if done == 5:
            meeting.open()

    told: list[int] = []
    task = functools.partial(rungs.first_waits, meeting.place)
    results = allcores.map(task, range(6), backend=backend, max_workers=2, progress=let_go)
    assert list(results) == list(range(6))
    assert told[-2:] == [5, 6]


@pytest.mark.backends("serial")
def test_c81_serial_rung_reports_each_item(backend: str, at_once: None) -> None:
    calls = Calls()
    items: Iterator[int] = iter(range(4))
    list(allcores.map(tasks.add_one, items, backend=backend, progress=calls))
    assert calls.told[-1] == (4, None)


def test_c82_items_are_counted_and_not_chunks(backend: str, at_once: None) -> None:
    calls = Calls()
    found = allcores.map(tasks.add_one, range(101), backend=backend, chunksize=10, progress=calls)
    assert len(list(found)) == 101
    assert calls.told[-1] == (101, 101)


def test_c83_it_is_shown_ten_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.count()
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: next(now) / 1e6))
    calls = Calls()
    meter = progress.meter_for(calls, 1_000_000)
    assert meter is not None
    for done in range(1, 1_000_001):  # within a second, by that clock
        meter.show(done)
    meter.end()
    assert len(calls.told) <= 11
    assert calls.told[-1] == (1_000_000, 1_000_000)


# What shows it


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Bar:
    """Stands for tqdm's."""

    def __init__(self, total: int | None, **more: Any) -> None:
        self.n = 0
        self.total = total
        self.is_closed = False
        Bar.last = self

    def update(self, count: int) -> None:
        self.n += count

    def close(self) -> None:
        self.is_closed = True

    last: Bar


def test_bar_is_of_tqdm_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=Bar))
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert len(list(allcores.map(abs, range(7), backend="threads", progress=True))) == 7
    assert (Bar.last.n, Bar.last.total, Bar.last.is_closed) == (7, 7, True)


@pytest.fixture
def no_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)


def test_line_on_the_terminal_if_there_is_no_tqdm(
    monkeypatch: pytest.MonkeyPatch, no_tqdm: None
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert len(list(allcores.map(abs, range(7), backend="serial", progress=True))) == 7
    assert terminal.getvalue().startswith("\r7/7 items, 100 %, ")
    assert terminal.getvalue().endswith("\n")


def test_quiet_where_nobody_looks(monkeypatch: pytest.MonkeyPatch, no_tqdm: None) -> None:
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    assert len(list(allcores.map(abs, range(7), backend="serial", progress=True))) == 7
    assert log.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", None)
    assert len(list(allcores.map(abs, range(7), backend="serial", progress=True))) == 7


def test_stream_gets_lines(backend: str) -> None:
    log = io.StringIO()
    assert len(list(allcores.map(abs, range(7), backend=backend, progress=log))) == 7
    assert log.getvalue().startswith("7/7 items, 100 %")
    assert log.getvalue().endswith("\n")


def test_anything_else_is_refused() -> None:
    with pytest.raises(TypeError, match="`progress` must be True, a callable or a stream"):
        allcores.map(abs, [1], backend="serial", progress="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("done", "total", "seconds", "text"),
    [
        (1200, 5000, 3.0, "1,200/5,000 items, 24 %, 400/s, 0:10 left"),
        (5, None, 10.0, "5 items, 0.5/s"),
        (20, 20, 4000.0, "20/20 items, 100 %, 0.005/s, 1:06:40"),
        (0, 9, 1.0, "0/9 items, 0 %"),
        (0, 0, 0.0, "0/0 items"),
    ],
)
def test_words_of_the_line(done: int, total: int | None, seconds: float, text: str) -> None:
    assert progress.line(done, total, seconds) == text
