"""What is said when a pool can't answer: words for failures, made where they are raised.

Each future gets an exception object of its own, so tracebacks do not grow into each other.
"""

from __future__ import annotations

import signal
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess

from ..errors import WorkerDied, transport_error

__all__ = ["BrokenProcessPool", "broken", "undecoded"]

# As the standard library says it; programs look for the first words.
_ABRUPT = (
    "A process in the process pool was terminated abruptly while the future was running or pending."
)
_UNUSABLE = "A child process terminated abruptly, the process pool is not usable anymore"


def broken(
    kind: str, process: BaseProcess | None, words: str, start_failure: bytes | None
) -> BrokenProcessPool:
    """The exception for a failure of the engine: `kind` and `words` are the engine's."""
    if kind == "worker lost":
        return WorkerDied(f"{_ABRUPT} {fate(process)}\nhint: run the call in this process to see")
    if kind == "pool broken":
        return BrokenProcessPool(f"{_UNUSABLE}; {fate(process)}\nhint: make a new executor")
    if kind == "start failed":
        why = f":\n{start_failure.decode('utf-8', 'replace')}" if start_failure else ""
        return BrokenProcessPool(
            f"a worker could not start, the process pool is not usable anymore{why}"
        )
    return BrokenProcessPool(words)


def fate(process: BaseProcess | None) -> str:
    """How a worker's process ended, in words."""
    if process is None:
        return "its worker is gone"
    # Its link has ended, so its end is a matter of moments.
    process.join(1.0)
    code = process.exitcode
    if code is None:
        return f"worker `{process.pid}` closed its link and is still there"
    if code >= 0:
        return f"worker `{process.pid}` exited with code `{code}`"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"worker `{process.pid}` was ended by `{name}`"


def undecoded(original: BaseException, call: str | None, index: int | None) -> BrokenProcessPool:
    """The exception for a task whose arguments or function could not be unpickled."""
    error = transport_error(original, what="the task", function=call, index=index)
    error.__cause__ = original
    return error
