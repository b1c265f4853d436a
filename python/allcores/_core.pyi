"""The engine of allcores, as Python sees it.

Whatever is made here belongs to the process that made it: in a forked child each method
raises `RuntimeError`. Seconds may be below zero (at once) or None (for ever).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Self, final

from typing_extensions import disjoint_base

__all__ = [
    "CANCELLED",
    "FAILED",
    "FORGET",
    "FUNCTION",
    "PARTS",
    "Alarm",
    "Brake",
    "Buffer",
    "Delivery",
    "Feed",
    "Known",
    "Lookout",
    "Pool",
    "Port",
    "Program",
    "Shipment",
    "Slot",
    "Tally",
    "Unroll",
    "Verdict",
    "Walk",
    "Watch",
    "advise",
    "command",
    "is_plain",
    "is_ready",
    "mark_forked",
    "names_main",
    "note_fork",
    "plain_call",
    "scalars_in",
    "thread_numbers",
    "waited_ns",
]

FAILED: Final[int]
"""The tag of an outcome that is a failure of the pool."""
CANCELLED: Final[int]
"""The tag of an outcome that is a cancellation."""
PARTS: Final[int]
"""The tag of an outcome that came in several parts."""
FUNCTION: Final[int]
"""The tag of a message that brings a function."""
FORGET: Final[int]
"""The tag of a message that takes a function away."""

def command(arguments: list[str], host: object) -> int:
    """Does what the arguments of the command line (without the program's name) say, with a
    `command.host.Host` for what needs Python; the exit code.
    """

@final
class Feed:
    """The records of a run on their way to the pool."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...

@final
class Alarm:
    """Calls `ring()` on a thread of its own when `seconds` have passed, and again after as many
    seconds as it says; None is the end.
    """

    def __new__(cls, seconds: float, ring: Callable[[], float | None]) -> Alarm: ...
    def stop(self) -> None:
        """Calls it off, or waits until it is over."""

@final
class Lookout:
    """Sees on a thread of its own, without the interpreter, that a block takes long. It looks
    once in `look_s` seconds, or in 1 / `share` of the work so far, `done_ns` nanoseconds of it done
    before, if that is more. When a block is as old as that `ring(nanoseconds)` is called there with
    its age; it returns the age at which to call again, None for never. Without a block for
    `idle_s` seconds, and in a forked child, it `has_ended`; `stop` may `wait` for its thread.
    """

    def __new__(
        cls,
        ring: Callable[[int], float | None],
        done_ns: int,
        look_s: float,
        share: float,
        idle_s: float,
    ) -> Lookout: ...
    def block_begins(self) -> None: ...
    def block_ended(self) -> None: ...
    @property
    def has_ended(self) -> bool: ...
    def look_s(self) -> float: ...
    def stop(self, wait: bool) -> None: ...

@final
class Known:
    """Objects that were registered, known by their identity; whoever enters one sees to it that it
    is discarded before it has gone.
    """

    def __new__(cls) -> Known: ...
    def enter(self, known: object, number: int, bases: tuple[Any, ...] | None = None) -> None:
        """`known` has that number; an array with `bases` only while none of them is writable."""

    def discard(self, address: int) -> None:
        """The object with this `id` is not known any more."""

def plain_call(
    args: tuple[Any, ...], kwargs: dict[str, Any], known: Known | None = None
) -> bytes | Shipment | None:
    """The pickle of `(args, kwargs)`, if all of it is plain and small: None, bools, ints of 64
    bits, floats, short strings and bytes, tuples of these; or known; or if all there is is a small
    array of numpy, or bytes. None if it is not.
    """

def is_plain(value: object, lasting: bool) -> bool:
    """Whether the value is made of exactly None, bools, ints, floats, strings, bytes, and tuples of
    these; and, unless it has to be `lasting`, of lists and dictionaries.
    """

def is_ready(thread: int) -> bool:
    """Whether a thread of this process, by its native number, has a core or waits for one, as far
    as that is known. Does not let go of the interpreter's lock.
    """

def thread_numbers() -> list[int]:
    """The native numbers of all threads of this process; none where nobody knows."""

def waited_ns(thread: int) -> int:
    """Nanoseconds that a thread of this process, by its native number, has waited for a core; 0
    where nobody knows. Does not let go of the interpreter's lock.
    """

def names_main(data: bytes) -> bool:
    """Whether the bytes hold the name of the main module, `__main__` or `__mp_main__`."""

def note_fork() -> None:
    """To be called before this process forks: what is mapped now stays as it is for the child."""

_Loose = bytes | tuple[list[Any], list[memoryview], list[int]]
"""Bytes; or the chunks of a stream, the buffers beside it, the numbers that it needs."""

@final
class Shipment:
    """A pickled value with its large buffers, as they were when this was made."""

    def __new__(
        cls, chunks: Iterable[Any], buffers: Iterable[Any], needs: list[int] = ...
    ) -> Shipment:
        """`needs` are the numbers of registered values that its reader must have."""

    @property
    def contents(self) -> list[int]:
        """A number for what each of its large buffers holds: as long as this is there, the same
        number means the same bytes. 0 where nobody knows.
        """

    def is_same(self, other: Shipment) -> bool:
        """Whether the other one holds the same."""

    @property
    def written(self) -> int:
        """How many bytes of large buffers had to be written."""

    @property
    def saved(self) -> int:
        """How many bytes of large buffers were there already, from an earlier shipment."""

    @property
    def nbytes(self) -> int:
        """How many bytes it has in all."""

@final
class Delivery:
    """A pickled value that has arrived with large buffers."""

    def open(self) -> tuple[memoryview, list[memoryview]]:
        """The stream, and the buffers beside it: memory of this process's own, new at each call."""

    def stream(self) -> memoryview:
        """The stream alone."""

    def after(self, start: int) -> Delivery:
        """The same with a stream that starts later."""

    @property
    def nbytes(self) -> int:
        """How many bytes arrived beside the letter."""

@final
class Buffer:
    """A large buffer that has arrived: memory of this process's own, to be read and written."""

    def __len__(self) -> int: ...
    @property
    def is_mapped(self) -> bool:
        """Whether nothing was copied."""

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
    def submit(
        self,
        function: int | None,
        tag: int,
        count: int,
        payload: bytes | Shipment,
        limit: float | None = None,
        retries: int = 0,
        retry_timeouts: bool = False,
    ) -> Slot:
        """Gives a batch to the pool; `RuntimeError` when it is shut down or broken.

        One item may run `limit` seconds. It is run again at most `retries` times if its worker
        dies and, with `retry_timeouts`, if its limit passes.
        """

    def start_all_at_once(self) -> None:
        """Has all workers started with the first batch instead of one by one."""

    def check_open(self) -> None:
        """Raises what `submit` would raise."""

    def register(self, function: bytes | Shipment) -> int:
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

    def rest(self) -> None:
        """Ends that thread, while there is nothing to do."""

    def dismiss(self) -> None:
        """The notices that are left end with one that says so."""

    def let_go(self) -> None:
        """It has finished: lets go of memory that was kept for batches to come."""

    def shut_down(self, cancel_pending: bool) -> None:
        """Accepts no more batches; cancels those that have not started, if asked to."""

    def join(self, timeout: float | None = None) -> bool:
        """Waits until all workers have gone; whether they have."""

    def end_workers(self, kill: bool) -> None:
        """Signals every worker: SIGKILL if `kill`, with all it has started; else SIGTERM."""

    def end(self) -> None:
        """Ends everything at once: all batches fail with the kind `ended`, workers are killed."""

    def peak_memory(self, worker: int) -> int | None:
        """The most memory in bytes that a worker, alive or lost, has said to have had."""

    def control_fds(self) -> list[int]:
        """The control sockets, which no forked child may keep open."""

    def broken(self) -> tuple[str, int, str] | None:
        """Why the pool is broken: `(kind, worker, words)`."""

    def start_failure(self) -> bytes | None:
        """What a worker that could not get ready said of the reason."""

    def listen(self) -> None:
        """From now on notices about workers are kept, too."""

    def next_notice(
        self, timeout: float | None = None
    ) -> tuple[str, int] | tuple[Literal["said"], int, bytes] | None:
        """The next `(kind, number)`, or `("said", worker, words)`; None when the time is up."""

    def counts(self) -> dict[str, int]:
        """What has been counted so far."""

@disjoint_base
class Slot:
    """Where the outcome of one batch appears; the base of `Future`.

    What may wait or change something needs the pool that the batch was given to.
    """

    def __new__(
        cls,
        pool: Pool | None = None,
        function: int | None = None,
        tag: int = 0,
        count: int = 1,
        payload: bytes | Shipment | None = None,
        limit: float | None = None,
        retries: int = 0,
        retry_timeouts: bool = False,
    ) -> Self:
        """Gives a batch to the pool, as `Pool.submit` does; without one, a slot that nothing stands
        behind and nobody may ask.
        """

    @property
    def slot_id(self) -> int:
        """The number of the batch."""

    def slot_done(self) -> bool:
        """Whether the batch is over."""

    def slot_wait(self, pool: Pool, timeout: float | None = None) -> bool:
        """Waits until the batch is over; whether it is."""

    def slot_wait_or_few(
        self, pool: Pool, tally: Tally, few: int, timeout: float | None = None
    ) -> bool:
        """The same, or until fewer than `few` of `tally`, which counts the batch, are under way;
        whether either is so.
        """

    def slot_take(self) -> tuple[int, Any] | None:
        """The outcome, once; None before the end and when it has been taken.

        `(tag, bytes)`, `(FAILED, (kind, worker, words, payload, limit))`, `(CANCELLED, None)` or,
        for a careful batch that was run piece by piece, `(PARTS, [(start, tag, bytes or (kind,
        worker, words)), …])` by ascending start: with the tag `FAILED` the one item at `start`
        failed. The payload and the seconds allowed of a batch that a worker ended over are there if
        they are known, else None.
        """

    def slot_settled(self, tag: int, state: str) -> tuple[str, None, Any] | None:
        """The value of a batch that is over, as `(state, None, value)`, if its answer has this
        `tag` and is plain and small, or a lone array; else None, and the outcome stays where it is.
        """

    def slot_clear(self) -> None:
        """Drops the outcome."""

    def slot_cancel(self, pool: Pool) -> bool:
        """Keeps the batch from starting; False when it has started or is over."""

    def slot_stop(self, pool: Pool) -> bool:
        """As `slot_cancel`, and ends a batch that runs; False when it is over.

        The worker that runs it is killed with all it has started, and replaced.
        """

    def slot_running(self, pool: Pool) -> bool:
        """Whether a worker is running the batch now."""

    def slot_watch(self) -> bool:
        """Asks for a notice when the batch is over; False when it is over already."""

    def slot_count(self, tally: Tally) -> None:
        """Counts the batch in `tally` until it is over."""

@final
class Tally:
    """How many batches of somebody are under way."""

    def __new__(cls) -> Tally: ...
    def under_way(self) -> int:
        """How many are under way."""

    def wait_below(self, few: int, timeout: float | None = None) -> bool:
        """Waits until fewer than `few` are under way; whether so few are."""

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

    def next(self) -> tuple[int | None, int, int | None, bytes | Any] | None:
        """The next `(function, tag, start, payload)`; None when it is time to leave.

        A batch has a tag that is not negative, `FUNCTION` brings bytes, and `FORGET` has
        None for a payload (hence `Any`: the tag says which it is). A start that is not None
        makes the batch a careful one: only the items from there up to `stop` are to be run.
        """

    def serve(
        self,
        functions: dict[int | None, Callable[..., Any]],
        tags: tuple[int, int, int, int],
        failed: Callable[[BaseException, Callable[..., Any], tuple[Any, ...]], tuple[int, _Loose]],
        dumped: Callable[[Any, Callable[..., Any], tuple[Any, ...]], tuple[int, _Loose]],
        continued: Callable[
            [Callable[..., Any], Any, list[Any], Any, BaseException | None], tuple[int, _Loose]
        ],
    ) -> tuple[int | None, int, int | None, bytes | Any] | None:
        """Makes the calls of registered functions whose arguments are plain, until there is
        something else to do, which it returns as `next` does.

        `functions` has them by number, `tags` are those of a call, of a chunk, of a value and of
        the values of a chunk. `failed(error, function, args)` and `dumped(value, function, args)`
        give the answer for a call that raised and for a value that is not plain;
        `continued(function, payload, values, value, error)` that for a chunk whose first items
        gave `values`, and the next one `value` or `error`.
        """

    @property
    def stop(self) -> int:
        """The end of the items that are to be run of the current careful batch."""

    def walk(self, items: list[Any]) -> Walk:
        """Iterates over those items, noting which one runs; see `Walk`."""

    def part(self, tag: int, payload: _Loose) -> None:
        """Hands over the results since the last part, of the newest item of `walk` too."""

    def reply(self, tag: int, payload: _Loose) -> None:
        """Answers the batch that the last `next` returned, with the results since the last part."""

    def retire(self) -> None:
        """Says, between two batches, that this worker takes nothing more and may be replaced."""

    def say(self, payload: bytes) -> None:
        """Words for the parent, in order with the answers: its notice `said`."""

@final
class Walk(Iterator[Any]):
    """The items of a careful batch that are to be run. Made by `Port.walk`.

    The iteration pauses when a part is due: hand it over and iterate on, until `is_over`.
    """

    def __iter__(self) -> Walk: ...
    def __next__(self) -> Any: ...
    @property
    def position(self) -> int:
        """The position of the newest item."""

    @property
    def is_over(self) -> bool:
        """Whether there are no more items."""

@disjoint_base
class Unroll:
    """An iterator over the items of one list after another; subclasses say which.

    No reference is kept to an item that was handed out.
    """

    def __new__(cls) -> Self: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def refill(self) -> list[Any] | bytes | None:
        """The next items, the last one first; None at the end. Subclasses say which.

        Also the pickle of a list that `scalars_in` knows: then the first one first.
        """

def scalars_in(pickled: bytes) -> int | None:
    """How many items the pickled list has, if it is one of scalars; else None."""

@final
class Verdict:
    """Which rung of the ladder the adviser chose, and why. Made by `advise`."""

    @property
    def rung(self) -> str:
        """The chosen rung."""

    @property
    def predictions(self) -> list[tuple[str, list[tuple[str, float]]]]:
        """Predicted seconds for what is left, as pairs of a rung and its terms, the fastest first.

        Each term is a pair of its name and its seconds; the last one is `total`.
        """

    @property
    def leverage(self) -> tuple[float, float, float]:
        """Seconds of computing per second of moving data: of the item in the middle, and what a
        tenth of the items are below and above.
        """

    @property
    def reason(self) -> str:
        """The choice in one line."""

    @property
    def reasons(self) -> list[str]:
        """The choice, and why not the others, a line each."""

    @property
    def refusals(self) -> list[tuple[str, str]]:
        """Rungs that were ruled out, each with the name of its reason."""

    @property
    def warnings(self) -> list[str]:
        """What else the user should know, a clause each."""

def advise(
    measured: Mapping[str, Any], machine: Mapping[str, Any], excluded: Sequence[tuple[str, str]]
) -> Verdict:
    """The fastest rung for what is left of a function's items.

    `measured` and `machine` are dictionaries of numbers (`ladder.probe`, `ladder.machine`);
    `excluded` has pairs of a rung and the name of a refusal. Raises `ValueError` for a name that is
    not known.
    """

@final
class Watch:
    """Has machine code of this process look up now and then, for a Ctrl-C."""

    def __new__(cls) -> Watch: ...

@final
class Brake:
    """Stops calls of machine code that were given it."""

    def __new__(cls) -> Brake: ...
    def pull(self) -> None:
        """Stops what runs, and what begins; such calls raise `InterruptedError`."""

@final
class Program:
    """A function as `native.lower` has written it, with its machine code for each kind of
    arguments. What has no machine code, or is left by it, comes back as `left`.
    """

    def __new__(cls, code: bytes) -> Program: ...
    def call(
        self,
        arguments: tuple[Any, ...],
        watch: Watch,
        depth: int,
        left: object,
        brake: Brake | None = None,
        periods: int | None = None,
    ) -> Any:
        """The result for one item, or `left`. Raises `InterruptedError` when the brake is pulled,
        `TimeoutError` when so many periods of 50 ms have passed.
        """

    def batch(
        self,
        items: list[tuple[Any, ...]],
        watch: Watch,
        depth: int,
        threads: int,
        left: object,
        brake: Brake | None = None,
    ) -> list[Any]:
        """The results of many items, `left` where there is none. Raises `InterruptedError` when the
        brake is pulled.
        """

    def compile(self, arguments: tuple[Any, ...]) -> tuple[str, str | None, int, int] | None:
        """The name of the result's type for such arguments, or why there is no machine code: in
        words, by name, with line and column. None for arguments that have no words.
        """

    def machines(self) -> list[tuple[str, tuple[str, str | None, int, int]]]:
        """What was compiled: the types of the arguments, and as `compile` has it."""

    def counts(self) -> tuple[int, dict[str, int]]:
        """How many items were run, and how many were left to Python, by reason."""
