"""What a shutdown that does not cancel has promised to run, is run."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
from support import tasks

import allcores

gate: Any = None


def keep(given: Any) -> None:
    global gate
    gate = given


def pass_the_gate(number: int) -> int:
    """Fails for 0; otherwise returns when the gate is open."""
    if number == 0:
        tasks.fail()
    assert gate.acquire(timeout=50)
    gate.release()
    return number


@pytest.mark.usefixtures("link")
def test_an_error_after_the_shutdown_leaves_the_other_items_of_the_map_alone() -> None:
    context = multiprocessing.get_context("fork")
    gate = context.Semaphore(0)
    pool = allcores.ProcessPoolExecutor(1, context, keep, (gate,))
    results = pool.map(pass_the_gate, range(5), chunksize=1)
    pool.shutdown(wait=False)
    with pytest.raises(tasks.UserError):
        next(results)
    gate.release()
    assert list(results) == [1, 2, 3, 4]
    pool.shutdown()
