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


@pytest.mark.usefixtures("link")
def test_a_chunk_that_could_not_be_unpickled_says_so_after_the_shutdown_too() -> None:
    items = [1, tasks.EndsWhenUnpickled("raises"), 3]
    with allcores.ProcessPoolExecutor(1) as pool:
        results = pool.map(tasks.identity, items, chunksize=3, return_exceptions=True)
    # Nothing can be sent again one by one any more.
    assert [isinstance(each, allcores.TransportError) for each in results] == [True] * 3


@pytest.mark.usefixtures("link")
def test_a_chunk_over_which_a_worker_died_unpickling_says_so_after_the_shutdown_too() -> None:
    items = [1, tasks.EndsWhenUnpickled("dies"), 3]
    with allcores.ProcessPoolExecutor(1, on_worker_death="replace") as pool:
        results = pool.map(tasks.identity, items, chunksize=3, return_exceptions=True)
    assert [type(each) for each in results] == [allcores.WorkerDied] * 3
