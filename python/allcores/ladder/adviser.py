"""What is known of one map, put to the adviser (`_core.advise`): what was measured, what this
machine takes, and which rungs are out of the question, each with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from math import fsum

from .._core import advise
from . import machine, state, stay
from .caller import CALLER
from .probe import Unpicklable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._core import Verdict
    from .compiled import Compiled
    from .probe import Probe

STARTING = 0.75
"""The share of a rung's start for which the caller goes on; the rest is its own work."""
OTHERS = ("interpreters", "cluster")


class Adviser:
    """Of one map.

    Attributes:
        excluded: the reasons against rungs, as the adviser names them.
        open: rungs that need no start any more.
        slow: what an item took, in nanoseconds, on rungs that were left again.
        own: threads of ours that will have ended when a rung is started.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        probe: Probe,
        compiled: Compiled,
        rungs: dict[str, int],
        open_rungs: set[str],
        max_workers: int | None,
    ) -> None:
        self._fn = fn
        self._probe = probe
        self._compiled = compiled
        self._rungs = rungs
        self._max_workers = max_workers
        self._costs: dict[frozenset[str], dict[str, Any]] = {}
        self._has_all: bool | None = None
        self.open = frozenset(open_rungs)
        self.slow: dict[str, float] = {}
        self.own = 0
        self.excluded: dict[str, str] = {
            name: "not_here" for name in ("threads", "processes", *OTHERS) if name not in rungs
        }

    def exclude_refused(self) -> None:
        """Excludes machine code, if the function can't be compiled or gave another result."""
        if self._compiled.refusal:
            self.excluded["native"] = self._compiled.reason

    def needs_state(self) -> bool:
        """Whether the function needs what can't be sent; processes are excluded then."""
        if self._has_all is None:
            self._has_all = state.missing(self._fn) is None
            if not self._has_all:
                self.excluded["processes"] = "needs_state"
        return not self._has_all

    def may_be_free(self, left: int | None) -> bool:
        """Whether threads would pay, if the function should turn out to let go of the lock."""
        if self._probe.free_share is not None or "threads" not in self._rungs:
            return False
        return self.weighed(left, free_share=1.0).rung == "threads"

    def weighed(self, left: int | None, *, free_share: float | None = None) -> Verdict:
        """The verdict, once what has to be weighed for it is."""
        probe = self._probe
        try:
            probe.weigh_data()
            verdict = self.asked(left, free_share=free_share)
            if verdict.rung != "processes" or probe.is_weighed:
                return verdict
            # A function may hold much. Its weight is looked for while less than a sixth of what is
            # gained has gone into that; whatever weighs more is not worth it, by the model.
            found = seconds(verdict)
            probe.weigh_function(1e9 * (found[CALLER] - found["processes"]) / 6)
        except Unpicklable as error:
            self.excluded["processes"] = str(error)
        return self.asked(left, free_share=free_share)

    def is_sent_at_once(self, most_ns: float) -> bool:
        """Whether processes may be used and the function holds nothing to speak of, as far as that
        can be seen in so many nanoseconds.
        """
        try:
            self._probe.weigh_function(most_ns)
        except Unpicklable as error:
            self.excluded["processes"] = str(error)
        return "processes" not in self.excluded and self._probe.is_light()

    def asked(
        self,
        left: int | None,
        *,
        free_share: float | None = None,
        warm: bool = False,
        running: tuple[int, int] | None = None,
    ) -> Verdict:
        """The verdict on what is known; with `warm`, if processes were started. Of a block that is
        `running`, how many items it holds and for how many nanoseconds it has run.
        """
        probe = self._probe
        measured = probe.measured(left)
        measured.update(native_ns=self._compiled.item_ns, native_left=self._compiled.left_share)
        if free_share is not None:
            measured["free_share"] = free_share
        if running is not None:
            count, passed_ns = running
            measured["wall_ns"].append(passed_ns / count)
            measured["done"] += count
        constants = self.constants(warm=warm)
        # While workers start the caller goes on at its own speed, which is half of theirs or less.
        constants["processes_start_ns"] *= 1 - STARTING / 2
        excluded = dict(self.excluded)
        for rung, away_ns in self.slow.items():
            if away_ns > probe.item_ns() / stay.TOO_SLOW:
                excluded[rung] = "gain_too_small"
        return advise(measured, constants, list(excluded.items()))

    def told(self, measured: dict[str, Any], *, warm: bool = False, waits: bool = False) -> Verdict:
        """The verdict on this, as `Probe.measured` gives it; if it `waits` for workers that were
        started before, processes are none of the rungs.
        """
        excluded = dict(self.excluded)
        if waits:
            excluded.setdefault("processes", "speed_unknown")
        return advise(measured, self.constants(warm=warm), list(excluded.items()))

    def constants(self, *, warm: bool = False) -> dict[str, Any]:
        """The machine's, as things are for this map; with `warm`, if processes were started."""
        open_rungs = self.open | {"processes"} if warm else self.open
        found = self._costs.get(open_rungs)
        if found is None:
            found = machine.here().constants(
                max_workers=self._max_workers, open_rungs=open_rungs, own=self.own
            )
            self._costs[open_rungs] = found
        return dict(found)

    def value(self, name: str) -> float:
        """One of the constants."""
        return float(self.constants()[name])

    def start_ns(self, rung: str) -> float:
        """What its start takes."""
        constants = self.constants()
        return fsum(constants[name] for name in machine.starts(rung))


def seconds(verdict: Verdict) -> dict[str, float]:
    """What each rung is predicted to take."""
    return {rung: terms[-1][1] for rung, terms in verdict.predictions}
