"""What even a closed function can notice of its process, and what a fork takes along.

A worker that is forked now has this process's limits and descriptors. One that was forked earlier
is as good only if the limits were the same then, and if it holds nothing that its holder could be
waited for: the other end of a pipe, a lock, a file.
"""

from __future__ import annotations

import copyreg
import os
import stat
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def now() -> tuple[Any, ...]:
    """What must be equal for a worker of then to be as good as one of now. Raises OSError."""
    reduction = sys.modules.get("multiprocessing.reduction")
    reducers = getattr(getattr(reduction, "ForkingPickler", None), "_extra_reducers", {})
    with open("/proc/self/limits", "rb", buffering=0) as limits:
        return (
            limits.read(),
            os.sched_getaffinity(0),
            os.getpriority(os.PRIO_PROCESS, 0),
            sys.getrecursionlimit(),
            sys.get_int_max_str_digits(),
            _of_built_ins(copyreg.dispatch_table),
            _of_built_ins(reducers),
            tuple(map(_identity, _STANDARD)),
        )


def _of_built_ins(reducers: dict[type, Any]) -> dict[type, Any]:
    """Those for values that a closed function can return."""
    return {kind: how for kind, how in reducers.items() if kind.__module__ in _REACHABLE}


_REACHABLE = ("builtins", "operator")


def is_watched() -> bool:
    """Whether somebody traces or profiles what runs."""
    watchers = (
        sys.gettrace(),
        sys.getprofile(),
        vars(threading).get("_trace_hook"),
        vars(threading).get("_profile_hook"),
    )
    if any(each is not None for each in watchers):
        return True
    monitoring: Any = getattr(sys, "monitoring", None)
    return monitoring is not None and any(map(monitoring.get_tool, range(_TOOLS)))


def holds_something(own: frozenset[int]) -> bool:
    """Whether a fork made now would keep something open that is neither in `own`, nor a device, nor
    what this program was started with. Raises OSError.
    """
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd in own or _GIVEN.get(fd, _NOTHING) == (identity := _identity(fd)):
            continue
        if identity is not None and not (stat.S_ISCHR(identity[2]) or _is_segment(fd)):
            return True
    return False


def _is_segment(fd: int) -> bool:
    """Whether it is shared memory of ours."""
    return os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:allcores")


_STANDARD = (0, 1, 2)
_TOOLS = 6
_NOTHING = (-1, -1, -1)


def _identity(fd: int) -> tuple[int, int, int] | None:
    try:
        found = os.fstat(fd)
    except OSError:
        return None  # the listing's own
    return found.st_dev, found.st_ino, found.st_mode


def _given() -> dict[int, tuple[int, int, int] | None]:
    """What was open when this module was imported and would have survived an `exec`: Python opens
    nothing in that way, so it came from outside.
    """
    try:
        fds = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return {}
    found = {}
    for fd in fds:
        try:
            if os.get_inheritable(fd):
                found[fd] = _identity(fd)
        except OSError:
            continue
    return found


_GIVEN = _given()
