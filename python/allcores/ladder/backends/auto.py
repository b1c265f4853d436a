"""Not a rung, but what chooses among them.

A map begins in the caller, is measured there, and may move (`moving`, `judge`). A single call never
runs in the caller, who may want to go on meanwhile, or have to: it goes to a process, or to a
thread if its function or its arguments can't be pickled, or the function needs what can't be
(`state`).

Rungs are opened when they are needed first, and stay until `shutdown`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from weakref import WeakKeyDictionary, WeakSet

from ...pool import nesting
from .. import backends, here, state
from ..choose import Judge
from ..moving import Moving
from ..options import PLAIN
from ..warm import Warm
from .base import Refusal, RungExecutor, shut
from .threads import ThreadsExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any, TypeVar

    from ..options import CallOptions, OpenOptions

    T = TypeVar("T")

MOST_THREADS = 32


class AutoExecutor(RungExecutor):
    """Runs calls where they are fastest, as far as that is safe."""

    name = "auto"

    def __init__(self, options: OpenOptions) -> None:
        self._options = options
        self._workers = options.max_workers or here.share()
        self.max_workers = self._workers
        self._rungs: dict[str, RungExecutor] = {}
        self._maps: WeakSet[Moving] = WeakSet()
        self._opening = threading.RLock()
        self._is_shut = False
        self._used: set[str] = set()
        self._warm = Warm(self._open)
        self._judge: Judge | None = None
        self._stateful: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
        self._initialized = options.initializer is None

    def submit_call(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions | None,
    ) -> Future[T]:
        self._begin()
        from .processes import ProcessesExecutor

        processes = self.rung("processes")
        may_be_a_thread = options is None or options.timeout is None
        if may_be_a_thread and self._needs_state(fn):
            return self.rung("threads").submit_call(fn, args, kwargs, options)
        if not (may_be_a_thread and isinstance(processes, ProcessesExecutor)):
            return processes.submit_call(fn, args, kwargs, options)
        return processes.submit_or(
            fn,
            args,
            kwargs,
            options,
            lambda: self.rung("threads").submit_call(fn, args, kwargs, options),
        )

    def _needs_state(self, fn: Callable[..., Any]) -> bool:
        """Whether a function needs what can't be sent; looked for once a function."""
        try:
            found = self._stateful.get(fn)
            if found is None:
                found = self._stateful[fn] = state.missing(fn) is not None
        except TypeError:
            return state.missing(fn) is not None
        return found

    def map(  # type: ignore[override]
        self, fn: Callable[..., T], *iterables: Iterable[Any], options: CallOptions = PLAIN
    ) -> Iterator[T]:
        self._begin()
        if not iterables:
            return iter(())
        if options.timeout is not None or not self._initialized:
            return self.rung("processes").map(fn, *iterables, options=options)
        judge = Judge(
            fn,
            self._eligible(),
            set(self._rungs),
            max_workers=self._options.max_workers,
            star=len(iterables) > 1,
            warm=self._warm,
        )
        self._judge = judge
        moving = Moving(
            fn, iterables, options, judge, lambda name: self.rung(name, judge.workers(name))
        )
        self._maps.add(moving)
        return moving

    @property
    def reason(self) -> str:
        """Where the last map ran, and why."""
        return "" if self._judge is None else self._judge.reason

    def rung(self, name: str, workers: int | None = None) -> RungExecutor:
        """The executor of a rung, opened by now; with so many workers, or all."""
        self._used.add(name)
        return self._open(name, workers)

    def _open(self, name: str, workers: int | None = None) -> RungExecutor:
        with self._opening:
            found = self._rungs.get(name) or self._opened(
                name, lambda: backends.usable(name).open(self._options)
            )
            if workers is None or not isinstance(found, ThreadsExecutor):
                return found
            few = f"{name} of {workers}"
            narrow = found.narrowed
            return self._rungs.get(few) or self._opened(few, lambda: narrow(workers))

    def _opened(self, name: str, open_one: Callable[[], RungExecutor]) -> RungExecutor:
        if self._is_shut:
            raise shut()
        found = self._rungs[name] = open_one()
        return found

    def _eligible(self) -> dict[str, int]:
        """The rungs that a map may move to, with the workers of each."""
        asked = self._options.max_workers
        found = {"threads": asked or min(MOST_THREADS, here.share() + 4)}
        cores = min(self._workers, nesting.usable_cores())
        found["native"] = max(cores, 1)
        if cores > 1:
            found["processes"] = cores
        return found

    def _begin(self) -> None:
        if self._is_shut:
            raise shut()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for each in list(self._maps):
            if cancel_futures:
                each.cancel()
            else:
                each.run_if_unattended()
        self._end_unused(wait)
        for rung in list(self._rungs.values()):
            rung.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _end_unused(self, wait: bool) -> None:
        """Opens no more, and ends workers that turned out not to be needed, wherever they are."""
        with self._opening:
            self._is_shut = True
            processes = self._rungs.get("processes")
            if processes is not None and "processes" not in self._used:
                processes.abandon()
        self._warm.end(wait=wait)

    def abandon(self) -> None:
        with self._opening:
            self._is_shut = True
        for rung in list(self._rungs.values()):
            rung.abandon()
        self._warm.end(wait=False)

    def stats(self) -> dict[str, int]:
        found = dict.fromkeys(("submitted", "queued", "done", "failed", "cancelled"), 0)
        for rung in list(self._rungs.values()):
            for name, count in rung.stats().items():
                found[name] = found.get(name, 0) + count
        return found


class Auto:
    """The backend."""

    name = "auto"

    def refusal(self, fn: Callable[..., object] | None = None) -> Refusal | None:
        return None

    def open(self, options: OpenOptions) -> AutoExecutor:
        return AutoExecutor(options)


BACKEND = Auto()
