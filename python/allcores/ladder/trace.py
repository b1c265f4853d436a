"""What ran when, written in the format of Chrome's tracing, which Perfetto opens.

    rung ──(span, value)──► Traced ──value──► the user
                               └──span──► Trace ──at the end──► file.json

While something is traced its function is `Timed`, so each result comes with its span: where it was
made, and when. Here the spans are taken off again. A call that raised has none; the moment in which
that was heard is marked instead. Nothing of this is there when nothing is traced.

The file has a lane for each thread that made calls: a slice for each call, `wait` where a lane
stood still in between, marks for what was raised and for workers that died; the map as a slice in
its caller's lane; and how many bytes were moved.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from .._core import Unroll
from ..errors import TaskTimeout, TransportError, WorkerDied
from ..pool import codec
from .timed import Timed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .backends.base import RungExecutor
    from .options import CallOptions
    from .timed import Span

    Lane = tuple[int, int]
    """Process id and thread id."""
    Event = dict[str, Any]

WAIT_NS = 50_000
"""A shorter gap between two calls is no wait."""
COUNTED = {"bytes_copied": "copied", "bytes_mapped": "mapped"}


class Trace:
    """What has happened so far; from any thread.

    Args:
        path: the file that `write` makes.

    Raises:
        OSError: if it could not be made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(os.fspath(path))
        _check(self.path)
        self.begun_ns = time.monotonic_ns()
        self._home = os.getpid(), threading.get_native_id()
        self._calls: list[tuple[Span, str, int | None]] = []
        self._others: list[Event] = []
        self._counts: dict[str, int] = {}
        self._lock = threading.RLock()  # an iterator may be collected while it is held
        self._under_way = 0
        self._written = 0

    def made(self, name: str, span: Span, index: int | None) -> None:
        """A call of `name` has ended."""
        now_ns = time.monotonic_ns()
        process, thread, begun_ns, ended_ns = span
        if begun_ns < self.begun_ns or ended_ns > now_ns:
            # Another machine's clock: all that is known here is how long it took.
            begun_ns, ended_ns = now_ns - (ended_ns - begun_ns), now_ns
            span = process, thread, max(begun_ns, self.begun_ns), ended_ns
        self._calls.append((span, name, index))

    def raised(self, name: str, error: BaseException, index: int | None) -> None:
        """A call has failed, as was heard just now."""
        died = error.pid if isinstance(error, WorkerDied | TaskTimeout) else None
        arguments: dict[str, Any] = {"call": _named(name, index), "error": _text(error)}
        if index is not None:
            arguments["index"] = index
        self._others.append(
            {
                "name": f"worker died: {type(error).__name__}" if died else type(error).__name__,
                "cat": "error",
                "ph": "i",
                "s": "p",
                "ts": self._us(time.monotonic_ns()),
                "pid": died or self._home[0],
                "tid": died or self._home[1],
                "args": arguments,
            }
        )

    def map_ended(self, name: str, lane: Lane, begun_ns: int, items: int) -> None:
        """A map has ended, or was left, with so many results."""
        self._others.append(
            {
                "name": f"map {name}",
                "cat": "map",
                "ph": "X",
                "ts": self._us(begun_ns),
                "dur": self._us(time.monotonic_ns()) - self._us(begun_ns),
                "pid": lane[0],
                "tid": lane[1],
                "args": {"results": items},
            }
        )

    def count(self, stats: dict[str, int]) -> None:
        """How many bytes were moved by now."""
        counts = {word: stats[name] for name, word in COUNTED.items() if name in stats}
        if counts and counts != self._counts:
            self._counts = counts
            self._others.append(
                {
                    "name": "bytes moved",
                    "ph": "C",
                    "ts": self._us(time.monotonic_ns()),
                    "pid": self._home[0],
                    "tid": self._home[1],
                    "args": counts,
                }
            )

    def events(self) -> Iterator[Event]:
        """All of it, as the format has it."""
        calls = sorted(self._calls, key=lambda call: call[0])
        others = list(self._others)
        yield from self._names({span[:2] for span, _, _ in calls}, others)
        busy_until: dict[Lane, int] = {}  # a call made within another ends before that
        for span, name, index in calls:
            process, thread, begun_ns, ended_ns = span
            lane = {"pid": process, "tid": thread}
            idle_ns = busy_until.get((process, thread), begun_ns)
            if begun_ns - idle_ns >= WAIT_NS:
                yield {"name": "wait", "cat": "wait", "ph": "X", **self._when(idle_ns, begun_ns),
                       **lane}  # fmt: skip
            yield {"name": _named(name, index), "cat": "task", "ph": "X",
                   **self._when(begun_ns, ended_ns), **lane,
                   "args": {} if index is None else {"index": index}}  # fmt: skip
            busy_until[process, thread] = max(idle_ns, ended_ns)
        yield from others

    def _names(self, lanes: set[Lane], others: list[Event]) -> Iterator[Event]:
        lanes = lanes | {(each["pid"], each["tid"]) for each in others} | {self._home}
        workers = sorted({process for process, _ in lanes} - {self._home[0]})
        for process in (self._home[0], *workers):
            is_own = process == self._home[0]
            name = "caller" if is_own else f"worker {workers.index(process) + 1}"
            yield _meta("process_name", process, 0, {"name": f"{name} ({process})"})
            yield _meta("process_sort_index", process, 0, {"sort_index": 0 if is_own else 1})
            threads = sorted({thread for other, thread in lanes if other == process})
            for number, thread in enumerate(threads):
                if (process, thread) == self._home:
                    name = "caller"
                elif is_own:
                    name = f"thread {number}"
                yield _meta("thread_name", process, thread, {"name": name})

    def _when(self, begun_ns: int, ended_ns: int) -> dict[str, float]:
        return {"ts": self._us(begun_ns), "dur": (ended_ns - begun_ns) / 1_000}

    def _us(self, at_ns: int) -> float:
        return (at_ns - self.begun_ns) / 1_000

    def follow(
        self,
        results: Iterator[Any],
        fn: Callable[..., Any],
        rung: RungExecutor,
        *,
        is_ordered: bool,
        is_whole: bool,
    ) -> Traced:
        """The results of a map of `Timed(fn)`, without their spans."""
        name = codec.name_of(fn)
        return Traced(results, self, name, rung, is_ordered=is_ordered, is_whole=is_whole)

    def write(self) -> None:
        """Makes the file, or makes it anew. What keeps it from that is a warning: the results are
        there. A forked copy of the process leaves the file to its parent.
        """
        if os.getpid() != self._home[0]:
            return
        with self._lock:
            self._written += 1
            self._write(_part(self.path, self._written))

    def write_again(self) -> None:
        """Makes it anew, if what has come now was too late for it."""
        if self._written:
            self.write()

    def _write(self, part: str) -> None:
        try:
            with open(part, "w", encoding="utf-8") as file:
                try:
                    file.write('{"displayTimeUnit": "ms", "traceEvents": [\n')
                    for number, event in enumerate(self.events()):
                        file.write(",\n" if number else "")
                        file.write(json.dumps(event))
                    file.write("\n]}\n")
                    file.flush()
                    os.replace(part, self.path)
                except BaseException:
                    os.unlink(part)
                    raise
        except OSError as error:
            warnings.warn(
                f"the trace `{self.path}` could not be written: {error.strerror}\n"
                "hint: see to the disk",
                RuntimeWarning,
                stacklevel=2,
            )

    def submit(
        self,
        rung: RungExecutor,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions | None,
    ) -> Future[Any]:
        """As the rung's `submit_call`; the call is in the trace."""
        inner = rung.submit_call(Timed(fn), args, kwargs, options)
        future = TracedFuture(inner)
        with self._lock:
            self._under_way += 1
        inner.add_done_callback(lambda done: self._on_end(done, future, codec.name_of(fn)))
        return future

    def _on_end(self, inner: Future[Any], future: TracedFuture, name: str) -> None:
        self._settle(inner, future, name)
        with self._lock:
            self._under_way -= 1
            is_last = self._under_way == 0
        if is_last:
            self.write_again()

    def _settle(self, inner: Future[Any], future: TracedFuture, name: str) -> None:
        if inner.cancelled():
            future.was_cancelled()
            return
        future.set_running_or_notify_cancel()
        error = inner.exception()
        if error is None:
            span, value = inner.result()
            self.made(name, span, None)
            future.set_result(value)
        else:
            self.raised(name, error, None)
            future.set_exception(error)


class TracedFuture(Future[object]):
    """The future of a call without its span; what is asked of it is asked of the call's own."""

    def __init__(self, inner: Future[Any]) -> None:
        super().__init__()
        self._inner = inner

    def cancel(self, **how: bool) -> bool:
        """As the call's own future has it."""
        return self._inner.cancel(**how)

    def running(self) -> bool:
        """Whether the call is being made."""
        return self._inner.running()

    def was_cancelled(self) -> None:
        """The call's own future was."""
        super().cancel()
        self.set_running_or_notify_cancel()


class Traced(Unroll):
    """The results of a map of a `Timed` function, whose spans go to the trace.

    Args:
        results: those of the rung.
        trace: where the spans go.
        name: the function's.
        rung: is asked for what was moved.
        is_ordered: results come in the order of the items.
        is_whole: the trace is this map's, to be written at its end.
    """

    _results: Any
    _trace: Trace
    _name: str
    _rung: RungExecutor
    _is_ordered: bool
    _is_whole: bool
    _items: int
    _lane: Lane
    _begun_ns: int

    def __new__(
        cls,
        results: Iterator[Any],
        trace: Trace,
        name: str,
        rung: RungExecutor,
        *,
        is_ordered: bool,
        is_whole: bool,
    ) -> Traced:
        made = super().__new__(cls)
        made._results = results
        made._trace = trace
        made._name = name
        made._rung = rung
        made._is_ordered = is_ordered
        made._is_whole = is_whole
        made._items = 0
        made._lane = os.getpid(), threading.get_native_id()
        made._begun_ns = trace.begun_ns if is_whole else time.monotonic_ns()
        return made

    def refill(self) -> list[Any] | None:
        """The next results, the last one first; None at the end. Raises an item's exception."""
        results = self._results
        if results is None:
            return None
        try:
            block: Any = results.refill() if isinstance(results, Unroll) else _one(results)
            if block is None:
                self._end()
                return None
            for at in range(len(block) - 1, -1, -1):
                block[at] = self._value(block[at])
            self._trace.count(self._rung.stats())
            return block  # type: ignore[no-any-return]
        except Exception as error:
            self._heard(error)
            del self, results  # the traceback must not keep the iterator alive
            raise
        except BaseException:
            self._end()
            del self, results
            raise

    def _value(self, result: Any) -> Any:
        if isinstance(result, BaseException):
            self._heard(result)
            return result
        span, value = result
        self._trace.made(self._name, span, self._next_index())
        return value

    def _heard(self, error: BaseException) -> None:
        if _is_of_a_call(error):
            self._trace.raised(self._name, error, self._next_index())
        else:
            self._trace.raised(f"map {self._name}", error, None)

    def _next_index(self) -> int | None:
        index = self._items
        self._items += 1
        return index if self._is_ordered else None

    def close(self) -> None:
        """Gives up what has not started."""
        close = getattr(self._results, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._end()

    def _end(self) -> None:
        results, self._results = self._results, None
        if results is not None:
            self._trace.count(self._rung.stats())
            self._trace.map_ended(self._name, self._lane, self._begun_ns, self._items)
            if self._is_whole:
                self._trace.write()
            else:
                self._trace.write_again()

    def __del__(self) -> None:
        if vars(self).get("_results") is not None:
            self._end()


def _is_of_a_call(error: BaseException) -> bool:
    """Whether an item's call raised it; else it was the iterable, or the map itself."""
    if isinstance(error, WorkerDied | TaskTimeout | TransportError):
        return True
    return any("in allcores task" in str(note) for note in getattr(error, "__notes__", ()))


def _text(error: BaseException) -> str:
    """What it says; whatever its own code does, the trace goes on."""
    try:
        return str(error)
    except Exception:
        return "<its text could not be made>"


def _one(results: Iterator[Any]) -> list[Any] | None:
    for value in results:
        return [value]
    return None


def _named(name: str, index: int | None) -> str:
    return name if index is None else f"{name}[{index}]"


def _meta(kind: str, process: int, thread: int, arguments: dict[str, Any]) -> Event:
    return {"name": kind, "ph": "M", "ts": 0, "pid": process, "tid": thread, "args": arguments}


def _check(path: str) -> None:
    """Raises if no file could be made there."""
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(errno.EINVAL, "a device or a pipe would be replaced by a file")
        with open(_part(path, 0), "w"):
            os.unlink(_part(path, 0))
    except OSError as error:
        raise OSError(
            error.errno,
            f"no trace could be written to `{path}`: {error.strerror}\n"
            "hint: the name of a file in a folder that may be written to",
        ) from None


def _part(path: str, number: int) -> str:
    """The file's name while it is being written for the `number`th time."""
    return f"{path}.{os.getpid()}.{number}.part"
