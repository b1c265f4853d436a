"""How `backend="auto"` decides where the items of a map run: a `Judge` for `moving`.

It measures the blocks that run in the caller (`probe`), knows the machine (`machine`), and asks the
adviser (`_core.advise`) each time the work has grown by a third. The rules around that:

* The first items run in the caller. Little work never leaves it.
* Threads are for functions that let others run anyway: that wait, or were seen to let go of the
  interpreter's lock. Whether a function may run twice at a time in one memory can't be seen from
  outside; one that holds the lock all the time gains nothing there and is never sent.
* Processes are for what can be pickled: the function, and the arguments and results that were seen.
  An argument that can't be pickled later is run in the caller.
* With few items, the first of which takes long, the others need not wait for it: the `watch` sees
  that it takes long, and has them begin elsewhere meanwhile. So does `beside` for later ones.
* Where the items are elsewhere, and moving them turns out to cost what is gained, they come back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil

from . import machine, recognise
from .adviser import STARTING, Adviser, seconds
from .beside import LEAST_BUSY, LEAST_WORK_NS, MOST_ITEMS, SEVERAL, Beside, gain_s, warm_ns
from .caller import CALLER
from .compiled import Compiled
from .probe import Probe, Unpicklable
from .stay import Stay
from .watch import Watch, hurried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._core import Verdict
    from .warm import Warm

BLOCK_NS, BLOCKS = 500_000, 24
"""What a block in the caller should take; later this part of all work so far, unless something is
awaited.
"""
LIGHT_BYTES, MOST_BYTES = 10_000, 1_000_000
"""Of an item that may wait in a longer block, and of a block: memory that is kept isn't used again,
and new memory costs more than most work on it.
"""
FIRST_LOOK_NS = 400_000
GROWTH = 1.33
"""A decision is made again when so many times as much was done."""
HOPELESS, HOPELESS_GROWTH = 0.5, 2.0
"""So many times as much, where the leverage is no better than that and the lock is held: only items
that are quite different could change the decision.
"""
FEW = 128
"""With so many items the first one is a noticeable part of all."""
WATCHED_NS = 3_000_000
"""So long the lock is watched before a decision between threads and processes."""
CLOSE_SHARE, CLOSE_DONE = 0.85, 0.12
"""A gain so small, to that share of the caller's time, is not taken before such a share of the work
was done.
"""
HEAVY_SHARE = 0.7
"""And for a function that holds much, whose copies nobody has seen at work, never above that."""
MOST_WATCHED_NS = 60_000_000
"""Longer than this it isn't, if little is seen for want of cores."""
RISKED_S = 0.003
"""That is done for such a gain, as the memory of another thread has to be made for it."""
EARLY_TIMES, EARLY_S = 1.25, 0.01
"""Others begin elsewhere while the first item runs only if so many times, and seconds, are gained.
"""
MADE_THERE = 4.0
"""Unpickling a function in a worker that has just started, in times of what it was measured with.
"""


class Judge:
    """Of one map.

    Attributes:
        verdict: the adviser's last; None if it was never asked.
        reason: why the items are where they are, in one line.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        rungs: dict[str, int],
        open_rungs: set[str],
        *,
        max_workers: int | None = None,
        star: bool = False,
        warm: Warm | None = None,
    ) -> None:
        """`rungs` are those that may be chosen, with the workers of each; `open_rungs` need no
        start any more; `warm` starts processes before they are needed, if it is there. With `star`
        an item is a tuple of arguments.
        """
        self.verdict: Verdict | None = None
        self.reason = "serial: there is too little work to leave the caller"
        self._fn = fn
        self._probe = Probe(fn)
        self._compiled = Compiled(fn, star=star)
        self._adviser = Adviser(fn, self._probe, self._compiled, rungs, open_rungs, max_workers)
        self._rungs = rungs
        is_open = "processes" in open_rungs
        self._beside = Beside(fn, self._probe, self._adviser, rungs, None if is_open else warm)
        self._where = CALLER
        self._size = 1
        self._look_at_ns = FIRST_LOOK_NS
        self._watch: Watch | None = None
        self._wants_pair = False
        self._stay = Stay(CALLER, 1)
        self._was_early = self._has_erred = False
        self._early_busy: float | None = None
        self._returns = 0
        self._is_unsendable: bool | None = None

    # -- in the caller -------------------------------------------------------------------

    def block_size(self, done: int) -> int:
        """How many items the next block in the caller should hold."""
        return self._size

    def on_block(
        self, items: list[Any], values: list[Any], failed: bool, wall_ns: int, cpu_ns: int
    ) -> None:
        """The caller ran these items; if one `failed` its value is None."""
        self._probe.on_block(items, values, failed, wall_ns, cpu_ns)
        if not self._compiled.agrees(values, wall_ns / len(items), failed=failed):
            self._adviser.exclude_refused()
            if self._where == "native":
                self._where, self._was_early, self._has_erred = CALLER, False, True
                self.reason = f"serial: {self._compiled.refusal}"
        count = len(items)
        aim_ns = BLOCK_NS
        if self._is_settled():
            aim_ns = max(aim_ns, self._probe.wall_ns // BLOCKS)
        if wall_ns > 2 * aim_ns or count * self._probe.item_bytes() > MOST_BYTES:
            self._size = max(1, count // 2)
        elif wall_ns < aim_ns / 2 and 2 * count * self._probe.item_bytes() <= MOST_BYTES:
            self._size = min(2 * count, MOST_ITEMS)

    def wants_pair(self) -> bool:
        """Whether the next two blocks are to run beside each other."""
        return self._wants_pair

    def on_pair(self, count: int, wall_ns: int, item_ns: float) -> None:
        """So many items ran in two threads at a time; an item took so long in its own."""
        self._wants_pair = False
        self._probe.on_pair(count, wall_ns, item_ns)
        self._look_at_ns = self._probe.wall_ns

    def where(self, left: int | None) -> str:
        """The rung for what is `left`."""
        if self._where == CALLER and self._rungs and self._is_time():
            self._look(left)
        return self._where

    def _is_time(self) -> bool:
        return self._beside.is_warm() or self._probe.wall_ns >= self._look_at_ns

    def _is_settled(self) -> bool:
        """Whether the caller goes on for a while, with items that it may keep some of."""
        is_light = self._probe.item_bytes() < LIGHT_BYTES
        is_calm = self._watch is None and not self._beside.is_starting()
        return self._where == CALLER and is_light and is_calm

    def _look(self, left: int | None) -> None:
        """Decides, if it is time to."""
        probe = self._probe
        if probe.busy_cores() > SEVERAL:
            self._beside.stop_looking()
        to_come_ns = (probe.done if left is None else left) * probe.item_ns()
        if to_come_ns < LEAST_WORK_NS:
            self._look_at_ns = int(probe.wall_ns * GROWTH)
            return
        if "native" in self._rungs and self._compiled.may_be_tried(to_come_ns):
            self._try_compiled()
        if self._watch is None:
            verdict = self._adviser.weighed(left)
            if self._is_too_close(verdict, to_come_ns):
                self._look_at_ns = int(probe.wall_ns * GROWTH)
            elif verdict.rung in (CALLER, "native") and not self._adviser.may_be_free(left):
                self._decide(verdict, left)
            elif verdict.rung == "processes" and self._adviser.needs_state():
                self._look(left)
            elif probe.free_share is None:
                # One block more or a few, to see whether threads would do. It sees long ones, too.
                self._beside.stop_looking()
                self._watch = Watch(self._on_tick)
            else:
                self._decide(verdict, left)
            self._warm_up(left)
        elif self._watch.seen_ns() >= WATCHED_NS or self._watch.passed_ns() >= MOST_WATCHED_NS:
            self._stop_watch()
            verdict = self._adviser.weighed(left)
            if verdict.rung == "processes" and self._adviser.needs_state():
                verdict = self._adviser.weighed(left)
            self._decide(verdict, left)
            self._warm_up(left)

    def _warm_up(self, left: int | None) -> None:
        if self._where == CALLER and self._probe.free_share is not None:
            self._beside.warm_up(left)

    def _is_too_close(self, verdict: Verdict, to_come_ns: float) -> bool:
        """Whether a little more is worth knowing first: the first items take longer than others,
        with cold caches, and where little is gained little is lost meanwhile.
        """
        if verdict.rung != "processes":
            return False
        found = seconds(verdict)
        share = found["processes"] / found[CALLER]
        if not self._probe.is_light():
            return share > HEAVY_SHARE
        return share > CLOSE_SHARE and self._probe.wall_ns <= to_come_ns * CLOSE_DONE

    def _is_hopeless(self, verdict: Verdict) -> bool:
        is_held = self._probe.free_share is not None and self._probe.free_share < LEAST_BUSY
        return verdict.rung == CALLER and is_held and max(verdict.leverage) < HOPELESS

    def _try_compiled(self) -> None:
        """Runs items of the last block again as machine code, and compares."""
        last = self._probe.last
        if last is not None:
            self._compiled.compare(*last, self._probe.item_ns())
            self._adviser.exclude_refused()

    def called(self, rung: str) -> Callable[..., Any]:
        """What that rung is to call."""
        return self._compiled.function if rung == "native" else self._fn

    def _decide(self, verdict: Verdict, left: int | None) -> None:
        self.verdict = verdict
        self.reason = recognise.because(verdict.reason, self._fn, self._probe.free_share)
        growth = HOPELESS_GROWTH if self._is_hopeless(verdict) else GROWTH
        self._look_at_ns = int(self._probe.wall_ns * growth)
        if verdict.rung == "threads" and self._probe.busy_cores() > LEAST_BUSY:
            gained_s = gain_s(verdict)
            if self._probe.beside is None and gained_s < RISKED_S:
                self.reason = f"serial: threads that compute would gain {gained_s * 1e3:.1f} ms"
                return
            # Calls that compute share caches and memory, which no probe of one call sees. And in a
            # first one a numerical library may have its own threads still asleep.
            self._wants_pair = self._probe.beside is None and self._probe.has_repeated
            if self._probe.beside is None:
                self.reason = "serial: all was done before threads were tried"
                return
        if verdict.rung == "processes" and self._beside.waits_for_start(left):
            self.reason = "serial: all was done before workers had started"
            return
        if verdict.rung in self._rungs:
            self._beside.stop_looking()  # beside a thread nothing may be forked
            self._leave_for(verdict.rung)

    def workers(self, rung: str) -> int | None:
        """How many workers of a rung the items can use; None for all it has."""
        busy = self._probe.busy_cores() if self._early_busy is None else self._early_busy
        if rung != "threads" or busy <= LEAST_BUSY:
            return None
        cores: int = self._adviser.constants()["cores"]
        return min(self._rungs[rung], ceil(cores / min(busy, 1.0)))

    def keeps(self, left: int | None) -> int:
        """How many of the items that are `left` the caller should run while the rung starts."""
        item_ns = self._probe.item_ns()
        if self._was_early or self._where in self._adviser.open or not item_ns:
            return 0
        start_ns = self._adviser.start_ns(self._where)
        if self._where == "processes":
            start_ns += MADE_THERE * self._probe.measured(left)["function_pickle_ns"]
        most = self._probe.done if left is None else left // 3
        return min(int(STARTING * start_ns / item_ns), most)

    def _leave_for(self, rung: str) -> None:
        self._where = rung
        self._stay = Stay(rung, self._rungs.get(rung, 1))
        self._probe.lighten()

    # -- while the first item runs -------------------------------------------------------

    def knows(self, items: list[Any], left: int | None) -> bool:
        """Whether the first `items` and what is `left` after them are known to do best as machine
        code, which gave CPython's results for others like them.
        """
        if left is None or left < 1 or "native" not in self._rungs:
            return False
        known = self._compiled.knows(items)
        if known is None or left * known.python_ns < LEAST_WORK_NS:
            return False
        self._probe.expected_ns = known.python_ns
        measured = self._probe.measured(left + 1)
        measured.update(wall_ns=[known.python_ns] * FEW, done=1)
        measured.update(native_ns=known.native_ns, native_left=known.left_share)
        verdict = self._adviser.told(measured)
        if verdict.rung != "native":
            return False
        self.verdict = verdict
        self.reason = f"{verdict.reason}, as its results were CPython's before"
        self._leave_for("native")
        return True

    def begin(self, items: list[Any], left: int | None, go: Callable[[str], None]) -> None:
        """The first of the `items` is about to run, and `left` after them. `go(rung)` has these
        begin on that rung at once; it is called from another thread, at most once.
        """
        if left is None or not 1 <= left <= FEW or not self._rungs or self._probe.will_compile():
            return
        cpu = time.process_time_ns()

        def on_tick(passed_ns: int, free_share: float) -> bool:
            busy = (time.process_time_ns() - cpu) / passed_ns
            with hurried():
                rung = self._early(items, left, passed_ns, busy, free_share)
                if rung is None:
                    return True
                self._was_early = True
                self._leave_for(rung)
                go(rung)
            return False

        self._watch = Watch(on_tick)

    def _early(
        self, items: list[Any], left: int, passed_ns: int, busy: float, free_share: float
    ) -> str | None:
        """Where the others should begin, taking as long as the first one has taken by now: what
        pays then pays all the more when they take longer. With arguments as heavy as the first
        one's, and only if the gain is beyond doubt: the first item often takes longer than others.
        """
        probe = self._probe
        if self._is_unsendable is None:
            try:
                probe.weigh_arguments(items)
                probe.weigh_function(passed_ns / 10)
                self._is_unsendable = False
            except Unpicklable as error:
                self._adviser.excluded["processes"] = str(error)
                self._is_unsendable = True
        compiled = self._compiled
        if "native" in self._rungs and compiled.may_be_tried(left * passed_ns):
            compiled.run_ahead(items)
            self._adviser.exclude_refused()
        if compiled.is_stopped:
            return None  # the item has ended meanwhile
        if compiled.item_ns is not None:
            # Python is at it still, and takes no less than machine code.
            passed_ns = max(passed_ns, int(compiled.item_ns))
        measured = probe.measured(left + 1)
        measured.update(native_ns=compiled.item_ns, native_left=compiled.left_share)
        # It will be as much as it is now, so there is no doubt in it.
        measured.update(wall_ns=[float(passed_ns)] * 100, done=1)
        busy = self._early_busy = max(busy, 1.0 - free_share)
        measured.update(busy_cores=busy, free_share=free_share)
        self._beside.is_warm()
        may_warm = passed_ns >= warm_ns() / 2 and probe.is_light() and busy <= SEVERAL
        if may_warm:
            self._beside.warm_if(self._adviser.told(measured, warm=True), left)
        verdict = self._adviser.told(measured, waits=self._beside.is_starting())
        found = seconds(verdict)
        if (
            verdict.rung not in self._rungs
            or found[CALLER] < EARLY_TIMES * found[verdict.rung]
            or gain_s(verdict) < EARLY_S
        ):
            return None
        if verdict.rung == "processes" and (self._adviser.needs_state() or not probe.is_weighed):
            return None
        self.verdict = verdict
        early = f"{verdict.reason}, while the first item runs"
        self.reason = recognise.because(early, self._fn, free_share)
        return verdict.rung

    def begun(self) -> None:
        """The first item has ended; where `go` was called, it has returned."""
        if self._watch is not None:
            self._compiled.stop()
            self._stop_watch()
            self._compiled.go_on()

    def beside(self, left: int | None, go: Callable[[str], None]) -> Callable[[], None] | None:
        """A block is about to run, and `left` is what comes after it. If it takes long, or workers
        are starting just now, `go` has these items begin elsewhere meanwhile; it is called from
        another thread, at most once, and not after what is returned was called: when the block has
        ended.
        """

        def leave(rung: str, verdict: Verdict, reason: str) -> None:
            # It may be what says so, or wait to say something.
            self._beside.stop_looking(wait=False)
            self._was_early = True
            self.verdict = verdict
            self.reason = recognise.because(reason, self._fn, self._probe.free_share)
            self._leave_for(rung)
            go(rung)

        # Who has no length is asked for items in the thread that takes the results.
        if left and self._beside.block_begins(self._size, left, leave, self._watch):
            return self._ended
        return None

    def _on_tick(self, passed_ns: int, free_share: float) -> bool:
        watch = self._watch  # which may be about to be known here, or to end
        return watch is None or self._beside.on_tick(watch)

    def _ended(self) -> None:
        self._beside.block_ended()
        if self._where != CALLER:
            self._stop_watch()

    def takes_back(self) -> bool:
        """Whether what has begun beside the first item turned out wrong: machine code."""
        return self._has_erred

    def _stop_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            share = watch.stop()
            if share is not None:
                self._probe.free_share = share

    def end(self) -> None:
        """The map is over."""
        self._stop_watch()
        self._beside.stop_looking()
        self._probe.lighten()
        machine.here().keep()

    # -- elsewhere -----------------------------------------------------------------------

    def on_away(self, count: int, stats: dict[str, int], waited_ns: int) -> None:
        """Results of `count` items came from the rung that was chosen, whose `stats` are so, after
        so long a wait.
        """
        if self._where == "native" and self._stay.has_begun and self._compiled.looks_left():
            self._adviser.exclude_refused()
            self._come_back(0, self._compiled.refusal)
            return
        self._stay.add(count, stats, waited_ns)
        if self._stay.is_time():
            worse = self._stay.worse(self._probe.item_ns())
            if worse is not None:
                self._come_back(*worse)

    def _come_back(self, away_ns: float, why: str) -> None:
        """The caller measures anew."""
        if away_ns:
            self._adviser.slow[self._where] = away_ns
        self._returns += 1
        self._where = CALLER
        self.reason = f"serial: {why}"
        self._probe.forget()
        self._size = 1
        # Each time it takes twice as long until it may leave again.
        self._look_at_ns = self._probe.wall_ns + 4 * LEAST_WORK_NS * 2**self._returns
