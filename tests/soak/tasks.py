"""What runs in the workers. Every task says in the ledger that it starts, and that it ends."""

from __future__ import annotations

import ctypes
import functools
import os
import random
import select
import signal
from array import array
from collections import deque
from typing import Final, NamedTuple, TypeAlias

from soak.ledger import DYING, ENDED, STARTED, Writer, parse

QUICK: Final = "quick"
BUSY: Final = "busy"
HOARDS: Final = "hoards"  # leaks memory
RAISES: Final = "raises"  # the first `failures` times
EXITS: Final = "exits"  # so do these
CRASHES: Final = "crashes"
KILLS_ITSELF: Final = "kills itself"
ENDLESS: Final = "endless"  # until it is stopped or its time is over

DEADLY: Final = (EXITS, CRASHES, KILLS_ITSELF)
ALWAYS: Final = 1_000_000
HOARD_BYTES: Final = 10_000_000
LARGE: Final = 100_000
KEPT: Final = 3
BLOCK: Final = 997  # no power of two, so that bytes in the wrong place are wrong bytes


Filler: TypeAlias = "bytes | array[int]"


class Order(NamedTuple):
    """What one task is asked to do."""

    ledger: str
    number: int
    kind: str
    given: Filler
    answer: int
    """Bytes to return."""
    seconds: float
    failures: int
    """So many starts fail before one succeeds."""


class AsAsked(Exception):
    """What a task raises that shall raise."""


class Garbled(Exception):
    """The bytes that arrived are not those that were sent."""


def filler(number: int, size: int) -> Filler:
    """`size` bytes that only `number` gives; every other large one is an array, which crosses
    beside its pickle.
    """
    block = random.Random(number).randbytes(min(size, BLOCK))
    data = (block * (size // BLOCK + 1))[:size]
    return array("B", data) if size >= LARGE and number % 2 else data


@functools.cache
def _writer(path: str) -> Writer:
    return Writer(path)


_hoard: list[bytes] = []

# What was given lately: nobody may write over what a worker keeps.
_kept: deque[tuple[int, Filler]] = deque(maxlen=KEPT)


def work(order: Order) -> tuple[int, Filler]:
    """Does what `order` says; the answer names the task."""
    ledger = _writer(order.ledger)
    ledger.write(order.number, STARTED)
    if order.given != filler(order.number, len(order.given)):
        raise Garbled(f"task {order.number} got other bytes")
    for number, kept in _kept:
        if kept != filler(number, len(kept)):
            raise Garbled(f"what task {number} left has changed")
    if len(order.given) >= LARGE:
        _kept.append((order.number, order.given))
    if order.seconds:
        # There is nothing to wait for: this is how long the task takes.
        select.select([], [], [], order.seconds)
    if order.kind == HOARDS:
        _hoard.append(bytes(HOARD_BYTES))
    if order.failures == ALWAYS or _starts_of(order) <= order.failures:
        _fail(ledger, order)
    answer = filler(order.number + 1, order.answer)
    ledger.write(order.number, ENDED)
    return order.number, answer


def _starts_of(order: Order) -> int:
    """How often a task that is to fail at first was started, this time included."""
    if not order.failures:
        return 1
    with open(order.ledger, "rb") as file:
        records = parse(file.read())
    return sum(each.number == order.number and each.what == STARTED for each in records)


def _fail(ledger: Writer, order: Order) -> None:
    if order.kind == RAISES:
        ledger.write(order.number, ENDED)
        raise AsAsked(order.number)
    ledger.write(order.number, DYING)
    if order.kind == EXITS:
        os._exit(7)
    if order.kind == CRASHES:
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)
