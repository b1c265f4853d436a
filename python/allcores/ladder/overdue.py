"""Sees that a block in the caller takes long, while it still does.

```
   caller    ▪▪▪▪▪▪▪▪▪▪▪▪▪▪──────── one long item ────────▪▪▪▪▪▪
   lookout     ·    ·    ·    ·    ·    !                 ·    ·
   overdue                              ─!──!───!────!────·──·──·─
```

Among a thousand items of a millisecond may be one of ten seconds, and the caller can't measure it
before it has ended. What comes after it need not wait: it may begin elsewhere meanwhile.

A thread of the engine's looks at the caller (`_core.Lookout`), which is not held up by that: each
time that a thread of Python's wakes it takes the interpreter's lock from those who compute. Only
for the first block that does take long one is started, which speaks of it and of later ones.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from .._core import Lookout, mark_forked

LOOK_S, SHARE = 0.004, 8
"""It is looked so often at most, and once in that part of the work before; no block that takes less
is long.
"""
GROWTH = 1.33
"""It speaks again of a block that has taken so many times as long."""
IDLE_S = 0.1
"""It ends when there was no block for so long: nobody may ask for a result any more."""

if hasattr(os, "register_at_fork"):
    # A forked child has none of these threads; the pool, which says so too, may not be there.
    os.register_at_fork(after_in_child=mark_forked)


class Overdue:
    """`on_long` is called in a thread of ours with the nanoseconds that a block has taken by now,
    when that is as much as `least_ns()` says, and returns whether to go on looking.
    """

    def __init__(
        self, on_long: Callable[[int], bool], least_ns: Callable[[], float | None], done_ns: int
    ) -> None:
        """The caller has worked for so long before."""
        self._on_long = on_long
        self._least_ns = least_ns
        self._begun_ns: int | None = None
        self._stop = threading.Lock()
        self._stop.acquire()
        self._thread: threading.Thread | None = None
        self._has_spoken = False
        self._lookout = Lookout(self._ring, done_ns, LOOK_S, SHARE, IDLE_S)

    @property
    def has_ended(self) -> bool:
        """Whether nobody looks any more."""
        return self._lookout.has_ended if self._thread is None else self._has_spoken

    def block_begins(self, begun_ns: int) -> None:
        """A block runs in the caller, since then."""
        self._begun_ns = begun_ns
        self._lookout.block_begins()

    def block_ended(self) -> None:
        """It has."""
        self._begun_ns = None
        self._lookout.block_ended()

    def look_s(self) -> float:
        """How long it sleeps now."""
        return self._lookout.look_s()

    def _ring(self, passed_ns: int) -> float | None:
        """The lookout has seen a block that is so old; how old it has to be to be looked at again.
        Python does not know that thread, which would be registered for good if it asked who it is.
        """
        least_ns = self._least_ns()
        if least_ns is None:
            return 0.0  # it is beginning, or about to end
        if passed_ns < least_ns:
            return least_ns
        thread = threading.Thread(target=self._speak, name="allcores-overdue", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # there are none to be had, as at the end of the program
            self._thread = None
        self._lookout.stop(wait=False)
        return None

    def _speak(self) -> None:
        last_ns, speaks_ns, look_s, idle_s = None, 0.0, 0.0, 0.0
        while idle_s < IDLE_S:
            begun_ns = self._begun_ns
            idle_s = 0.0 if begun_ns else idle_s + look_s
            if begun_ns is not None:
                if begun_ns != last_ns:
                    last_ns, speaks_ns = begun_ns, look_s * 1e9
                passed_ns = time.perf_counter_ns() - begun_ns
                if passed_ns >= speaks_ns:
                    speaks_ns = passed_ns * GROWTH
                    if not self._on_long(passed_ns):
                        break
            look_s = self.look_s()
            if self._stop.acquire(True, look_s):
                break
        self._has_spoken = True

    def stop(self, *, wait: bool) -> None:
        """Ends the threads. Who does not say so in `on_long`, and has no lock that this takes, may
        `wait` for that.
        """
        self._stop.release()
        self._lookout.stop(wait=wait)
        thread = self._thread  # which the lookout does not start any more
        if wait and thread is not None and threading.current_thread() is not thread:
            thread.join()
