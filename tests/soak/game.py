"""Carries out a plan, and keeps what became of each task.

Nothing is judged here, and no outcome waits for another: the order of events is the plan's, the
time at which they happen is the system's.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field
from typing import Any

import allcores
from soak import tasks
from soak.killer import Killer
from soak.ledger import STARTED, Ledger
from soak.plan import Call, Cancel, Map, Plan, PoolPlan, Take, Terms
from soak.tasks import Order, work

PATIENCE = 45.0
"""Seconds for one outcome when nothing is left that could delay it."""
A_MOMENT = 0.05
LOOK_AGAIN_SECONDS = 0.002


@dataclass(slots=True)
class Entry:
    """One task and what became of it."""

    order: Order
    terms: Terms
    of_map: bool
    future: Future[Any] | None = None
    is_right: bool | None = None
    """Whether the value is the right one; None: there is no value."""
    error: BaseException | None = None
    is_refused: bool = False
    is_dropped: bool = False
    """Nobody asked for its outcome."""
    cancels: list[tuple[bool, bool]] = field(default_factory=list)
    """`(running, what cancel returned)`."""
    callbacks: int = 0
    second_look: str | None = None

    @property
    def has_outcome(self) -> bool:
        return self.is_right is not None or self.error is not None

    def settle(self, value: Any, error: BaseException | None) -> None:
        if self.has_outcome:
            self.second_look = "got a second outcome"
        elif error is None:
            order = self.order
            wanted = (order.number, tasks.filler(order.number + 1, order.answer))
            self.is_right = value == wanted
        else:
            self.error = error


class Game:
    """One round, while it is played."""

    def __init__(self, plan: Plan, ledger: Ledger, beat: Callable[[], None]) -> None:
        self.plan = plan
        self.entries: list[Entry] = []
        self.killed: set[int] = set()
        self._calls: list[Entry] = []
        self._maps: list[tuple[Map, list[Entry], Iterator[Any] | None]] = []
        self._ledger = ledger
        self._beat = beat
        self._never = threading.Event()
        self._executor: Any = None

    def play(self) -> None:
        self._executor = open_pool(self.plan.pool)
        killer = Killer(self._executor, self.plan.kills, self._ledger)
        try:
            for step in self.plan.steps:
                self._beat()
                self._do(step)
            if self.plan.early:
                self._end()
                self._look()
            else:
                self._look()
                self._end()
        finally:
            killer.rest()
            self.killed = killer.killed
        self._maps.clear()
        for entry in self.entries:
            entry.future = None

    # -- the steps ------------------------------------------------------------------------

    def _do(self, step: Call | Map | Cancel | Take) -> None:
        if isinstance(step, Call):
            self._call(step)
        elif isinstance(step, Map):
            self._map(step)
        elif step.back <= len(self._calls):
            entry = self._calls[-step.back]
            if isinstance(step, Take):
                self._take(entry)
            else:
                self._cancel(entry, step)

    def _call(self, step: Call) -> None:
        entry = Entry(step.order, step.terms, of_map=False)
        self.entries.append(entry)
        try:
            future = self._with(step.terms).submit(work, step.order)
        except Exception as error:
            entry.error, entry.is_refused = error, True
            return
        entry.future = future
        self._calls.append(entry)
        if step.reader == "callback":

            def count(_: object, entry: Entry = entry) -> None:
                entry.callbacks += 1

            future.add_done_callback(count)

    def _map(self, step: Map) -> None:
        entries = [Entry(order, step.terms, of_map=True) for order in step.orders]
        self.entries += entries
        options: dict[str, Any] = {"return_exceptions": step.returns_exceptions}
        if step.chunksize is not None:
            options["chunksize"] = step.chunksize
        try:
            results = self._with(step.terms).map(work, step.orders, **options)
        except Exception as error:
            for entry in entries:
                entry.error, entry.is_refused = error, True
            return
        if step.taken is None:
            self._maps.append((step, entries, results))
            return
        self._take_results(results, entries[: step.taken])
        results.close()
        for entry in entries[step.taken :]:
            entry.is_dropped = True

    def _cancel(self, entry: Entry, step: Cancel) -> None:
        future = entry.future
        assert future is not None
        if step.once_started:
            while not future.done() and not self._has_started(entry):
                self._never.wait(LOOK_AGAIN_SECONDS)
        did = future.cancel(running=True) if step.running else future.cancel()  # type: ignore[call-arg]
        entry.cancels.append((step.running, did))

    def _has_started(self, entry: Entry) -> bool:
        number = entry.order.number
        # A copy of our own: the killer reads the same ledger.
        return any(
            record.number == number and record.what == STARTED for record in self._ledger.read_all()
        )

    def _with(self, terms: Terms) -> Any:
        if terms == Terms():
            return self._executor
        return self._executor.options(
            timeout=terms.timeout,
            retries=terms.retries,
            retry_on=(tasks.AsAsked, TimeoutError) if terms.retry_raised else (),
        )

    # -- the outcomes ---------------------------------------------------------------------

    def _look(self) -> None:
        for step, entries, results in self._maps:
            self._take_results(results, entries[: step.taken])
        for entry in self._calls:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        future = entry.future
        if future is None or entry.has_outcome:
            return
        try:
            entry.settle(future.result(PATIENCE), None)
        except BaseException as error:
            if isinstance(error, Late) and not future.done():
                return
            error.__traceback__ = None
            entry.settle(None, error)
            if not isinstance(error, CancelledError) and future.exception() is not error:
                entry.second_look = "raises another exception when asked again"
        if not future.done() or future.running():
            entry.second_look = "has an outcome and is not done"
        self._beat()

    def _take_results(self, results: Any, entries: list[Entry]) -> None:
        for entry in entries:
            try:
                value = next(results)
            except StopIteration:
                return
            except BaseException as error:
                error.__traceback__ = None
                entry.settle(None, error)
            else:
                if isinstance(value, BaseException):
                    entry.settle(None, value)
                else:
                    entry.settle(value, None)
            self._beat()

    # -- the end --------------------------------------------------------------------------

    def _end(self) -> None:
        self._beat()
        executor, ending = self._executor, self.plan.ending
        self._executor = None
        if ending == "wait":
            executor.shutdown()
        elif ending == "cancel_futures":
            executor.shutdown(cancel_futures=True)
        elif ending == "timeout":
            executor.shutdown(timeout=A_MOMENT)
        elif ending == "abandon":
            executor.shutdown(abandon=True)
        elif ending == "no wait":
            executor.shutdown(wait=False)
        elif ending != "drop":
            getattr(executor, ending)()
        self._beat()


def open_pool(plan: PoolPlan) -> Any:
    """The pool of a plan."""
    os.environ["ALLCORES_LINK"] = plan.link
    context = None if plan.start == "default" else multiprocessing.get_context(plan.start)
    return allcores.ProcessPoolExecutor(
        plan.workers,
        context,
        max_tasks_per_child=plan.tasks_per_child,
        on_worker_death=plan.on_death,
        max_worker_memory=plan.memory,
    )
