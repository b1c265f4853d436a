"""`max_worker_memory`: a worker that has grown too large is replaced, a call that wants too much
fails.

| when                  | what is compared                     | consequence                       |
| --------------------- | ------------------------------------ | --------------------------------- |
| between two tasks     | resident memory with the limit       | the worker retires                |
| while a task runs     | its private data, by `RLIMIT_DATA`   | `MemoryError`, with a note        |

A call may bring a worker's data up to the limit; in one that other calls have filled before, up
to a quarter of the limit more than there was. So a slow leak costs a worker now and then, and
never a result. Between tasks nothing is limited: arguments arrive whatever their size.

The system counts what is allocated and writable (brk, private anonymous mappings); pages shared
with other processes and files mapped for reading do not count. Where there is no `/proc` the
largest resident size so far is compared, and running tasks are limited by the limit alone.
"""

from __future__ import annotations

import os
import resource
import sys

_PAGE = resource.getpagesize()
_RESIDENT, _DATA = 1, 5  # fields of /proc/self/statm, in pages

_limit: int | None = None


class Memory:
    """The limit of this worker's memory, in bytes."""

    def __init__(self, limit: int) -> None:
        global _limit
        self.limit = limit
        self._most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        _limit = limit

    def before_task(self) -> None:
        """From here to `is_passed` the limit holds."""
        data = _statm(_DATA)
        allowed = self.limit if data is None else max(self.limit, data + self.limit // 4)
        self._allow(allowed)

    def is_passed(self) -> bool:
        """Lifts the limit; whether this worker has grown too large to go on."""
        self._allow(self._most)
        resident = _statm(_RESIDENT)
        return (_largest() if resident is None else resident) > self.limit

    def _allow(self, size: int) -> None:
        most = self._most
        if most != resource.RLIM_INFINITY and (size == resource.RLIM_INFINITY or size > most):
            size = most
        resource.setrlimit(resource.RLIMIT_DATA, (size, most))


def explain(error: BaseException) -> None:
    """Says on a `MemoryError` that there is a limit."""
    if _limit is not None and isinstance(error, MemoryError):
        error.add_note(
            f"the worker `{os.getpid()}` may use {_limit / 2**20:.0f} MiB (`max_worker_memory`)\n"
            "hint: raise the limit, or give the call less to do at a time"
        )


def _statm(field: int) -> int | None:
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read(256).split()[field]) * _PAGE
    except OSError:
        return None


def _largest() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
