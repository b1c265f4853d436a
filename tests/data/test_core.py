"""The engine as Python sees it: what `_core.pyi` promises of batches and workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from allcores._core import CANCELLED, FAILED, PARTS, Pool, Slot

WORKER = Path(__file__).with_name("core_worker.py")
TAG = 5
Notice = tuple[Any, ...]


class Front:
    """A pool, and the front end's duties done by hand."""

    def __init__(self, link: str, *, replace_lost: bool = True) -> None:
        self.stream = link == "stream"
        self.pool = Pool(1, replace_lost=replace_lost, stream=self.stream)
        self.pool.listen()
        self.pool.start_collector()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.said: list[Notice] = []

    def submit(self, *words: str, **terms: Any) -> Slot:
        slot = self.pool.submit(None, TAG, len(words), json.dumps(words).encode(), **terms)
        self.start_wanted()
        return slot

    def start_wanted(self) -> None:
        for _ in range(self.pool.workers_wanted()):
            link = self.pool.open_link()
            if link is None:
                return
            worker, fd = link
            words = [sys.executable, str(WORKER), str(fd), "stream" if self.stream else "shm"]
            process = subprocess.Popen(words, pass_fds=[fd])
            os.close(fd)
            self.processes.append(process)
            self.pool.worker_started(worker, process.pid)

    def outcome(self, slot: Slot) -> tuple[int, Any]:
        while not slot.slot_done():
            notice = self.pool.next_notice(0.02)
            if notice is not None and notice[0] == "said":
                self.said.append(notice)
            self.start_wanted()
        outcome = slot.slot_take()
        assert outcome is not None
        return outcome

    def items(self, slot: Slot) -> list[Any]:
        """What became of each item: its result, or the kind of its failure."""
        tag, outcome = self.outcome(slot)
        assert tag == PARTS
        items: list[Any] = []
        for start, tag, result in outcome:
            assert start == len(items)
            if tag == FAILED:
                items.append((result[0],))
            else:
                assert tag == TAG
                items.extend(json.loads(result))
        return items

    def close(self) -> None:
        self.pool.shut_down(False)
        assert self.pool.join()
        for process in self.processes:
            process.wait()


@pytest.fixture
def front_of(link: str) -> Iterator[Callable[..., Front]]:
    fronts: list[Front] = []

    def make(**options: bool) -> Front:
        fronts.append(Front(link, **options))
        return fronts[-1]

    yield make
    while fronts:
        fronts.pop().close()


def test_only_the_item_that_ran_fails_with_its_worker(front_of: Callable[..., Front]) -> None:
    front = front_of()
    words = ("a", "b", "exit", "c", "exit", "d")
    lost = ("worker lost",)
    assert front.items(front.submit(*words)) == ["a", "b", lost, "c", lost, "d"]
    assert [process.wait() for process in front.processes[:2]] == [7, 7]


def test_single_item_that_fails_is_a_plain_failure(front_of: Callable[..., Front]) -> None:
    front = front_of()
    tag, (kind, worker, *_) = front.outcome(front.submit("exit"))
    assert (tag, kind, worker) == (FAILED, "worker lost", 0)


def test_item_is_run_again_as_often_as_it_may(front_of: Callable[..., Front]) -> None:
    front = front_of()
    assert front.outcome(front.submit("exit", retries=2))[0] == FAILED
    assert len(front.processes) == 3


def test_item_that_takes_too_long_fails_alone(front_of: Callable[..., Front]) -> None:
    for replace_lost in (True, False):
        front = front_of(replace_lost=replace_lost)
        slot = front.submit("a", "hang", "b", limit=0.2)
        assert front.items(slot) == ["a", ("timed out",), "b"]
        assert front.pool.broken() is None


def test_batch_that_runs_is_stopped(front_of: Callable[..., Front]) -> None:
    front = front_of(replace_lost=False)
    slot = front.submit("hang")
    while not slot.slot_running(front.pool):
        pass
    assert not slot.slot_cancel(front.pool)
    assert slot.slot_stop(front.pool)
    assert front.outcome(slot) == (CANCELLED, None)
    assert not slot.slot_stop(front.pool)
    assert front.outcome(front.submit("a")) == (TAG, b'["a"]')


def test_ended_pool_fails_what_it_had(front_of: Callable[..., Front]) -> None:
    front = front_of()
    slot = front.submit("hang")
    front.pool.end()
    tag, (kind, worker, *_) = front.outcome(slot)
    assert (tag, kind, worker) == (FAILED, "ended", -1)
    broken = front.pool.broken()
    assert broken is not None
    assert broken[0] == "ended"


def test_worker_says_something_and_retires(front_of: Callable[..., Front]) -> None:
    front = front_of(replace_lost=False)
    slots = [front.submit("say", "retire"), front.submit("a")]
    for slot in slots:
        assert front.outcome(slot)[0] == TAG
    assert len(front.processes) == 2
    front.outcome(front.submit("b"))
    assert ("said", 0, b"said") in front.said


def test_most_memory_of_a_worker_is_known(front_of: Callable[..., Front], link: str) -> None:
    front = front_of()
    front.outcome(front.submit("a"))
    peak = front.pool.peak_memory(0)
    assert (peak is None) if link == "stream" else (peak is not None and peak > 1 << 20)
    assert front.pool.peak_memory(9) is None
