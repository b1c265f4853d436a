"""Is the rung that a map has moved to worth it? Measured as its results come.

Results come in the order of the items, so one long item holds up all that have ended behind it: the
longest wait is left out. Items may have become longer since they were measured in the caller, or
cores fewer. Then the rung's workers are busy all the time, and the caller would be slower, too.
"""

from __future__ import annotations

import time

from . import machine

LOOK_NS = 40_000_000
"""So much waiting for results, and it looks."""
LEAST_WAITS = 4
"""And so many waits, the longest of which doesn't count."""
TOO_SLOW = 1.1
"""A rung that takes so many times as long as the caller is left."""
WELL_USED, GROWN = 0.7, 6.0
"""Unless its workers were busy for such a share of the time, with items that took up to so many
times as long as they had taken in the caller.
"""


class Stay:
    """One stay on one rung.

    Attributes:
        has_begun: whether the first results came; that wait was for the start, too.
    """

    def __init__(self, rung: str, workers: int) -> None:
        self.has_begun = False
        self._rung = rung
        self._workers = workers
        self._begun_ns = self._moved = self._busy_ns = 0
        self._stats: dict[str, int] = {}
        self._count = self._waits = self._waited_ns = self._longest_ns = 0

    def add(self, count: int, stats: dict[str, int], waited_ns: int) -> None:
        """Results of so many items came, after so long a wait; the rung's `stats` are so by now."""
        self._stats = stats
        if not self.has_begun:
            self.has_begun = True
            self._begin()
            return
        self._count += count
        self._waits += 1
        self._waited_ns += waited_ns
        self._longest_ns = max(self._longest_ns, waited_ns)

    def _begin(self) -> None:
        """What comes from now on is looked at the next time."""
        self._begun_ns = time.perf_counter_ns()
        self._moved, self._busy_ns = self._bytes_moved(), self._stats.get("busy_ns", 0)
        self._count = self._waits = self._waited_ns = self._longest_ns = 0

    def _bytes_moved(self) -> int:
        return self._stats.get("bytes_copied", 0) + self._stats.get("bytes_mapped", 0)

    def is_time(self) -> bool:
        """Whether enough was seen to ask `worse`."""
        return self._waited_ns >= LOOK_NS and self._count > 0 and self._waits >= LEAST_WAITS

    def worse(self, item_ns: float) -> tuple[float, str] | None:
        """What an item takes there in ns, and words for it, if that's worse than the caller, whom
        an item takes `item_ns`. Begins anew.
        """
        count, waits = self._count, self._waits
        bytes_an_item = (self._bytes_moved() - self._moved) / count
        busy_ns = self._stats.get("busy_ns", 0) - self._busy_ns
        passed_ns = time.perf_counter_ns() - self._begun_ns
        away_ns = (self._waited_ns - self._longest_ns) * waits / (waits - 1) / count
        self._begin()
        here = machine.here()
        moving_ns = here.value("item_ns") + bytes_an_item / here.value("bytes_out_per_s") * 1e9
        if self._rung == "processes" and moving_ns > item_ns * (1 - 1 / self._workers):
            moved = f"moving an item ({bytes_an_item:,.0f} bytes)"
            return away_ns, f"{moved} takes longer than is gained"
        is_used = busy_ns > WELL_USED * self._workers * passed_ns
        has_grown = is_used and busy_ns / count < GROWN * item_ns
        if away_ns > TOO_SLOW * item_ns and not has_grown:
            there, back = away_ns / 1e6, item_ns / 1e6
            return away_ns, f"an item took {there:.3f} ms there and {back:.3f} ms here"
        return None
