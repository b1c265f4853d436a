"""A chunk of a map of which some items have run has started, even while its rest is with no
worker."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from support import tasks

import allcores


def start_when_let(started: Any, permits: Any) -> None:
    """A worker says that it is there, and starts when it has a permit."""
    started.release()
    permits.acquire()


def step(order: tuple[str, str]) -> str:
    """Writes that it was started, then does what it is told."""
    path, what = order
    with open(path, "a") as file:
        file.write(f"{what}\n")
    if what == "dies":
        tasks.die()
    if what == "raises":
        tasks.fail()
    return what


@pytest.mark.usefixtures("link")
def test_items_that_have_run_do_not_run_again_when_an_error_withdraws_what_has_not_started(
    tmp_path: Path,
) -> None:
    context = multiprocessing.get_context("fork")
    started, permits = context.Semaphore(0), context.Semaphore(1)
    story = tmp_path / "story"
    words = ["raises", "first", "second", "dies", "third", "last"]
    with allcores.ProcessPoolExecutor(
        1, context, start_when_let, (started, permits), on_worker_death="replace"
    ) as pool:
        results = pool.map(step, [(str(story), word) for word in words], chunksize=3)
        assert started.acquire(timeout=50)
        # The second worker: the first has died, and what it left waits.
        assert started.acquire(timeout=50)
        with pytest.raises(tasks.UserError):
            next(results)
        # Should it die once more than it may, there is a permit for the next one.
        permits.release()
        permits.release()
        assert [next(results), next(results)] == ["first", "second"]
        with pytest.raises(allcores.WorkerDied):
            next(results)
        assert list(results) == ["third", "last"]
    assert sorted(story.read_text().split()) == sorted(words)


@pytest.mark.usefixtures("link")
@pytest.mark.parametrize("end", ["raises", "dies"])
def test_chunk_that_could_not_be_unpickled_is_sent_again_with_its_function(end: str) -> None:
    items = [1, tasks.EndsWhenUnpickled(end), 3]
    with allcores.ProcessPoolExecutor(1, on_worker_death="replace") as pool:
        # What retries is a function of its own, forgotten with the map.
        retrying = pool.options(retries=1, retry_on=ValueError)
        results = list(retrying.map(tasks.identity, items, chunksize=3, return_exceptions=True))
    assert results[0::2] == [1, 3]
    assert isinstance(results[1], allcores.BrokenProcessPool)
