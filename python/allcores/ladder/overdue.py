"""Sees from a thread that a block in the caller takes long, while it still does.

```
   caller    ▪▪▪▪▪▪▪▪▪▪▪▪▪▪──────── one long item ────────▪▪▪▪▪▪
   overdue     ·    ·    ·    ·    !    !     !     !      ·    ·
```

Among a thousand items of a millisecond may be one of ten seconds, and the caller can't measure it
before it has ended. What comes after it need not wait: it may begin elsewhere meanwhile.

The thread wakes rarely, for which the caller gives up the interpreter's lock for some microseconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LOOK_S, SHARE = 0.004, 8
"""It wakes so often at most, and once in that part of the work before; no block that takes less is
long.
"""
GROWTH = 1.33
"""It speaks again of a block that has taken so many times as long."""
IDLE_S = 0.1
"""It ends when there was no block for so long: nobody may ask for a result any more."""


class Overdue:
    """`on_long` is called in a thread of ours with the nanoseconds that a block has taken by now,
    and returns whether to go on looking.

    Attributes:
        has_ended: whether nobody looks any more.
    """

    def __init__(self, on_long: Callable[[int], bool], done_ns: int) -> None:
        """The caller has worked for so long before."""
        self._on_long = on_long
        self._since_ns = time.perf_counter_ns() - done_ns
        self._begun_ns: int | None = None
        self.has_ended = False
        self._stop = threading.Lock()
        self._stop.acquire()
        self._thread = threading.Thread(target=self._run, name="allcores-overdue", daemon=True)
        self._thread.start()

    def block_begins(self, begun_ns: int) -> None:
        """A block runs in the caller, since then."""
        self._begun_ns = begun_ns

    def block_ended(self) -> None:
        """It has."""
        self._begun_ns = None

    def look_s(self) -> float:
        """How long it sleeps now."""
        worked_ns = time.perf_counter_ns() - self._since_ns
        return max(LOOK_S, worked_ns / 1e9 / SHARE)

    def _run(self) -> None:
        last_ns, speaks_ns, idle_s = self._begun_ns, 0.0, 0.0
        while not self._stop.acquire(True, look_s := self.look_s()):
            begun_ns = self._begun_ns
            idle_s = 0.0 if begun_ns else idle_s + look_s
            if idle_s >= IDLE_S:
                break
            if begun_ns is None:
                continue
            if begun_ns != last_ns:
                last_ns, speaks_ns = begun_ns, look_s * 1e9
            passed_ns = time.perf_counter_ns() - begun_ns
            if passed_ns >= speaks_ns:
                speaks_ns = passed_ns * GROWTH
                if not self._on_long(passed_ns):
                    break
        self.has_ended = True

    def stop(self, *, wait: bool) -> None:
        """Ends the thread. Who does not say so in `on_long`, and has no lock that this takes, may
        `wait` for that.
        """
        self._stop.release()
        if wait and threading.current_thread() is not self._thread:
            self._thread.join()
