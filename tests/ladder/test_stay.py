"""Whether a map stays on the rung that it has moved to."""

from __future__ import annotations

import pytest

from allcores.ladder import stay
from allcores.ladder.stay import Stay


def seen(monkeypatch: pytest.MonkeyPatch, *, there_ns: int, away_ns: int) -> Stay:
    """A stay of two workers: an item takes so long in one of them, and so long a wait here."""
    now_ns = 0
    monkeypatch.setattr(stay.time, "perf_counter_ns", lambda: now_ns)
    found = Stay("processes", 2)
    found.add(1, {"busy_ns": 0}, 0)
    for turn in range(1, 11):
        now_ns += 10 * away_ns
        found.add(10, {"busy_ns": turn * 10 * there_ns}, 10 * away_ns)
    assert found.is_time()
    return found


def test_rung_that_is_slower_than_the_caller_is_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    found = seen(monkeypatch, there_ns=1_000_000, away_ns=2_000_000).worse(1_000_000)
    assert found is not None
    assert found[0] == 2_000_000
    assert found[1] == "an item took 2.000 ms there and 1.000 ms here"


def test_items_that_have_become_longer_are_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """All workers are busy with them: the caller would be slower still."""
    assert seen(monkeypatch, there_ns=4_000_000, away_ns=2_000_000).worse(1_000_000) is None


def test_items_that_take_many_times_as_long_there_are_measured_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert seen(monkeypatch, there_ns=9_000_000, away_ns=4_500_000).worse(1_000_000) is not None


def test_first_wait_is_for_the_start() -> None:
    found = Stay("processes", 2)
    found.add(1, {}, 10**9)
    assert not found.is_time()
