"""Looking at processes: who is there, who is left, how much memory.

All processes of one run carry a word in their environment, by which they are found again, whatever
session they are in and whoever adopted them.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MARK = "ALLCORES_CASES_RUN"
PART = "ALLCORES_CASES_PART"


def is_alive(pid: int) -> bool:
    """It exists and is no zombie."""
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX"
    return False


def is_busy(pid: int, seconds: float = 0.3) -> bool:
    """It uses the processor."""

    def ticks() -> int:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12])
        return 0

    before = ticks()
    time.sleep(seconds)
    return ticks() - before > 3


def is_reaped(pid: int) -> bool:
    """It does not even exist as a zombie."""
    return not Path(f"/proc/{pid}").exists()


def marked(variable: str, word: str) -> list[int]:
    """Living processes that were started with that word in their environment, but for this one."""
    wanted = f"{variable}={word}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return [pid for pid in found if is_alive(pid)]


def children() -> list[int]:
    """Living direct children of this process."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return [pid for pid in found if is_alive(pid)]


def is_helper(pid: int) -> bool:
    """A resource tracker or a fork server, no worker."""
    with suppress(OSError):
        return _is_tracker(pid) or b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return True


def memory_of(pid: int | str = "self", field: str = "VmRSS") -> int:
    """Bytes."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return 0


def until(condition: Callable[[], object], seconds: float, step: float = 0.005) -> bool:
    """Did it become true within that time?"""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(step)
    return True


def end_all(variable: str, word: str) -> int:
    """Kills whatever carries the word, until nothing does; how many there were. Resource trackers
    get a second to remove what the killed have left behind, and then leave by themselves.
    """
    killed: set[int] = set()
    patience = time.monotonic() + 1
    while left := marked(variable, word):
        for pid in left:
            if not _is_tracker(pid) or time.monotonic() > patience:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.02)
    return len(killed)


def _is_tracker(pid: int) -> bool:
    with suppress(OSError):
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
