"""What a function costs, measured on items that are run anyway.

Nothing is run for the measurement alone: the first items of a map run in the caller, in blocks with
one look at the clocks each, and their results are the map's. What an item's arguments and result
weigh is found by pickling those of the last block, once, when a decision is near.

What is measured must not become slower by it. The built-in `sum` is not used here, nor where else
the caller's items run. A single `sum(counts.values())` made each later `sum` over a list in the
user's function take 15 to 22 % longer, several of other kinds up to 40 %, for long (an AMD EPYC,
CPython 3.11): most likely the processor predicts its call of the iterator best while that goes to
one kind only. `math.fsum` has a call of its own.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import fsum, inf

from .._core import is_plain, waited_ns
from ..pool.codec import Encoder
from . import recognise
from .clock import cpu_clock
from .watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BUSY = 0.95
"""Who computes for so much of the time has waited for nothing to speak of, nor for a core."""
BLOCKS_KEPT = 24
"""Blocks whose durations count: what was long ago says less."""
SHORT_NS = 100_000
MOST_PICKLED = 32
"""Items of a block that are pickled to find out what that takes."""
MOST_WEIGHING = 0.02
"""Items are pickled again only while that has taken no larger share of the work."""
PICKLING = (
    "function_pickle_ns",
    "pickle_ns",
    "unpickle_ns",
    "result_pickle_ns",
    "result_unpickle_ns",
)
LIGHT = 100_000
"""Bytes; a function that weighs less holds nothing to speak of."""
STREAMED = 0.5
"""The share of pickling that it takes where nothing is kept of it."""
BRIEF = 1_000
"""Bytes; what has fewer is pickled twice, as the first time says more about cold caches."""
LARGE = 1_000_000
"""Bytes; what has so many is not pickled to find out how long that takes."""
PART = 2_048
"""So many elements say what a long list of plain values weighs."""
COPIED_BYTES_A_NS = 4.0


class Unpicklable(Exception):
    """What can't be pickled; its argument names the refusal as the adviser does."""


class Probe:
    """Measures one function.

    Attributes:
        done: items that have run in the caller.
        wall_ns: what they took, without those for which the function compiled itself first.
        expected_ns: what an item took in an earlier map, while nothing is known of this one.
        is_weighed: whether it is known what the function weighs.
        free_share: of their time, in which the interpreter's lock was free; None if nobody has
            looked.
        beside: how many times as long an item takes while another runs in a second thread; None if
            that was not tried.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._fn = fn
        self._clock = cpu_clock()
        self._kinds_compiled = recognise.kinds_compiled(fn)
        self.done = 0
        self.wall_ns = 0
        self.expected_ns = 0.0
        self._thread = threading.get_native_id()
        self._delay_ns = waited_ns(self._thread)
        self._blocks: deque[tuple[int, int, int]] = deque(maxlen=BLOCKS_KEPT)
        self._busy: tuple[int, int, float] | None = None
        self._sample: tuple[list[Any], list[Any]] | None = None
        self.free_share: float | None = None
        self.beside: float | None = None
        self._weight: dict[str, float] = {}
        self._weighing_ns = 0
        self._function_bytes = 0.0
        self._tried_ns = 0.0
        self.is_weighed = False

    def run(self, args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
        """Runs an item under measurement; its value, or what it raised."""
        cpu_ns, begun_ns = self._clock(), time.perf_counter_ns()
        value, error = None, None
        try:
            value = self._fn(*args)
        except Exception as raised:
            error = raised
        wall_ns = time.perf_counter_ns() - begun_ns
        self.on_block([args], [value], error is not None, wall_ns, self._clock() - cpu_ns)
        return value, error

    def on_block(
        self, items: list[Any], values: list[Any], failed: bool, wall_ns: int, cpu_ns: int
    ) -> None:
        """These items ran, in that time."""
        self.done += len(items)
        if not self._has_compiled():
            self.wall_ns += wall_ns
            self._blocks.append((len(items), wall_ns, cpu_ns))
        if failed or len(values) != len(items):
            return
        # A list of results is handed out from its end; what is kept here is another. And no longer
        # than it is needed: large results that are kept are memory that is not used again.
        is_kept = self._may_weigh()
        self._sample = (items[-MOST_PICKLED:], values[-MOST_PICKLED:]) if is_kept else None

    def on_pair(self, count: int, wall_ns: int, item_ns: float) -> None:
        """So many items ran in two threads at a time; an item took so long in its own."""
        self.done += count
        self.wall_ns += wall_ns
        # First calls are slow, with what a library or a cache has to get ready; the pair is not.
        alone_ns = sorted(self._items_ns())
        usual_ns = alone_ns[(len(alone_ns) - 1) // 2] if alone_ns else item_ns
        self.beside = max(item_ns / max(min(usual_ns, self.item_ns()), 1.0), 1.0)

    @contextmanager
    def as_if_ended(self, count: int, wall_ns: int, busy: float) -> Iterator[None]:
        """Meanwhile a block of so many items, which still runs and keeps so many cores busy, counts
        as one that took so long, unless it may well end in time.
        """
        before = self._blocks.copy(), self.done, self.wall_ns
        if wall_ns > count * self.item_ns():
            self._blocks.append((count, wall_ns, int(busy * wall_ns)))
            self.done += count
            self.wall_ns += wall_ns
        try:
            yield
        finally:
            self._blocks, self.done, self.wall_ns = before

    @property
    def has_repeated(self) -> bool:
        """Whether more than one block was measured."""
        return len(self._blocks) > 1

    def will_compile(self) -> bool:
        """Whether the next call compiles, or may."""
        return self._kinds_compiled == 0

    def _has_compiled(self) -> bool:
        """Whether the last calls compiled: what they took says nothing of the next ones."""
        before, self._kinds_compiled = self._kinds_compiled, recognise.kinds_compiled(self._fn)
        return before != self._kinds_compiled

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Items that run meanwhile show whether they leave the interpreter's lock free."""
        watch = Watch()
        try:
            yield
        finally:
            share = watch.stop()
            if share is not None:
                self.free_share = share

    def item_ns(self) -> float:
        """What an item takes, by the last blocks; before the first, what is expected."""
        return fsum(found) / len(found) if (found := self._items_ns()) else self.expected_ns

    def _items_ns(self) -> list[float]:
        """What an item took in each of the last blocks, but for those that were so short that they
        say more about what a block takes.
        """
        most = max((count for count, _, _ in self._blocks), default=0)
        return [
            wall_ns / count
            for count, wall_ns, _ in self._blocks
            if wall_ns >= SHORT_NS or 4 * count >= most
        ]

    def busy_cores(self) -> float:
        """Cores that are busy while an item runs, on average; time in which it waited for a core,
        as others on the machine had them, is left out.
        """
        known = self._busy
        if known is None or known[:2] != (self.done, self.wall_ns):
            known = self._busy = self.done, self.wall_ns, self._busy_cores()
        return known[2]

    def _busy_cores(self) -> float:
        wall_ns = fsum(wall for _, wall, _ in self._blocks)
        if not wall_ns:
            return 1.0
        busy = fsum(cpu for _, _, cpu in self._blocks) / wall_ns
        _, last_ns, cpu_ns = self._blocks[-1]
        if last_ns >= SHORT_NS and cpu_ns > last_ns:
            # A numerical library starts its threads in the first calls.
            busy = max(busy, cpu_ns / last_ns)
        if busy >= BUSY:
            return busy
        waited = (waited_ns(self._thread) - self._delay_ns) / max(self.wall_ns, 1)
        if not 0.0 < waited < 1.0 - busy / 2:
            return busy
        # What was waited between the blocks is among it.
        return min(busy / (1.0 - waited), 1.0)

    def weigh(self) -> None:
        """Pickles the function, and a sample of arguments and results. Raises `Unpicklable`."""
        self.weigh_function()
        self.weigh_data()

    def weigh_function(self, most_ns: float = inf) -> None:
        """Pickles the function, if that was not done; for so long at most, then its weight is what
        was found until then, and looked for again when it may take twice as long. Raises
        `Unpicklable`.
        """
        if self.is_weighed or most_ns < 2 * self._tried_ns:
            return
        self._tried_ns = most_ns
        size, spent_ns = _weight_of_function(self._fn, most_ns)
        self.is_weighed = spent_ns < most_ns
        self._function_bytes = float(size)
        # It compiles itself anew in each process.
        self._weight["function_pickle_ns"] = spent_ns + recognise.compile_s(self._fn) * 1e9

    def is_light(self) -> bool:
        """Whether the function is known to be one that is sent at once."""
        return self.is_weighed and self._function_bytes < LIGHT

    def weigh_data(self) -> None:
        """Pickles a sample of arguments and results, if that was not done since the last block and
        does not take a noticeable share of the work. Raises `Unpicklable`.
        """
        if self._sample is None or not self._may_weigh():
            return
        items, values = self._sample
        self._sample = None
        begun_ns = time.perf_counter_ns()
        try:
            self.weigh_arguments(items)
            size, spent_ns, back_ns = _weight(values, "unpicklable_result")
        finally:
            self._weighing_ns += time.perf_counter_ns() - begun_ns
        self._weight["result_bytes"] = size / len(values)
        self._weight["result_pickle_ns"] = spent_ns / len(values)
        self._weight["result_unpickle_ns"] = back_ns / len(values)

    def _may_weigh(self) -> bool:
        return self._weighing_ns <= MOST_WEIGHING * self.wall_ns

    def item_bytes(self) -> float:
        """What an item's arguments and result weigh, as far as is known."""
        return self._weight.get("argument_bytes", 0.0) + self._weight.get("result_bytes", 0.0)

    def weigh_arguments(self, items: list[Any]) -> None:
        """Pickles the arguments of these items. Raises `Unpicklable`."""
        size, spent_ns, back_ns = _weight(items, "unpicklable_argument")
        self._weight["argument_bytes"] = size / len(items)
        self._weight["pickle_ns"] = spent_ns / len(items)
        self._weight["unpickle_ns"] = back_ns / len(items)

    @property
    def last(self) -> tuple[list[Any], list[Any]] | None:
        """Items of the last block with their results, unless they have been weighed since."""
        return self._sample

    def forget(self) -> None:
        """What comes may be different: durations are measured anew."""
        self._blocks.clear()
        self._busy = None

    def lighten(self) -> None:
        """Lets go of the items and results that were kept to be weighed."""
        self._sample = None

    def measured(self, left: int | None) -> dict[str, Any]:
        """What `_core.advise` takes, for that many items to come (None: nobody knows)."""
        busy, free = self.busy_cores(), self.free_share
        if free is not None:
            busy = max(busy, 1.0 - free)
        return {
            "wall_ns": self._items_ns(),
            "done": self.done,
            "left": left,
            "busy_cores": busy,
            "free_share": max(1.0 - busy, 0.0) if free is None else free,
            "argument_bytes": self._weight.get("argument_bytes", 0.0),
            "result_bytes": self._weight.get("result_bytes", 0.0),
            "function_bytes": self._function_bytes,
            **{name: self._weight.get(name, 0.0) for name in PICKLING},
            "beside": self.beside or 1.0,
            "native_ns": None,
            "native_left": 0.0,
        }


class _TooHeavy(Exception):
    """What is pickled has taken its time."""


class _Scale:
    """A file for a pickler, who writes each 64 KiB, that is full after so long a time."""

    def __init__(self, most_ns: float) -> None:
        self._until_ns = time.perf_counter_ns() + most_ns
        self.size = 0

    def write(self, data: Any) -> int:
        self.size += (size := memoryview(data).nbytes)
        if time.perf_counter_ns() > self._until_ns:
            raise _TooHeavy
        return size

    def put(self, buffer: pickle.PickleBuffer) -> None:
        """Takes a large buffer, beside the pickle."""
        self.size += buffer.raw().nbytes


def _weight_of_function(fn: Callable[..., Any], most_ns: float) -> tuple[int, float]:
    """The bytes of a function when pickled, and the nanoseconds that this takes where nothing is
    kept; of what takes more than `most_ns`, what there was by then.
    """
    begun_ns = time.perf_counter_ns()
    scale = _Scale(most_ns)
    try:
        try:
            pickle.Pickler(scale, 5, buffer_callback=scale.put).dump(fn)
        except _TooHeavy:
            raise
        except Exception:
            # By value, then; what it holds is the most of that.
            for each in _held_by(fn):
                with suppress(pickle.PicklingError, AttributeError, TypeError):
                    pickle.Pickler(scale, 5, buffer_callback=scale.put).dump(each)
            size, spent_ns, _ = _weight(fn, "unpicklable_function")
            return size, spent_ns * STREAMED
    except _TooHeavy:
        pass
    return scale.size, float(time.perf_counter_ns() - begun_ns)


def _held_by(fn: Callable[..., Any]) -> Iterator[Any]:
    """What a function's closure and defaults hold."""
    for cell in getattr(fn, "__closure__", None) or ():
        with suppress(ValueError):  # it is empty
            yield cell.cell_contents
    yield from getattr(fn, "__defaults__", None) or ()


def _weight(value: Any, refusal: str) -> tuple[int, float, float]:
    """The bytes of a value when pickled, large buffers included, and the nanoseconds of a core that
    this takes, and the way back. That is measured for plain values only, whose unpickling runs
    nobody's code; of others it is taken to be the same.
    """
    large = int(fsum(map(_large, value))) if isinstance(value, list) else 0
    if large:
        spent_ns = large / COPIED_BYTES_A_NS if _is_copied(value) else 0.0
        return large, spent_ns, spent_ns
    if isinstance(value, list) and all(map(_is_long, value)):
        parts = [each[:PART] for each in value]
        times = fsum(map(len, value)) / (PART * len(value))
        size, spent_ns, back_ns = _weight(parts, refusal)
        return int(times * size), times * spent_ns, times * back_ns
    buffers: list[pickle.PickleBuffer] = []
    begun_ns = time.thread_time_ns()
    try:
        data = pickle.dumps(value, 5, buffer_callback=buffers.append)
    except Exception:
        try:
            data = Encoder().dumps(value)
        except Exception as error:
            raise Unpicklable(refusal) from error
    ended_ns = time.thread_time_ns()
    spent_ns = back_ns = ended_ns - begun_ns
    if not buffers and isinstance(value, list) and is_plain(value, False):
        pickle.loads(data)
        back_ns = time.thread_time_ns() - ended_ns
        if len(data) < BRIEF:
            spent_ns = min(spent_ns, _cpu_ns(lambda: pickle.dumps(value, 5)))
            back_ns = min(back_ns, _cpu_ns(lambda: pickle.loads(data)))
    size = len(data) + int(fsum(each.raw().nbytes for each in buffers))
    return size, float(spent_ns), float(back_ns)


def _cpu_ns(call: Callable[[], object]) -> int:
    begun_ns = time.thread_time_ns()
    call()
    return time.thread_time_ns() - begun_ns


def _large(value: object) -> int:
    """The bytes of a value that has many, as far as it says so."""
    size = getattr(value, "nbytes", None)
    if size is None and isinstance(value, (bytes, bytearray, str)):
        size = len(value)
    return size if isinstance(size, int) and size >= LARGE else 0


def _is_long(value: object) -> bool:
    """Whether a part of a value tells what all of it weighs. To look at each element of a list that
    the cache does not hold may take as long as making it, so some from everywhere are looked at.
    """
    if type(value) not in (list, tuple) or len(value) <= 4 * PART:  # type: ignore[arg-type]
        return False
    return is_plain(value[:: len(value) // PART], False)  # type: ignore[index, arg-type]


def _is_copied(values: list[Any]) -> bool:
    return any(isinstance(each, str) for each in values)
