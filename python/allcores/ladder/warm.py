"""Workers that are started while the caller still computes, as they will be needed, or may be.

```
   caller   ──item──item──item──item──item──item──│──► results of the workers
   workers         └──── start, import ───────────┴ item ─ item ─ item ─
```

A fork has to come from the caller's own thread, between two items, and keeps it for some
milliseconds. A fork server is asked by a thread of ours, beside which the caller goes on.

Each worker gets a call that does nothing, with the function as its argument: so its module is
imported by then. (What is called is a builtin, so that nothing else is.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, wait

from . import machine
from .watch import hurried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any

    from .backends.base import RungExecutor


class Warm:
    """The workers of one executor's rung of processes.

    Attributes:
        has_begun: whether they were started.
        is_ready: whether the first waits for work.
        has_failed: whether they could not be; who needs them will hear why.
    """

    def __init__(self, open_rung: Callable[[str], RungExecutor]) -> None:
        self._open_rung: Callable[[str], RungExecutor] | None = open_rung
        self._thread: threading.Thread | None = None
        self._calls: list[Future[bool]] = []
        self._lock = threading.Lock()
        self.has_begun = self.is_ready = self.has_failed = False
        self._is_over = False

    def begin(self, fn: Callable[..., Any], count: int, on_ready: Callable[[], None]) -> None:
        """Starts so many, with this function; returns at once, or when they were forked off.
        `on_ready` is called in another thread, when they are ready.
        """
        with self._lock:
            if self.has_begun:
                return
            self.has_begun = True
        start = machine.start_of("processes")
        begun_ns = time.perf_counter_ns()
        is_fork = start == "processes_start_ns"
        if is_fork and threading.current_thread() is threading.main_thread():
            self._start(fn, count)

        def work() -> None:
            # All that starts needs the interpreter's lock for moments.
            with hurried():
                if not self._calls:
                    self._start(fn, count)
                self._await()
                if not self.is_ready:
                    return
                if start is not None:
                    machine.here().learn(start, time.perf_counter_ns() - begun_ns)
                on_ready()

        self._thread = threading.Thread(target=work, name="allcores-warm", daemon=True)
        self._thread.start()

    def _start(self, fn: Callable[..., Any], count: int) -> None:
        open_rung, calls = self._open_rung, self._calls
        if open_rung is None:
            return
        try:
            rung = open_rung("processes")
            for _ in range(min(count, rung.max_workers)):
                if self._is_over:
                    return
                calls.append(rung.submit(callable, fn))
        except Exception:
            self.has_failed = True

    def _await(self) -> None:
        """Waits until the first has got the function."""
        done, _ = wait(self._calls, return_when=FIRST_COMPLETED)
        self.has_failed = not done or any(
            call.cancelled() or call.exception() is not None for call in done
        )
        self.is_ready = not self.has_failed

    def end(self, *, wait: bool) -> None:
        """Nobody will need them any more. Finalizers say so, too: they `wait` for no thread."""
        self._is_over = True
        for call in list(self._calls):
            call.cancel()
        if self._thread is not None and wait:
            self._thread.join()
        # Nothing may keep the executor alive, nor be kept by it.
        self._open_rung, self._thread, self._calls = None, None, []
