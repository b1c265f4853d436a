"""What should not have been, in words: outcomes and the ledger against the plan.

| outcome             | is right if                                                              |
| ------------------- | ------------------------------------------------------------------------ |
| a value             | it is the right one, and the task started and ended                      |
| what a task raised  | that task was to raise                                                   |
| `WorkerDied`        | the worker was killed or ended itself; one task a worker has begun       |
| `BrokenProcessPool` | the pool breaks and lost a worker, or was ended from outside             |
| `TaskTimeout`       | the task had a limit and no end                                          |
| `CancelledError`    | `cancel` said so, or the end of the pool cancels                         |
| none                | it is of a map that was dropped, or given up by the end of the pool      |

And no task starts again, unless its retries say so: that often after a worker's death, and that
often in each worker after an exception. There is one exception: an item of a map that had *ended*
when its worker died, and whose result had not been handed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

from allcores import TaskTimeout, WorkerDied
from allcores.errors import TransportError
from soak import tasks
from soak.game import Entry
from soak.ledger import DYING, Life, Record, lives
from soak.plan import GENTLE, Plan
from soak.tasks import ALWAYS, DEADLY


@dataclass(slots=True)
class Verdict:
    """The account of one round."""

    tasks: int
    lost: int = 0
    killed: int = 0
    died: int = 0
    """Workers that ended themselves."""
    stopped: int = 0
    """Tasks ended by a stop or by their limit."""
    started_again: int = 0
    """Items that had ended and were run again."""
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def judge(plan: Plan, entries: list[Entry], records: list[Record], killed: set[int]) -> Verdict:
    """The verdict on one round."""
    return _Judge(plan, records, killed).judge(entries)


class _Judge:
    def __init__(self, plan: Plan, records: list[Record], killed: set[int]) -> None:
        self.plan = plan
        self.lives = lives(records)
        self.killed = killed
        self.died = {record.pid for record in records if record.what == DYING}
        self.culprits = self.killed | self.died
        self.breaks = plan.pool.on_death == "break"
        self.is_gentle = plan.ending in GENTLE
        self.victims: Counter[int] = Counter()

    def judge(self, entries: list[Entry]) -> Verdict:
        verdict = Verdict(len(entries), killed=len(self.killed), died=len(self.died))
        for entry in entries:
            name = type(entry.error).__name__ if entry.error else str(entry.is_right)
            verdict.outcomes["value" if name == "True" else name] += 1
            verdict.lost += self.is_lost(entry)
            verdict.stopped += entry.order.kind == tasks.ENDLESS
            lived = self.lives.get(entry.order.number, [])
            verdict.started_again += sum(life.ended_ns is not None for life in lived[:-1])
            for wrong in self.wrongs(entry, lived):
                verdict.violations.append(self.words(entry, lived, wrong))
        if not self.breaks:
            verdict.violations += [
                f"worker {pid} died once and cost {count} tasks that it had begun"
                for pid, count in self.victims.items()
                if count > 1
            ]
        return verdict

    def words(self, entry: Entry, lived: list[Life], wrong: str) -> str:
        what = "item" if entry.of_map else "call"
        history = ", ".join(
            f"{life.pid}{'' if life.ended_ns else ' unfinished'}"
            f"{' killed' if life.pid in self.killed else ''}"
            f"{' died' if life.pid in self.died else ''}"
            for life in lived
        )
        return (
            f"{what} {entry.order.number} ({entry.order.kind}, {entry.terms}) {wrong}; "
            f"started in [{history}]; cancels {entry.cancels}; error {entry.error!r:.300}"
        )

    def is_lost(self, entry: Entry) -> bool:
        may_be_given_up = entry.of_map and not self.is_gentle
        return not (entry.has_outcome or entry.is_dropped or may_be_given_up)

    def wrongs(self, entry: Entry, lived: list[Life]) -> Iterator[str]:
        if self.is_lost(entry):
            yield "is lost: no outcome"
        if entry.second_look:
            yield entry.second_look
        if entry.callbacks > 1:
            yield f"called back {entry.callbacks} times"
        yield from self.of_starts(entry, lived)
        yield from self.of_cancels(entry, lived)
        if entry.is_right is not None:
            yield from self.of_value(entry, lived)
        elif entry.error is not None:
            yield from self.of_error(entry, entry.error, lived)

    def of_starts(self, entry: Entry, lived: list[Life]) -> Iterator[str]:
        allowed = 1 + entry.terms.retries
        again = lived[:-1] if entry.of_map else []
        excused = [life for life in again if life.ended_ns and life.pid in self.culprits]
        counted = len(lived) - len(excused)
        if entry.terms.retry_raised and entry.order.kind == tasks.RAISES:
            # A worker calls again what raised, and knows nothing of the workers before it.
            workers = {life.pid for life in lived}
            counted = max(
                len(workers), max((self.starts_in(pid, lived) for pid in workers), default=0)
            )
        if counted > allowed:
            yield f"started {len(lived)} times, {allowed} allowed"

    def starts_in(self, pid: int, lived: list[Life]) -> int:
        return sum(life.pid == pid for life in lived)

    def of_cancels(self, entry: Entry, lived: list[Life]) -> Iterator[str]:
        taken = [running for running, did in entry.cancels if did]
        if taken and not isinstance(entry.error, CancelledError):
            yield "was cancelled and has another outcome"
        if taken and not taken[0] and lived and not entry.terms.retries:
            yield "was cancelled before its start and started"

    def of_value(self, entry: Entry, lived: list[Life]) -> Iterator[str]:
        order = entry.order
        if not entry.is_right:
            yield "has a wrong value"
        if order.failures >= len(lived) or order.kind == tasks.ENDLESS:
            yield "has a value and was to fail"
        if not lived or lived[-1].ended_ns is None:
            yield "has a value and did not end"

    def of_error(self, entry: Entry, error: BaseException, lived: list[Life]) -> Iterator[str]:
        if isinstance(error, CancelledError):
            if self.is_gentle and not any(did for _, did in entry.cancels):
                yield "is cancelled and nobody cancelled it"
        elif isinstance(error, TransportError):
            yield "could not be transported"
        elif isinstance(error, WorkerDied):
            yield from self.of_death(entry, error, lived)
        elif isinstance(error, BrokenProcessPool):
            if self.is_gentle and not (self.breaks and self.culprits):
                yield "says that the pool broke"
        elif entry.is_refused:
            yield "was refused"
        elif isinstance(error, TaskTimeout):
            if entry.order.kind != tasks.ENDLESS or entry.terms.timeout is None:
                yield "ran out of time and had enough"
        elif isinstance(error, tasks.AsAsked):
            if entry.order.kind != tasks.RAISES or error.args != (entry.order.number,):
                yield "raised what another one was to raise"
        else:
            yield "raised what nobody raises"

    def of_death(self, entry: Entry, error: WorkerDied, lived: list[Life]) -> Iterator[str]:
        if self.plan.ending in ("kill_workers", "terminate_workers"):
            return
        pid = error.pid
        if pid is None:
            yield "does not know which worker died"
            return
        if pid not in self.culprits:
            yield f"says that worker {pid} died, and nothing had ended that one"
        if self.breaks:
            return
        if any(life.pid == pid for life in lived):
            self.victims[pid] += 1
        pids = {pid, *(life.pid for life in lived)}
        order = entry.order
        by_itself = order.kind in DEADLY and not pids & self.killed
        if self.killed and len(lived) <= entry.terms.retries:
            # A try may have ended in a worker that was killed before the call had begun.
            by_itself = False
        if by_itself and order.failures <= min(entry.terms.retries, ALWAYS - 1):
            yield "was given up before its retries were used up"
