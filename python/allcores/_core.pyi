"""The engine of allcores, as Python sees it.

Whatever is made here belongs to the process that made it: in a forked child each method
raises `RuntimeError`. Seconds may be below zero (at once) or None (for ever).
"""

from typing import Any, Final, final

__all__ = [
    "CANCELLED",
    "FAILED",
    "FORGET",
    "FUNCTION",
    "Pool",
    "Port",
    "Slot",
    "mark_forked",
]

FAILED: Final[int]
"""The tag of an outcome that is a failure of the pool."""
CANCELLED: Final[int]
"""The tag of an outcome that is a cancellation."""
FUNCTION: Final[int]
"""The tag of a message that brings a function."""
FORGET: Final[int]
"""The tag of a message that takes a function away."""

def mark_forked() -> None:
    """Says that this process is a fresh fork; everything made before is not at home in it."""

@final
class Pool:
    """The parent's side: batches in, slots out. Starts no process itself."""

    def __new__(
        cls,
        max_workers: int,
        *,
        max_tasks_per_worker: int | None = None,
        replace_lost: bool = False,
        stream: bool = False,
    ) -> Pool: ...
    def submit(self, function: int | None, tag: int, count: int, payload: bytes) -> Slot:
        """Gives a batch to the pool; `RuntimeError` when it is shut down or broken."""

    def start_all_at_once(self) -> None:
        """Has all workers started with the first batch instead of one by one."""

    def check_open(self) -> None:
        """Raises what `submit` would raise."""

    def register(self, function: bytes) -> int:
        """Keeps a function's bytes and returns its number."""

    def forget(self, function: int) -> None:
        """No batch will name that function any more."""

    def batch_size(self, function: int | None, remaining: int | None) -> int:
        """How many items the next batch of a map should hold."""

    def workers_wanted(self) -> int:
        """How many workers should be started now; asking takes the number away."""

    def open_link(self) -> tuple[int, int] | None:
        """A new worker's number and the descriptor for its process; None: none is wanted."""

    def worker_started(self, worker: int, pid: int) -> None:
        """The process of that worker runs under this id."""

    def start_failed(self, worker: int) -> None:
        """The process of that worker could not be started."""

    def start_collector(self) -> None:
        """Starts the thread that listens to the workers."""

    def shut_down(self, cancel_pending: bool) -> None:
        """Accepts no more batches; cancels those that have not started, if asked to."""

    def join(self, timeout: float | None = None) -> bool:
        """Waits until all workers have gone; whether they have."""

    def end_workers(self, kill: bool) -> None:
        """Signals every worker: SIGKILL if `kill`, else SIGTERM."""

    def control_fds(self) -> list[int]:
        """The control sockets, which no forked child may keep open."""

    def broken(self) -> tuple[str, int, str] | None:
        """Why the pool is broken: `(kind, worker, words)`."""

    def start_failure(self) -> bytes | None:
        """What a worker that could not get ready said of the reason."""

    def listen(self) -> None:
        """From now on notices about workers are kept, too."""

    def next_notice(self, timeout: float | None = None) -> tuple[str, int] | None:
        """The next `(kind, number)`; None when the time is up."""

    def counts(self) -> dict[str, int]:
        """What has been counted so far."""

@final
class Slot:
    """Where the outcome of one batch appears. Made by `Pool.submit`."""

    @property
    def id(self) -> int:
        """The number of the batch."""

    def done(self) -> bool:
        """Whether the batch is over."""

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the batch is over; whether it is."""

    def take(self) -> tuple[int, Any] | None:
        """The outcome, once; None before the end and when it has been taken.

        `(tag, bytes)`, `(FAILED, (kind, worker, words))` or `(CANCELLED, None)`.
        """

    def cancel(self) -> bool:
        """Keeps the batch from starting; False when it has started or is over."""

    def running(self) -> bool:
        """Whether a worker is running the batch now."""

    def watch(self) -> bool:
        """Asks for a notice when the batch is over; False when it is over already."""

@final
class Port:
    """A worker's end of its link."""

    def __new__(cls, control: int, stream: bool) -> Port: ...
    def fileno(self) -> int:
        """The control socket's descriptor, which no forked child may keep open."""

    def ready(self) -> None:
        """Says that this worker takes work."""

    def start_failed(self, why: bytes) -> None:
        """Says that this worker could not get ready, and why."""

    def next(self) -> tuple[int | None, int, int, bytes | Any] | None:
        """The next `(function, tag, count, payload)`; None when it is time to leave.

        A batch has a tag that is not negative, `FUNCTION` brings bytes, and `FORGET` has
        None for a payload (hence `Any`: the tag says which it is).
        """

    def reply(self, tag: int, payload: bytes) -> None:
        """Answers the batch that the last `next` returned."""
