"""Looks whether an item takes long in the caller, so that others can start elsewhere meanwhile.

A thread that lives while blocks run: it is started by the first, and ends when it finds none
running, or when what was to be done about a late one is done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE_S = 0.02


def _clock_of_this_thread() -> int:
    """The clock of its processor time; where there is none, one that says that it computes."""
    clock_of = getattr(time, "pthread_getcpuclockid", None)
    return time.CLOCK_MONOTONIC if clock_of is None else int(clock_of(threading.get_ident()))


class Scout:
    """Calls `on_late(wall_ns, cpu_ns)` in its thread while a block runs for long, again and again
    until it says True. The block's end waits for that call.
    """

    def __init__(self, on_late: Callable[[int, int], bool]) -> None:
        self._on_late = on_late
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._begun_ns = 0
        self._cpu_ns = 0
        self._clock = 0
        self.is_over = False

    def begin(self) -> None:
        """A block begins in this thread."""
        with self._changed:
            if self.is_over:
                return
            if self._thread is None:
                self._clock = _clock_of_this_thread()
            self._cpu_ns = time.clock_gettime_ns(self._clock)
            self._begun_ns = time.monotonic_ns()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, name="allcores-scout", daemon=True
                )
                self._thread.start()

    def end(self) -> None:
        """It has ended."""
        with self._changed:
            self._begun_ns = 0

    def stop(self) -> None:
        """There will be no more."""
        with self._changed:
            self._begun_ns = 0
            self.is_over = True
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self.is_over:
                self._changed.wait(PATIENCE_S)
                if not self._begun_ns:
                    break
                wall_ns = time.monotonic_ns() - self._begun_ns
                if wall_ns >= PATIENCE_S * 1e9:
                    cpu_ns = time.clock_gettime_ns(self._clock) - self._cpu_ns
                    self.is_over = self.is_over or self._on_late(wall_ns, cpu_ns)
            self._thread = None
