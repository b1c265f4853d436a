"""What is said when a pool can't answer: words for failures, made where they are raised.

Each future gets an exception object of its own, so tracebacks do not grow into each other. How the
worker ended is for `obituary` to find out; here it becomes words and a hint.
"""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool

from ..errors import TaskTimeout, WorkerDied, transport_error
from .failures import call_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .obituary import Obituary

__all__ = ["BrokenProcessPool", "Task", "broken", "timed_out", "undecoded"]

# As the standard library says it; programs look for the first words.
_ABRUPT = (
    "A process in the process pool was terminated abruptly while the future was running or pending."
)
_UNUSABLE = "A child process terminated abruptly, the process pool is not usable anymore"


class Task:
    """The task that failed, as far as it is known."""

    __slots__ = ("argument", "function", "index")

    def __init__(
        self, function: str | None = None, index: int | None = None, argument: str | None = None
    ) -> None:
        self.function = function
        self.index = index
        self.argument = argument

    def __str__(self) -> str:
        name = self.function or "a task"
        if self.index is None and self.argument is None:
            return name
        return call_text(name, self.index, self.argument)


_UNKNOWN = Task()


def broken(
    kind: str, words: str, obituary: Obituary | None, task: Task = _UNKNOWN, *, alone: bool = False
) -> BrokenProcessPool:
    """The exception for a failure of the engine. `kind` is the engine's, `words` are too, or what a
    worker said that could not start. `alone`: nothing but what the worker ran fails with it.
    """
    if kind == "worker lost":
        doing = "" if task.function is None else f" while it ran `{task}`"
        if not alone:
            # It may have waited, and failed with the pool.
            doing = "" if task.function is None else f"; `{task}` has no result"
        return _worker_died(task, obituary, doing)
    if kind == "worker lost unread":
        what = task.function or "a task"
        return _worker_died(task, obituary, f" while it was unpickling the arguments of `{what}`")
    if kind == "ended":
        return BrokenProcessPool(
            "the pool was ended while the task was running or pending\nhint: make a new executor"
        )
    if kind == "pool broken":
        return BrokenProcessPool(f"{_UNUSABLE}; {_fate(obituary)}\nhint: make a new executor")
    if kind == "start failed":
        more = f":\n{words}" if words else f"; {_fate(obituary)}" if obituary else ""
        return BrokenProcessPool(
            f"a worker could not start, the process pool is not usable anymore{more}"
        )
    return BrokenProcessPool(words)


def timed_out(task: Task, limit: float | None, pid: int | None) -> TaskTimeout:
    """The exception for a task whose time was up."""
    allowed = "its limit" if limit is None else f"`{limit:g}` seconds"
    return TaskTimeout(
        f"`{task}` ran longer than {allowed}\nhint: its worker was ended and replaced",
        function=task.function,
        index=task.index,
        argument=task.argument,
        limit=limit,
        pid=pid,
    )


def undecoded(original: BaseException, call: str | None, index: int | None) -> BaseException:
    """The exception for a task whose arguments or function could not be unpickled."""
    if isinstance(original, MemoryError):
        # Nothing is wrong with the object; there is only too much of it.
        original.add_note(f"while unpickling the task{f' of `{call}`' if call else ''}")
        return original
    error = transport_error(original, what="the task", function=call, index=index)
    error.__cause__ = original
    return error


def size_text(size: int) -> str:
    """A number of bytes as people read it."""
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size / 1000:.1f} kB"


def _worker_died(task: Task, obituary: Obituary | None, doing: str) -> WorkerDied:
    lines = [f"{_ABRUPT} {_fate(obituary)}{doing}", f"hint: {_hint(obituary)}"]
    if obituary is not None and obituary.stack is not None:
        lines.append(f"the last Python stack of the worker:\n{obituary.stack}")
    error = WorkerDied(
        "\n".join(lines), function=task.function, index=task.index, argument=task.argument
    )
    if obituary is not None:
        error.pid = obituary.pid
        error.exitcode = obituary.exitcode
        error.signal = obituary.signal
        error.peak_memory = obituary.peak_memory
        error.stack = obituary.stack
    return error


def _fate(obituary: Obituary | None) -> str:
    """How a worker's process ended."""
    if obituary is None:
        return "its worker is gone"
    who = f"worker `{obituary.pid}`"
    if obituary.signal is not None:
        return f"{who} was ended by `{obituary.signal}`"
    if obituary.exitcode is not None:
        return f"{who} exited with code `{obituary.exitcode}`"
    return f"{who} closed its link, and how it ended is not known"


_CRASHES = frozenset({"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"})


def _hint(obituary: Obituary | None) -> str:
    """What to look at next."""
    if obituary is None:
        return "run the call in this process to see"
    signal = obituary.signal
    if obituary.was_told_to_end:
        return "this process told its workers to end"
    if signal == "SIGKILL":
        peak = obituary.peak_memory
        used = f"; the worker's memory had reached {size_text(peak)}" if peak else ""
        return f"probably the out-of-memory killer; see `dmesg`{used}"
    if signal in _CRASHES:
        where = "the stack says where" if obituary.stack else "run the call in this process to see"
        return f"a crash in C code; {where}"
    if signal is not None:
        return f"somebody sent `{signal}` to the worker: a time limit, an administrator, the task"
    if obituary.exitcode is not None:
        return "the task called `os._exit`, or a library did"
    return "run the call in this process to see"
