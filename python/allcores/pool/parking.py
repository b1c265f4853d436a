"""Idle workers of an executor that was shut down, kept a moment for the next one.

A library that opens a pool in each call pays for its start and its end each time. So the runtime of
an executor (engine and workers) is not ended by `shutdown` but laid on a shelf, where that can't be
seen, and the next executor of the same kind takes it with its first call:

```
   executor ── shutdown ──► shelf ── first call of the next ──► executor
                              │ a second later, a fork, another kind of pool, the end of the program
                              └──► the workers are told to leave, and collected
```

It can't be seen if all of this holds:

1. The executor has no options but `max_workers`, its workers are forks, and the next one would
   fork, too, and have as many.
2. All calls were of *closed* functions (`closed`) with plain arguments: they can't have left
   anything in a worker nor find anything there. None is pending, none was cancelled, no worker was
   lost. The first call of the next executor is of a function that was known when the workers were
   forked, and all that it refers to is the same now.
3. What even such a function may notice, limits above all, is the same; nothing that can be waited
   for was open when the workers were forked (`surroundings`); nobody traces; nobody has looked at
   the processes (`_processes`, `multiprocessing.active_children`) and kept one.

A later call of another kind has to find what this process has now. Then the executor gets a fresh
runtime (`admit`), and the old one takes no more calls. If it is idle it is ended first; if not, it
ends by itself, so that for so long there are more workers than `max_workers`. Only if it has
threads of Python (of a map, of callbacks) its end is waited for: beside them nothing can be forked.

There is one place on the shelf. While something lies there the process has two threads of which
Python knows nothing: the engine's collector, and one that waits for the time to pass (`Alarm`).
They are gone before anything is forked, and before it is asked whether that is safe.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import process as multiprocessing_process

from .._core import Alarm, is_plain
from ..settings import Settings
from . import closed, exits, surroundings
from .forks import owned_fds
from .start import would_fork
from .trace import Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from .runtime import Runtime

    class Holder(Protocol):
        """An executor, as far as this module is concerned."""

        _runtime: Runtime
        _max_workers: int
        closed_runtime: Runtime | None

        def adopt(self, runtime: Runtime) -> None:
            """Goes on with this runtime."""

        def fresh_runtime(self) -> Runtime:
            """Another one of its own kind."""

    Call = tuple[Callable[..., Any], Any, bool]
    """The function, its arguments or iterables, whether it is a map."""


MOST_TRAFFIC = 4 << 20
"""Bytes that an executor may have moved; more would leave much memory with its workers."""


class _Parked:
    __slots__ = ("runtime", "trace", "until", "workers")

    def __init__(self, runtime: Runtime, trace: Trace, workers: int, until: float) -> None:
        self.runtime = runtime
        self.trace = trace
        self.workers = workers
        self.until = until


_lock = threading.RLock()
"""One executor begins, ends, or changes its runtime at a time."""
_swapping = threading.RLock()
"""For moments: who holds it needs nothing else. The garbage collector may run in between, and with
it anything: what is read and written together is so without a call."""
_shelf: _Parked | None = None
_alarm: Alarm | None = None
"""The last one; its thread may be at it still when the shelf is empty."""
_is_set = False
"""Whether its thread goes on looking, as it does when the shelf is empty for a moment."""

_looker = -1
"""The thread of the last look: what is collected there must not wait for it."""


def _look() -> float | None:
    """Ends what has lain there for too long; how long to wait before the next look."""
    global _is_set, _looker, _shelf
    _looker = threading.get_ident()
    now = time.monotonic()
    with _swapping:
        parked = _shelf
        if parked is not None and parked.until > now:
            return parked.until - now
        _shelf, _is_set = None, False
    if parked is not None:
        _end(parked.runtime)
    return None


# -- the first call, and the others ---------------------------------------------------------


def begin(executor: Holder, call: Call | None) -> None:
    """Gets an executor's runtime ready for its first call: what lies on the shelf is taken, or
    ended. `call` is None if it can't be of the right kind.
    """
    with _lock:
        runtime = executor._runtime
        trace = runtime.trace
        if runtime.has_begun:
            runtime.begin()
            return
        parked = _taken()
        if parked is not None:
            if trace is not None and call is not None and _fits(parked, executor, call):
                _hand_over(parked, executor)
                return
            _end(parked.runtime)
        _call_off()
        if trace is not None:
            runtime.trace = _begin_anew(trace, call)
        runtime.begin()


def admit(executor: Holder, call: Call | None) -> Runtime:
    """The runtime that makes this call: the executor's own, or a fresh one if the own one's workers
    were there before the executor and the call could see that.
    """
    runtime = executor._runtime
    trace = runtime.trace
    if trace is None:
        return runtime
    if call is not None:
        function, values, is_map = call
        if trace.is_of_these(function, judged=trace.is_reused):
            if is_map and (not trace.is_reused or _are_plain_items(values)):
                return runtime  # the items of others are looked at as they come
            if not is_map and is_plain(values, False):
                return runtime
        elif not trace.is_reused:
            # These workers may run whatever they can't keep.
            closure = trace.seen[id(function)] = closed.closure_of(function)
            if closure.may_be_closed and (is_map or is_plain(values, False)):
                return runtime
    with _lock:
        return _renew(executor) if executor._runtime is runtime else executor._runtime


def _begin_anew(trace: Trace, call: Call | None) -> Trace | None:
    """What is to be known of workers that will be forked now; None if they won't be kept."""
    if call is None or not closed.closure_of(call[0]).may_be_closed:
        return None
    function, values, is_map = call
    if not is_map and not is_plain(values, False):
        return None
    try:
        if surroundings.holds_something(owned_fds.all()):
            return None
        trace.at_fork = surroundings.now()
    except OSError:
        return None
    trace.known = closed.all_right()
    return trace if trace.is_of_these(function, judged=False) else None


def _fits(parked: _Parked, executor: Holder, call: Call) -> bool:
    function, values, is_map = call
    trace, runtime = parked.trace, parked.runtime
    if parked.workers != executor._max_workers or runtime.stream != executor._runtime.stream:
        return False
    trace.seen.clear()
    known = {key: each for key, each in trace.known.items() if each.is_right()}
    trace.known = known
    if not trace.is_of_these(function, judged=True):
        return False
    if not (_are_plain_items(values) if is_map else is_plain(values, False)):
        return False
    try:
        same = surroundings.now() == trace.at_fork
    except OSError:
        return False
    # Ours are the collector, and the alarm's as long as it is set.
    return (
        same
        and would_fork(own=2)
        and _is_set
        and not surroundings.is_watched()
        and runtime.is_whole()
    )


def _hand_over(parked: _Parked, executor: Holder) -> None:
    runtime, trace = parked.runtime, parked.trace
    own = executor._runtime
    trace.is_reused = True
    counts = runtime.pool.counts()
    runtime.counted_before = {name: counts[name] for name in counts.keys() - _STATES}
    runtime.bytes_written = runtime.bytes_saved = 0
    vars(multiprocessing_process)["_children"].update(runtime.processes.values())
    executor.adopt(runtime)
    own.shut_down(cancel=True)
    own.trace = None
    executor.closed_runtime = own
    runtime.begin()


# Counts that are no sums.
_STATES = {"queued", "sent", "workers_ready", "workers_starting"}


def _are_plain_items(iterables: tuple[Any, ...]) -> bool:
    """Whether all items are there by now, are plain, and stay so."""
    return all(
        type(each) is range or (type(each) in (list, tuple) and is_plain(tuple(each), True))
        for each in iterables
    )


def _renew(executor: Holder) -> Runtime:
    old = executor._runtime
    trace, old.trace = old.trace, None
    if trace is None or not trace.is_reused:
        return old
    _call_off()
    fresh = executor.fresh_runtime()
    fresh.after = old
    old.shut_down(cancel=False)
    counts = old.pool.counts()
    if (counts["queued"] or counts["sent"]) and not old.has_threads:
        old.pool.rest()
        try:
            fresh.begin()
        finally:
            old.pool.start_collector()
    else:
        # Its threads would keep the new workers from being forked: what it runs will end.
        old.join()
        fresh.begin()
    executor.adopt(fresh)
    return fresh


# -- the end of an executor -----------------------------------------------------------------


def offer(executor: Holder) -> bool:
    """Lays the runtime of an executor that is being shut down on the shelf; False if it has to be
    ended. The executor is left with one that takes no calls.
    """
    runtime = executor._runtime
    trace = runtime.trace
    if trace is None or trace.at_fork is None or exits.main_has_ended():
        return False
    if threading.get_ident() == _looker:
        return False
    with _lock:
        if not (_is_spotless(runtime, trace, executor._max_workers) and runtime.lay_down()):
            return False
        other = _taken()
        if other is not None:
            _end(other.runtime)
        vars(multiprocessing_process)["_children"].difference_update(runtime.processes.values())
        closed_runtime = executor.closed_runtime
        if closed_runtime is None:
            closed_runtime = executor.fresh_runtime()
            closed_runtime.shut_down(cancel=True)
        executor.adopt(closed_runtime)
        seconds = Settings.from_environment().keep_idle
        if not _lay(_Parked(runtime, trace, executor._max_workers, time.monotonic() + seconds)):
            _end(runtime)
    return True


def _is_spotless(runtime: Runtime, trace: Trace, workers: int) -> bool:
    counts = runtime.stats()
    if (
        counts["queued"]
        or counts["sent"]
        or counts["workers_ready"] + counts["workers_starting"] != workers
        or counts["failed"]
        or counts["cancelled"]
        or counts["bytes_copied"] > MOST_TRAFFIC
        or runtime.launcher.start_method != "fork"
        or runtime.feeds
        or surroundings.is_watched()
    ):
        return False
    if not all(each.is_closed() for each in trace.seen.values()):
        return False
    runtime.join_feeders()
    # Somebody may have got hold of a process by `multiprocessing.active_children()`.
    held = (sys.getrefcount(process) for process in runtime.processes.values())
    return runtime.is_whole() and max(held, default=_HOLDERS + 1) <= _HOLDERS


# A process is held by its `Life`, the runtime's table, the set of `multiprocessing`, the loop that
# looks, and the call that counts.
_HOLDERS = 5


def look_away(runtime: Runtime) -> None:
    """Somebody has seen the workers: they won't be kept."""
    trace = runtime.trace
    if trace is not None and not trace.is_reused:
        runtime.trace = None
    elif trace is not None:
        trace.at_fork = None


# -- the shelf ------------------------------------------------------------------------------


def clear() -> None:
    """Ends what lies on the shelf, and waits for the end of its workers."""
    parked = _taken()
    if parked is not None:
        _end(parked.runtime)
    _call_off()


def tidy() -> None:
    """An executor has ended whose workers were not kept: neither is the thread of the alarm."""
    if _shelf is None and _alarm is not None:
        _call_off()


def is_empty() -> bool:
    """Whether nothing lies there."""
    return _shelf is None


def _taken() -> _Parked | None:
    global _shelf
    with _swapping:
        parked, _shelf = _shelf, None
    return parked


def _lay(parked: _Parked) -> bool:
    """Whether there is, or could be started, a thread that looks after it."""
    global _alarm, _is_set, _shelf
    with _swapping:
        if _is_set:
            _shelf = parked
            return True
    _call_off()
    with _swapping:
        try:
            alarm = Alarm(parked.until - time.monotonic(), _look)
        except RuntimeError:
            return False
        if _alarm is None:
            _alarm, _shelf, _is_set = alarm, parked, True
            return True
    alarm.stop()
    return False


def _call_off() -> None:
    """Ends the thread of the alarm."""
    global _alarm, _is_set
    with _swapping:
        alarm, _alarm, _is_set = _alarm, None, False
    if alarm is not None:
        alarm.stop()


def _end(runtime: Runtime) -> None:
    runtime.shut_down(cancel=False)
    runtime.join()


def _forget() -> None:
    """In a forked child: what lies there is the parent's."""
    global _alarm, _is_set, _lock, _shelf, _swapping
    _lock, _swapping = threading.RLock(), threading.RLock()
    _alarm, _shelf, _is_set = None, None, False


owned_fds.before_foreign_fork(clear)
owned_fds.on_child(_forget)
exits.before_end(clear)
