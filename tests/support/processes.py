"""The process tree as `/proc` shows it.  Linux only, as all of the tests' own measuring is."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable
from pathlib import Path

HELPERS = (
    "from multiprocessing.forkserver import main",
    "from multiprocessing.resource_tracker import main",
)


def parents() -> dict[int, int]:
    """Each process on the machine, with its parent."""
    return {
        pid: parent
        for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
        if (parent := parent_of(pid))
    }


def descendants(root: int) -> set[int]:
    """The processes below `root`, itself left out."""
    table = parents()
    found: set[int] = set()
    fresh = {root}
    while fresh := {pid for pid, parent in table.items() if parent in fresh} - found:
        found |= fresh
    return found


def parent_of(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def is_zombie(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] == "Z"


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def pause(pid: int) -> None:
    """Stops a process: it is alive and does nothing.  Nothing tells a stranger that it has stopped,
    so it is looked at again."""
    os.kill(pid, signal.SIGSTOP)
    while (fields := _stat(pid)) and fields[0] not in "TZ":
        os.sched_yield()


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_helper(pid: int) -> bool:
    """A fork server or resource tracker of multiprocessing, which lives as long as the process that
    started it.

    What a fork server forks bears its command line too, so the parent tells them apart.
    """
    return _says_helper(pid) and not _says_helper(parent_of(pid) or 0)


def _says_helper(pid: int) -> bool:
    return any(helper in command_line(pid) for helper in HELPERS)


def wait_until_gone(pids: Iterable[int], seconds: float) -> set[int]:
    """Waits for these processes to end (a zombie has ended); returns those that have not."""
    handles = {}
    for pid in pids:
        try:
            handles[os.pidfd_open(pid)] = pid
        except ProcessLookupError:
            continue
    try:
        poller = select.poll()
        for handle in handles:
            poller.register(handle, select.POLLIN)
        left = dict(handles)
        while left and (ended := poller.poll(seconds * 1000)):
            for handle, _ in ended:
                poller.unregister(handle)
                del left[handle]
        return set(left.values())
    finally:
        for handle in handles:
            os.close(handle)


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def workers() -> set[int]:
    """The living processes below this one that are no helpers."""
    return {pid for pid in descendants(os.getpid()) if not is_zombie(pid) and not is_helper(pid)}
