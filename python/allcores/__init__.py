"""A drop-in `concurrent.futures` with true parallelism.

    from allcores import ProcessPoolExecutor

Everything `concurrent.futures` exports is here under its name; `ProcessPoolExecutor` and
`Future` are ours, `Executor` is one over every way to run a call, the rest is the standard
library's. `map` runs a function over items the fastest way that is safe. A name is imported when
it is first asked for: a worker, which needs none of them, starts the quicker.
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
        InvalidStateError,
        ThreadPoolExecutor,
        TimeoutError,
        as_completed,
        wait,
    )
    from concurrent.futures.process import BrokenProcessPool

    from . import native
    from .errors import RemoteError, TaskTimeout, TransportError, WorkerDied
    from .ladder.compare import compare
    from .ladder.comparison import Comparison
    from .ladder.executor import Executor
    from .ladder.explain import explain
    from .ladder.mapping import map
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
    "Comparison",
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
    "compare",
    "explain",
    "map",
    "native",
    "options",
    "share",
    "wait",
]

_HOMES = {
    "BrokenProcessPool": "concurrent.futures.process",
    "Comparison": "allcores.ladder.comparison",
    "Executor": "allcores.ladder.executor",
    "Future": "allcores.pool.future",
    "ProcessPoolExecutor": "allcores.pool.executor",
    "RemoteError": "allcores.errors",
    "TaskTimeout": "allcores.errors",
    "TransportError": "allcores.errors",
    "WorkerDied": "allcores.errors",
    "Shared": "allcores.pool.shares",
    "compare": "allcores.ladder.compare",
    "explain": "allcores.ladder.explain",
    "map": "allcores.ladder.mapping",
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
