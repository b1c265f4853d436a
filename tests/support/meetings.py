"""Where workers say that they have come and wait, and where the test hears of it and lets them go.

    worker:  place.arrive("words") ─────────►  meeting.await_arrivals(count)   :test
             place.wait()          ◄─────────  meeting.open(count)

Two named pipes in a folder: they need no start method's help, no death can leave them locked, and
programs that the test starts reach them by their path.
"""

from __future__ import annotations

import os
import select
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 50.0
EVERYBODY = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """The worker's side; it travels."""

    folder: str

    def arrive(self, words: object = "") -> None:
        """Says this process's id and some words."""
        descriptor = os.open(f"{self.folder}/arrivals", os.O_WRONLY)
        os.write(descriptor, f"{os.getpid()} {words}\n".encode())
        os.close(descriptor)

    def wait(self) -> None:
        """Waits until the test lets one more go, or is gone."""
        descriptor = os.open(f"{self.folder}/gate", os.O_RDONLY)
        os.read(descriptor, 1)
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Arrival:
    pid: int
    words: str


class Meeting:
    """The test's side."""

    def __init__(self, folder: Path) -> None:
        self.place = Place(str(folder))
        self._heard = b""
        for name in ("arrivals", "gate"):
            os.mkfifo(folder / name)
        # Both ways, so that no opening waits and no reader sees an end.
        self._arrivals = os.open(folder / "arrivals", os.O_RDWR)
        self._gate = os.open(folder / "gate", os.O_RDWR)

    def await_arrivals(self, count: int) -> list[Arrival]:
        """The next `count` arrivals; waits for them."""
        while self._heard.count(b"\n") < count:
            ready = select.select([self._arrivals], [], [], LIMIT_SECONDS)[0]
            assert ready, f"only these came: {self._heard!r}"
            self._heard += os.read(self._arrivals, 65536)
        *lines, self._heard = self._heard.split(b"\n", count)
        told = [line.decode().partition(" ") for line in lines]
        return [Arrival(int(pid), words) for pid, _, words in told]

    def open(self, count: int = EVERYBODY) -> None:
        """Lets `count` processes go that wait, or will."""
        os.write(self._gate, b"." * count)

    def crew_of(self, pool: Any, size: int) -> set[int]:
        """The ids of `size` workers that are all there at the same time."""
        futures = [pool.submit(meet, self.place) for _ in range(size)]
        arrivals = self.await_arrivals(size)
        self.open(size)
        assert all(future.result(timeout=LIMIT_SECONDS) for future in futures)
        return {arrival.pid for arrival in arrivals}

    def close(self) -> None:
        os.close(self._arrivals)
        os.close(self._gate)


def meet(place: Place, words: object = "") -> int:
    """A task that runs for as long as the test wants."""
    place.arrive(words)
    place.wait()
    return os.getpid()
