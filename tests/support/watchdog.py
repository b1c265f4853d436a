"""One watchdog for all tests: a process of its own, which no held GIL and no lost wake-up can stop.

    resting    ── watch ──►      watching     (from a test's start to its end)
    watching   ── time over ──►  last chance  (shows every stack, kills the tree, raises `Hang`)
    last chance ── time over ──► the test process is killed
    watching, last chance ── rest ──► resting

This module is both ends: imported by the test process, run as a script by the watchdog.
"""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import subprocess
import sys
from time import monotonic
from typing import NoReturn

# For a test, and for its ending once it was told to end.  The watchdog's own tests set shorter
# ones.
LIMIT_SECONDS, LAST_CHANCE_SECONDS = map(
    float, os.environ.get("ALLCORES_TEST_LIMITS", "60 15").split()
)


class Hang(Exception):
    """Raised in the main thread of a test that ran longer than its limit."""


class Watchdog:
    """The test process's end."""

    def __init__(self, stderr: int) -> None:
        self._stderr = os.fdopen(stderr, "w")
        faulthandler.register(signal.SIGUSR1, file=self._stderr, all_threads=True)
        signal.signal(signal.SIGALRM, _raise_hang)
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
        )

    def watch(self) -> None:
        self._say(b"w")

    def rest(self) -> None:
        self._say(b"r")

    def close(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()
        faulthandler.unregister(signal.SIGUSR1)
        self._stderr.close()

    def _say(self, word: bytes) -> None:
        if self._process.stdin:
            self._process.stdin.write(word)


def _raise_hang(signum: int, frame: object) -> NoReturn:
    raise Hang(
        f"the test ran longer than {LIMIT_SECONDS:g} s; the processes that it started were killed"
    )


def guard(watched: int) -> None:
    """The watchdog's end."""
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from support import processes

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    handle = os.pidfd_open(watched)
    deadline, warned = None, False
    while True:
        seconds = None if deadline is None else max(0.0, deadline - monotonic())
        ready = select.select([0, handle], [], [], seconds)[0]
        if handle in ready:
            return
        if ready:
            words = os.read(0, 1024)
            if not words:
                return
            deadline, warned = (
                (monotonic() + LIMIT_SECONDS if words.endswith(b"w") else None),
                False,
            )
        elif warned:
            processes.kill([*(processes.descendants(watched) - {os.getpid()}), watched])
        else:
            os.kill(watched, signal.SIGUSR1)
            processes.kill(processes.descendants(watched) - {os.getpid()})
            os.kill(watched, signal.SIGALRM)
            deadline, warned = monotonic() + LAST_CHANCE_SECONDS, True


if __name__ == "__main__":
    guard(int(sys.argv[1]))
