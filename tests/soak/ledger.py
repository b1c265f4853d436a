"""A file in which tasks write that they start and end.

A record is one `write` to a file opened for appending, so records of different workers never mix,
and what a worker has written before it was killed is there.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections import defaultdict
from time import monotonic_ns
from typing import NamedTuple

_RECORD = struct.Struct("=IIIQ")

STARTED, ENDED, DYING = 1, 2, 3
"""`DYING`: the task is about to end its own worker."""


class Record(NamedTuple):
    """One line of the ledger."""

    number: int
    pid: int
    what: int
    at_ns: int


def parse(data: bytes) -> list[Record]:
    """The whole records in `data`."""
    whole = data[: len(data) - len(data) % _RECORD.size]
    return [Record(*fields) for fields in _RECORD.iter_unpack(whole)]


class Writer:
    """A worker's way to the ledger."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(self, number: int, what: int) -> None:
        os.write(self._fd, _RECORD.pack(number, os.getpid(), what, monotonic_ns()))


class Ledger:
    """The harness's end: owns the file, reads it."""

    def __init__(self) -> None:
        self._fd, self.path = tempfile.mkstemp(prefix="soak-")
        self._read = 0
        self.records: list[Record] = []

    def read_on(self) -> list[Record]:
        """Everything that was written so far."""
        data = os.pread(self._fd, os.fstat(self._fd).st_size - self._read, self._read)
        fresh = parse(data)
        self._read += len(fresh) * _RECORD.size
        self.records += fresh
        return self.records

    def read_all(self) -> list[Record]:
        """The same, kept by nobody."""
        return parse(os.pread(self._fd, os.fstat(self._fd).st_size, 0))

    def close(self) -> None:
        os.close(self._fd)
        os.unlink(self.path)


class Life(NamedTuple):
    """One start of a task: where and when, and when it ended, if it did."""

    pid: int
    started_ns: int
    ended_ns: int | None


def lives(records: list[Record]) -> dict[int, list[Life]]:
    """How often each task started, in order."""
    found: dict[int, list[Life]] = defaultdict(list)
    for number, pid, what, at_ns in records:
        if what == STARTED:
            found[number].append(Life(pid, at_ns, None))
        elif what == ENDED:
            mine = [at for at, life in enumerate(found[number]) if life.pid == pid]
            if mine:
                found[number][mine[-1]] = found[number][mine[-1]]._replace(ended_ns=at_ns)
    return found
