"""A drop-in `concurrent.futures` with true parallelism.

    from allcores import ProcessPoolExecutor

Everything `concurrent.futures` exports is here under its name; `ProcessPoolExecutor` and
`Future` are ours, the rest is the standard library's. A name is imported when it is first
asked for: a worker, which needs none of them, starts the quicker.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import (
        ALL_COMPLETED,
        FIRST_COMPLETED,
        FIRST_EXCEPTION,
        BrokenExecutor,
        CancelledError,
        Executor,
        InvalidStateError,
        ThreadPoolExecutor,
        TimeoutError,
        as_completed,
        wait,
    )
    from concurrent.futures.process import BrokenProcessPool

    from . import native
    from .errors import RemoteError, TaskTimeout, TransportError, WorkerDied
    from .pool.executor import ProcessPoolExecutor
    from .pool.future import Future
    from .pool.options import options
    from .pool.shares import Shared
    from .pool.sharing import share

__version__ = "0.1.0"

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenExecutor",
    "BrokenProcessPool",
    "CancelledError",
    "Executor",
    "Future",
    "InvalidStateError",
    "ProcessPoolExecutor",
    "RemoteError",
    "Shared",
    "TaskTimeout",
    "ThreadPoolExecutor",
    "TimeoutError",
    "TransportError",
    "WorkerDied",
    "as_completed",
    "native",
    "options",
    "share",
    "wait",
]

_HOMES = {
    "BrokenProcessPool": "concurrent.futures.process",
    "Future": "allcores.pool.future",
    "ProcessPoolExecutor": "allcores.pool.executor",
    "RemoteError": "allcores.errors",
    "TaskTimeout": "allcores.errors",
    "TransportError": "allcores.errors",
    "WorkerDied": "allcores.errors",
    "Shared": "allcores.pool.shares",
    "native": "allcores.native",
    "options": "allcores.pool.options",
    "share": "allcores.pool.sharing",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "concurrent.futures")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
