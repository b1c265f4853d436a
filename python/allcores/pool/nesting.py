"""How many cores are whose, when tasks open pools of their own.

The tree of pools shares one budget. The first process has as many cores as it may use; the workers
of a pool divide what the process has that made it:

```
   your program: 8 cores ──► pool of 2 ──► worker: 4 cores ──► pool of 4 ──► worker: 1 core
                                       └─► worker: 4 cores     (the default in this worker)
```

A share is at least one core. It is the default for `max_workers`; whoever gives a number gets that
number. It stands in the environment of each worker (`ALLCORES_CORES`), so that programs started by
a task know it, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache

from ..settings import Settings
from .forks import generation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CORES = "ALLCORES_CORES"
"""The environment variable with the share of a process."""


def share() -> int:
    """How many cores this process and all its workers should keep busy."""
    given = Settings.from_environment().cores
    usable = usable_cores()
    return usable if given is None else min(given, usable)


def share_of_each(workers: int) -> int:
    """The share of each worker of a pool that this process makes."""
    return max(1, share() // workers)


def usable_cores() -> int:
    """The cores that this process may use: what the user said (`PYTHON_CPU_COUNT`, `-X cpu_count`),
    else what the affinity and the quota of the control group allow.
    """
    said = _said_cores()
    if said is not None:
        return said
    quota = _quota()
    cores = _cores_of_affinity()
    return cores if quota is None else min(cores, quota)


def _said_cores() -> int | None:
    said = sys._xoptions.get("cpu_count")
    if said is None and not sys.flags.ignore_environment:
        said = os.environ.get("PYTHON_CPU_COUNT")
    return int(said) if isinstance(said, str) and said.isdecimal() and int(said) else None


def _cores_of_affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


@cache
def _quota() -> int | None:
    return quota_of("/proc/self/cgroup", "/sys/fs/cgroup")


def quota_of(membership: str, root: str) -> int | None:
    """The cores that the control groups allow, rounded up; None: as many as there are."""
    try:
        lines = _read(membership).splitlines()
    except OSError:
        return None
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += _quotas(root, path, _quota_of_version_2)
        elif "cpu" in controllers.split(","):
            found += _quotas(f"{root}/{controllers}", path, _quota_of_version_1)
            found += _quotas(f"{root}/cpu", path, _quota_of_version_1)
    return min(found, default=None)


def _quotas(mount: str, path: str, read: Callable[[str], tuple[int, int]]) -> list[int]:
    """Of the group and all above it; in a container only the mount's own may be in sight."""
    parts = [part for part in path.split("/") if part]
    found = []
    for depth in range(len(parts) + 1):
        try:
            quota, period = read("/".join([mount, *parts[:depth]]))
        except (OSError, ValueError):  # `max`, or no such file
            continue
        if quota > 0 and period > 0:
            found.append(-(-quota // period))
    return found


def _quota_of_version_2(group: str) -> tuple[int, int]:
    quota, period = _read(f"{group}/cpu.max").split()
    return int(quota), int(period)


def _quota_of_version_1(group: str) -> tuple[int, int]:
    return int(_read(f"{group}/cpu.cfs_quota_us")), int(_read(f"{group}/cpu.cfs_period_us"))


def _read(path: str) -> str:
    # Part of every start of a pool: without the layers of `open`.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16).decode()
    finally:
        os.close(fd)


# The worker's side.
# ------------------------------------------------------------------------------------------

_worker_since: int | None = None


def settle(cores: int | None) -> None:
    """Makes this process a worker with that share; None: with the share it has."""
    global _worker_since
    _worker_since = generation()
    if cores is not None:
        os.environ[CORES] = str(cores)


def is_worker() -> bool:
    """Whether this process is a worker; a child that a task forks is none."""
    return _worker_since == generation()


class Original:
    """An object that stays at home: workers get a stand-in, and what comes back is the original.

    The ordinary pickle refuses it; the pickler that writes for workers, and for the parent, asks
    for its `reference`.
    """

    def reference(self, *, to_parent: bool) -> tuple[Any, ...]:
        """What `__reduce__` would return, for a worker or for the parent."""
        raise NotImplementedError
