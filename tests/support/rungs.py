"""The backends that every test of the ladder runs on, and what it has them do."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import allcores
from allcores.ladder.backends import interpreters
from support.meetings import Place

BACKENDS = ("serial", "threads", "interpreters", "processes", "native", "auto")
PARALLEL = ("threads", "processes")
"""Those whose calls are seen by the tests to run at the same time."""
OF_THIS_INTERPRETER = ("serial", "threads")
"""Those that hand arguments over as they are."""

HAS_INTERPRETERS = sys.version_info >= (3, 14)


def prepare(backend: str, monkeypatch: Any) -> str:
    """Makes the backend usable: where Python has no interpreters, threads take their place, so
    that all but the standard library's part is tested."""
    if backend == "interpreters" and not HAS_INTERPRETERS:
        monkeypatch.setattr(interpreters, "pool_class", lambda: ThreadPoolExecutor)
    return backend


def mark(path: Path, value: Any = None) -> Any:
    """Leaves a mark in a file, from wherever it runs."""
    with path.open("ab", buffering=0) as file:
        file.write(b".")
    return value


def marks(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def fail_the_first(path: Path, times: int, kind: type[Exception] = ConnectionError) -> int:
    """Fails so many times, then says how often it was called."""
    mark(path)
    if marks(path) <= times:
        raise kind(f"call {marks(path)}")
    return marks(path)


def stop(number: int) -> int:
    if number == 1:
        raise StopIteration
    return number


def leave(number: int) -> int:
    if number == 1:
        raise SystemExit(3)
    return number


def first_waits(place: Place, number: int) -> int:
    """The first item ends when the test says so."""
    if number == 0:
        place.arrive()
        place.wait()
    return number


def inner_map(backend: str, number: int) -> int:
    return sum(allcores.map(abs, range(number), backend=backend))


class Counting(Iterator[int]):
    """Endless items that say how many were taken, and by which threads."""

    def __init__(self) -> None:
        self.taken = 0
        self.threads: set[int] = set()

    def __next__(self) -> int:
        self.taken += 1
        self.threads.add(threading.get_ident())
        return self.taken - 1


class Adder:
    def __init__(self, number: int) -> None:
        self.number = number

    def add(self, other: int) -> int:
        return self.number + other


_begun: list[int] = []


def begin(number: int) -> None:
    _begun.append(number)


def begun(_: object = None) -> list[int]:
    return list(_begun)


def forget() -> None:
    _begun.clear()


def log(number: int) -> int:
    logging.getLogger("loud").info("item %d", number)
    return os.getpid()
