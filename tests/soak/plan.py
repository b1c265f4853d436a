"""The decisions of one round, all made before it begins, from its seed alone."""

from __future__ import annotations

import multiprocessing
import random
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from soak import tasks
from soak.tasks import ALWAYS, DEADLY, Order

MEGABYTE: Final = 1_000_000
HOARDER_LIMIT: Final = 250 * MEGABYTE
"""A chunk may leak a quarter of it: those of these plans leak less."""
A_LONG_TIME: Final = 100.0
"""Seconds: longer than the watchdog waits, so an end that never comes is a hang."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """How the pool is made."""

    start: str
    """A start method, or `default`."""
    link: str
    on_death: Literal["break", "replace"]
    workers: int
    tasks_per_child: int | None
    memory: int | None


@dataclass(frozen=True, slots=True)
class Terms:
    """`executor.options(...)`."""

    timeout: float | None = None
    retries: int = 0
    retry_raised: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """`submit` one task."""

    order: Order
    terms: Terms
    reader: str
    """`result`, `exception` or `callback`."""


@dataclass(frozen=True, slots=True)
class Map:
    """`map` some tasks."""

    orders: tuple[Order, ...]
    terms: Terms
    chunksize: int | None
    returns_exceptions: bool
    taken: int | None
    """How many results are taken before it is dropped; None: all."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """`cancel` the call that was made so many calls ago, perhaps not before it has started."""

    back: int
    running: bool
    once_started: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """Wait for the outcome of the call that was made so many calls ago."""

    back: int


Step: TypeAlias = Call | Map | Cancel | Take


@dataclass(frozen=True, slots=True)
class Kill:
    """After so many seconds, this one of the workers; a fresh one may not have worked yet."""

    gap: float
    rank: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """One round."""

    pool: PoolPlan
    steps: tuple[Step, ...]
    kills: tuple[Kill, ...]
    ending: str
    early: bool
    """Whether the pool is shut down before the outcomes are looked at."""


ENDINGS: Final = {
    "wait": 4,
    "cancel_futures": 2,
    "timeout": 2,
    "abandon": 2,
    "no wait": 1,
    "drop": 1,
    "kill_workers": 1,
    "terminate_workers": 1,
}
GENTLE: Final = ("wait", "no wait", "drop")
"""Endings after which everything that was submitted still runs."""

# Killing is the point: most pools start workers quickly, and replace them.
STARTS: Final = {"fork": 10, "default": 6, "forkserver": 5, "spawn": 1}
BREAKING: Final = 0.2


def make(seed: str, number: int, ledger: str) -> Plan:
    """The plan of round `number`."""
    return _Maker(random.Random(f"{seed}:{number}"), ledger).plan()


class _Maker:
    def __init__(self, rng: random.Random, ledger: str) -> None:
        self.rng = rng
        self.ledger = ledger
        self.next_number = 0

    def chosen(self, weights: dict[str, int]) -> str:
        return self.rng.choices(list(weights), list(weights.values()))[0]

    def plan(self) -> Plan:
        rng = self.rng
        pool = self.pool()
        breaks = pool.on_death == "break"
        ending = self.chosen(ENDINGS)
        early = rng.random() < 0.5
        steps: list[Step] = []
        for _ in range(rng.randint(10, 60)):
            steps += self.some_steps(breaks, len(steps))
        mean = rng.choice([0.005, 0.02, 0.06]) * (4 if pool.start == "spawn" else 1)
        count = rng.randint(0, 2) if breaks else rng.randint(0, 30)
        fresh = rng.sample(range(count), min(2, count))
        kills = tuple(
            Kill(rng.expovariate(1 / mean), rng.randrange(100), at in fresh) for at in range(count)
        )
        return Plan(pool, tuple(steps), kills, ending, early)

    def pool(self) -> PoolPlan:
        rng = self.rng
        start = self.chosen(STARTS)
        if start not in ("default", *multiprocessing.get_all_start_methods()):
            start = "default"
        return PoolPlan(
            start=start,
            link="stream" if rng.random() < 0.35 else "shm",
            on_death="break" if rng.random() < BREAKING else "replace",
            workers=rng.randint(1, 4),
            # The standard library refuses the two together, and so do we.
            tasks_per_child=rng.randint(1, 20) if start != "fork" and rng.random() < 0.2 else None,
            memory=HOARDER_LIMIT if rng.random() < 0.2 else None,
        )

    def some_steps(self, breaks: bool, at: int) -> list[Step]:
        rng = self.rng
        what = self.chosen(
            {"call": 70, "map": 12, "cancel": 8, "take": 8, "endless": 4, "deadly": 6}
        )
        if what == "map":
            return [self.map(breaks)]
        if what == "cancel":
            return [Cancel(rng.randint(1, 10), running=rng.random() < 0.5)]
        if what == "take":
            return [Take(rng.randint(1, 10))]
        if what == "endless":
            return self.endless()
        if what == "deadly" and (not breaks or rng.random() < 0.1):
            return [self.deadly()]
        return [self.call(self.harmless())]

    def harmless(self) -> Order:
        rng = self.rng
        kind = self.chosen({tasks.QUICK: 10, tasks.BUSY: 10, tasks.RAISES: 2, tasks.HOARDS: 1})
        return self.order(
            kind,
            given=self.size(),
            answer=self.size(),
            seconds=rng.uniform(0.001, 0.03) if kind == tasks.BUSY else 0.0,
            failures=ALWAYS if kind == tasks.RAISES else 0,
        )

    def size(self) -> int:
        """Mostly small; sometimes a buffer of its own, and sometimes a large one."""
        weights = {"small": 90, "medium": 6, "large": 4}
        least, most = {
            "small": (0, 2000),
            "medium": (MEGABYTE // 20, MEGABYTE // 2),
            "large": (2 * MEGABYTE, 6 * MEGABYTE),
        }[self.chosen(weights)]
        return self.rng.randrange(least, most)

    def order(
        self,
        kind: str,
        *,
        given: int = 0,
        answer: int = 0,
        seconds: float = 0.0,
        failures: int = 0,
    ) -> Order:
        number = self.next_number
        self.next_number += 1
        return Order(
            self.ledger, number, kind, tasks.filler(number, given), answer, seconds, failures
        )

    def terms(self) -> Terms:
        rng = self.rng
        return Terms(
            timeout=A_LONG_TIME if rng.random() < 0.15 else None,
            retries=rng.randint(1, 3) if rng.random() < 0.25 else 0,
            retry_raised=rng.random() < 0.5,
        )

    def call(self, order: Order, terms: Terms | None = None) -> Call:
        reader = self.rng.choice(["result", "exception", "callback"])
        return Call(order, terms or self.terms(), reader)

    def endless(self) -> list[Step]:
        """A task that only a stop or its time limit ends."""
        order = self.order(tasks.ENDLESS, seconds=4 * A_LONG_TIME)
        if self.rng.random() < 0.5:
            again = Terms(timeout=self.rng.uniform(0.02, 0.2), retries=self.rng.randint(0, 1))
            return [self.call(order, again)]
        between = [self.call(self.harmless()) for _ in range(self.rng.randint(0, 4))]
        return [
            self.call(order, Terms()),
            *between,
            Cancel(len(between) + 1, running=True, once_started=self.rng.random() < 0.7),
        ]

    def deadly(self) -> Call:
        """A task that ends its worker, always or until it is retried."""
        rng = self.rng
        failures = rng.choice([1, 2, ALWAYS])
        order = self.order(
            rng.choice([*DEADLY, tasks.RAISES]), seconds=rng.uniform(0, 0.01), failures=failures
        )
        return self.call(order, Terms(retries=rng.randint(0, 3), retry_raised=rng.random() < 0.8))

    def map(self, breaks: bool) -> Map:
        rng = self.rng
        count = rng.choice([3, 30, 300])
        orders = [self.harmless() for _ in range(min(count, 30))]
        orders += [self.order(tasks.QUICK) for _ in range(count - len(orders))]
        if not breaks and rng.random() < 0.5:
            at = rng.randrange(count)
            orders[at] = orders[at]._replace(
                kind=rng.choice(DEADLY), failures=rng.choice([1, ALWAYS])
            )
        rng.shuffle(orders)
        return Map(
            tuple(orders),
            self.terms(),
            chunksize=rng.choice([None, None, 1, 7, 50]),
            returns_exceptions=rng.random() < 0.6,
            taken=rng.randrange(count) if rng.random() < 0.3 else None,
        )
