"""The rule by which `auto` decides where the items of a map run.

It compares what is to come on each rung, in nanoseconds for the items that are left (if nobody
knows how many: for as many as there were):

| rung      | is predicted to take                                                              |
| --------- | --------------------------------------------------------------------------------- |
| caller    | left x item                                                                       |
| threads   | start + left x (item / threads that wait + hand-over); only where calls wait      |
| processes | start + the longer of left x (item + moving) / workers and left x moving          |

`item` is measured as the items run, *moving* by pickling one argument and one result. Another rung
is chosen if it takes at most three quarters of the caller's time. Threads are chosen for calls
that wait (they use less than half of their time as the processor's), never for others: whether a
function may run twice at a time in one process can't be seen from outside, and where it waits it
mostly is made to.
"""

from __future__ import annotations

import time
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

START_NS = {"threads": 500_000, "processes": 25_000_000}
HAND_OVER_NS = {"threads": 20_000, "processes": 1_500}
BYTES_A_NS = 4.0
LARGE = 1_000_000
"""Bytes; what has so many is not pickled to find out how long that takes."""
LOOK_NS = 2_000_000
"""Until so much was done in the caller, it stays there."""
BLOCK_NS = 500_000
WORTH_IT = 0.75
LOOK_AWAY_NS = 100_000_000
"""How often it looks at what moving costs while the items are on another rung."""


class Judge:
    """Of one map. `open_rungs` are those that need no start any more."""

    def __init__(
        self,
        fn: Callable[..., Any],
        rungs: dict[str, int],
        open_rungs: set[str],
    ) -> None:
        """`rungs` are those that may be chosen, with the workers of each."""
        self._fn = fn
        self._rungs = dict(rungs)
        self._open = open_rungs
        self._size = 1
        self._count = 0
        self._wall_ns = self._cpu_ns = 0
        self._item_ns = 0.0
        self._moving_ns: float | None = None
        self._sample: tuple[Any, Any] | None = None
        self._where = "serial"
        self._away = (0, 0, 0)
        self._looked_ns = 0
        self.reason = "too little was seen to leave the caller"

    def block_size(self, done: int) -> int:
        return self._size

    def on_block(
        self, items: list[Any], values: list[Any], failed: bool, wall_ns: int, cpu_ns: int
    ) -> None:
        count = len(items)
        item_ns = wall_ns / count
        self._item_ns = item_ns if not self._count else (self._item_ns + item_ns) / 2
        self._count += count
        self._wall_ns += wall_ns
        self._cpu_ns += cpu_ns
        if not failed:
            self._sample = items[-1], values[-1]
        if wall_ns < BLOCK_NS / 2:
            self._size = min(2 * count, 65_536)
        elif wall_ns > 2 * BLOCK_NS:
            self._size = max(1, count // 2)

    def on_away(self, count: int, stats: dict[str, int]) -> None:
        now_ns = time.monotonic_ns()
        finished, moved, since_ns = self._away
        moved_now = stats.get("bytes_copied", 0) + stats.get("bytes_mapped", 0)
        if not since_ns:
            self._away = 0, moved_now, now_ns
            return
        finished += count
        self._away = finished, moved, since_ns
        if finished and now_ns - since_ns > LOOK_AWAY_NS:
            bytes_an_item = (moved_now - moved) / finished
            self._moving_ns = HAND_OVER_NS["processes"] + bytes_an_item / BYTES_A_NS
            self._away = 0, moved_now, now_ns
            workers = self._rungs.get(self._where, 1)
            if self._moving_ns > self._item_ns * (1 - 1 / workers):
                self.reason = f"moving an item ({bytes_an_item:,.0f} bytes) costs what it gains"
                self._rungs.pop(self._where, None)
                self._where = "serial"

    def where(self, left: int | None) -> str:
        if self._where == "serial" and self._rungs and self._wall_ns >= LOOK_NS:
            self._decide(left)
        return self._where

    def _decide(self, left: int | None) -> None:
        wanted = self._count if left is None else left
        stay_ns = wanted * self._item_ns
        waits = self._cpu_ns < self._wall_ns / 2
        best, best_ns = "serial", stay_ns * WORTH_IT
        for name in list(self._rungs):
            start_ns = 0 if name in self._open else START_NS.get(name, 0)
            if stay_ns < 2 * start_ns or (name == "threads" and not waits):
                continue
            predicted_ns = start_ns + self._predict(name, wanted, waits=waits)
            if predicted_ns < best_ns:
                best, best_ns = name, predicted_ns
        if best != "serial":
            self._where = best
            self._away = 0, 0, 0
            self.reason = f"{best_ns / 1e9:.3f} s instead of {stay_ns / 1e9:.3f} s in the caller"

    def _predict(self, name: str, wanted: int, *, waits: bool) -> float:
        workers = min(self._rungs[name], max(wanted, 1))
        rounds = -(-wanted // workers)
        if name == "threads":
            share = max(1 - self._cpu_ns / self._wall_ns, 0.5)
            busy_ns = wanted * (self._item_ns * (1 - share) + HAND_OVER_NS[name])
            return max(rounds * self._item_ns, busy_ns)
        moving_ns = self._moving()
        if moving_ns is None:
            self._rungs.pop(name)
            return float("inf")
        return max(rounds * (self._item_ns + moving_ns), wanted * moving_ns)

    def _moving(self) -> float | None:
        """What moving an item and its result costs; None if they can't be moved."""
        if self._moving_ns is None and self._sample is not None:
            from ..pool.codec import Encoder

            encoder = Encoder()
            spent_ns = 0.0
            try:
                encoder.pack(self._fn)
                for value in self._sample:
                    size = _large(value)
                    if size:
                        spent_ns += size / BYTES_A_NS
                        continue
                    begun_ns = time.perf_counter_ns()
                    data = encoder.dumps([value])
                    spent_ns += 2 * (time.perf_counter_ns() - begun_ns) + len(data) / BYTES_A_NS
            except Exception as error:
                self.reason = f"processes can't be used: {error}"
                return None
            self._moving_ns = HAND_OVER_NS["processes"] + spent_ns / 4
            self._sample = None
        return self._moving_ns


def _large(value: object) -> int:
    """The bytes of a value that has many, as far as it says so."""
    size = getattr(value, "nbytes", None)
    if size is None and isinstance(value, (bytes, bytearray, str)):
        size = len(value)
    return size if isinstance(size, int) and size >= LARGE else 0
