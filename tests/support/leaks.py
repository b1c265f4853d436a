"""What a process holds: descriptors, threads, children, shared mappings, files in `/dev/shm`.

A test may not leave more than it found.  Only multiprocessing's fork server and resource tracker,
which the standard library keeps for the life of the process, are let through, each recognised by
what it is and not by a number.  Children and threads are waited for by their own events; for the
rest nothing tells, so it is looked at again until a bound.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing.forkserver
import multiprocessing.process
import multiprocessing.resource_tracker
import os
import select
import threading
from dataclasses import dataclass, fields
from pathlib import Path
from time import monotonic

from support import processes

BOUND_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 0.005
SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Orphans of this process's children become its children, so that none of them can hide."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What this process holds at an instant."""

    descriptors: frozenset[str]
    threads: frozenset[str]
    processes: frozenset[str]
    mappings: frozenset[str]
    shm_files: frozenset[str]

    @classmethod
    def now(cls) -> Holdings:
        return cls(
            _descriptors(), _threads(), _processes(), _mappings(), frozenset(os.listdir("/dev/shm"))
        )

    def beyond(self, before: Holdings) -> list[str]:
        """What is held here and was not then, in words."""
        more = {
            field.name: getattr(self, field.name) - getattr(before, field.name)
            for field in fields(self)
        }
        if more["descriptors"]:
            helpers = _helper_descriptors()
            more["descriptors"] = {
                each for each in more["descriptors"] if int(each.split()[0]) not in helpers
            }
        if more["shm_files"]:
            more["shm_files"] -= _shm_files_of_others()
        return [f"{kind}: {thing}" for kind, things in more.items() for thing in sorted(things)]


def left_over_since(before: Holdings, bound: float = BOUND_SECONDS) -> list[str]:
    """Waits until nothing more is held than `before`; what still is when the bound is reached, in
    words."""
    deadline = monotonic() + bound
    while left := Holdings.now().beyond(before):
        if monotonic() > deadline:
            return left
        gc.collect()
        _reap_adopted()
        waited_for = {int(name.split()[0]) for name in _processes() - before.processes}
        processes.wait_until_gone(waited_for, max(0.0, deadline - monotonic()))
        select.select([], [], [], LOOK_AGAIN_SECONDS)
    return []


def _descriptors() -> frozenset[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} → " + os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:  # the listing's own
            continue
    return frozenset(found)


def _helper_descriptors() -> set[int]:
    """The pipes that keep the fork servers and the resource tracker alive."""
    tracker = vars(multiprocessing.resource_tracker._resource_tracker)
    kind = multiprocessing.forkserver.ForkServer
    kinds = [kind, *kind.__subclasses__()]
    servers = [thing for thing in gc.get_referrers(*kinds) if isinstance(thing, kind)]
    held = {tracker.get("_fd"), *(vars(server).get("_forkserver_alive_fd") for server in servers)}
    return {number for number in held if number is not None}


def _threads() -> frozenset[str]:
    """Python's threads by name, and the system's, of which Python may know nothing."""
    found = {f"python thread {thread.name} {thread.ident}" for thread in threading.enumerate()}
    for task in os.listdir("/proc/self/task"):
        try:
            found.add(
                f"system thread {task} " + Path(f"/proc/self/task/{task}/comm").read_text().strip()
            )
        except (FileNotFoundError, ProcessLookupError):
            continue
    return frozenset(found)


def _processes() -> frozenset[str]:
    return frozenset(
        f"{pid} {'zombie' if processes.is_zombie(pid) else processes.command_line(pid)}"
        for pid in processes.descendants(os.getpid())
        if not processes.is_helper(pid)
    )


def _reap_adopted() -> None:
    """Collects orphans that were handed to this process; what multiprocessing started is for the
    pool to collect."""
    known = {child.pid for child in vars(multiprocessing.process)["_children"]}
    for pid, parent in processes.parents().items():
        if parent == os.getpid() and pid not in known and processes.is_zombie(pid):
            with contextlib.suppress(ChildProcessError):  # a pool's own thread was quicker
                os.waitpid(pid, os.WNOHANG)


def _shm_files_of_others() -> set[str]:
    """Files that a process outside this one's tree has mapped: the folder is everybody's."""
    own = {os.getpid(), *processes.descendants(os.getpid())}
    found = set()
    for pid in processes.parents().keys() - own:
        try:
            maps = Path(f"/proc/{pid}/maps").read_text()
        except OSError:  # ended, or somebody else's
            continue
        found |= {
            line.rpartition("/dev/shm/")[2] for line in maps.splitlines() if "/dev/shm/" in line
        }
    return found


def _mappings() -> frozenset[str]:
    lines = Path("/proc/self/maps").read_text().splitlines()
    return frozenset(line for line in lines if "memfd:" in line or "/dev/shm/" in line)
