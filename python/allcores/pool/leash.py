"""Ties a worker to its parent: whoever kills the parent, the worker ends at once, busy or not.

```
   parent                              worker
   `held` (the only write end) ──────► its read end: "SIGKILL me when something happens here"
```

The kernel closes what a process held when it ends, however it ended, and then signals the worker:
nothing has to run for that in either, no thread, no handler, and it does not matter which thread
started the worker (as it does for `PR_SET_PDEATHSIG`). Since the parent's end is closed when the
worker is gone, the parent must keep it until then, and no fork may take it along (`forks`).

What a task forks has the read end only until the fork returns: it doesn't end with the worker's
parent, and doesn't keep the worker tied to anything.

Linux only. Elsewhere, and where the kernel refuses, there is no leash: a worker sees the end of its
control socket, but not before its task is done.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys

from .forks import above_stdio, owned_fds

_IS_KNOWN = sys.platform == "linux"


def make() -> tuple[int, int] | None:
    """`(end for the worker, end to be held)`, both in `owned_fds`; None where there is no leash. To
    be called inside `owned_fds.guard()`.
    """
    if not _IS_KNOWN:
        return None
    for_worker, held = map(above_stdio, os.pipe())
    owned_fds.add(for_worker)
    owned_fds.add(held)
    return for_worker, held


def put_on(fd: int) -> None:
    """The worker's side: from here on this process ends with its parent."""
    owned_fds.add(fd)
    try:
        fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    except OSError:
        return
    # The parent may have ended before the kernel was told.
    poller = select.poll()
    poller.register(fd, 0)
    if poller.poll(0):
        os._exit(1)


__all__ = ["make", "put_on"]
