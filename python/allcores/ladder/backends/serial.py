"""The lowest rung: calls are made in the caller, one after the other.

`submit` makes the call and returns a future that has ended. `map` makes calls when results are
asked for. If all iterables have a length it runs ahead a little, in blocks of at most as many items
as results were taken before and some hundred microseconds of work; of others (generators) it takes
an item when its result is asked for. A map that nobody has looked at is worked through by
`shutdown`, as on all rungs.

A Ctrl-C is the caller's, and ends the map; any other exception is the call's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, _base
from contextvars import copy_context
from itertools import islice, starmap
from weakref import WeakSet

from ...pool import codec
from ...pool.blocks import Blocks, deadline_after
from ...pool.future import Future
from ...pool.lead import length_of
from ...pool.shares import Shared, unshared
from ..options import PLAIN
from .base import Refusal, RungExecutor, refuse_timeout, shut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeVar

    from ...pool.blocks import Block
    from ..options import CallOptions, OpenOptions

    T = TypeVar("T")

BLOCK_NS = 250_000
"""A block that took less grows."""
MOST_ITEMS = 8_192


class SerialExecutor(RungExecutor):
    """Makes calls in the caller."""

    name = "serial"
    max_workers = 1

    def __init__(self, options: OpenOptions) -> None:
        self._initializer = options.initializer
        self._initargs = options.initargs
        self._is_shut = False
        self._is_broken = False
        self._submitted = self._failed = 0
        self._maps: WeakSet[SerialMap] = WeakSet()

    def submit_call(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions | None,
    ) -> Future[T]:
        self._begin(options)
        called = fn if options is None else options.applied_to(fn)
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        self._submitted += 1
        try:
            given = {name: unshared(value) for name, value in kwargs.items()}
            future.set_result(copy_context().run(called, *map(unshared, args), **given))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._failed += 1
            codec.note_call(error, codec.name_of(fn), None, codec.argument_text(args))
            future.set_exception(error)
        try:
            return future
        finally:
            del future  # no cycle from the exception through its traceback to this frame

    def map(  # type: ignore[override]
        self, fn: Callable[..., T], *iterables: Iterable[Any], options: CallOptions = PLAIN
    ) -> Iterator[T]:
        self._begin(options)
        if not iterables:
            return iter(())
        source = SerialMap(fn, iterables, options)
        self._submitted += 1
        self._maps.add(source)
        deadline = deadline_after(options.within)
        return Blocks(source, deadline=deadline, return_exceptions=options.return_exceptions)

    def _begin(self, options: CallOptions | None) -> None:
        """Gets ready for a call; raises if it can't be made."""
        if self._is_shut:
            raise shut()
        if options is not None:
            self.check(options)
        initializer, self._initializer = self._initializer, None
        if initializer is not None:
            try:
                initializer(*self._initargs)
            except Exception:
                _base.LOGGER.critical("Exception in initializer:", exc_info=True)
                self._is_broken = True
        if self._is_broken:
            raise BrokenExecutor("the initializer failed, this executor is not usable anymore")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._is_shut = True
        for each in list(self._maps):
            if cancel_futures:
                each.cancel()
            else:
                each.run_if_unattended()

    def check(self, options: CallOptions) -> None:
        if options.timeout is not None:
            refuse_timeout(self.name, "the caller can't stop itself")

    def stats(self) -> dict[str, int]:
        return {
            "submitted": self._submitted,
            "queued": 0,
            "done": self._submitted - self._failed,
            "failed": self._failed,
            "cancelled": 0,
        }


class SerialMap:
    """The calls of one map."""

    def __init__(
        self, fn: Callable[..., Any], iterables: tuple[Iterable[Any], ...], options: CallOptions
    ) -> None:
        self.name = codec.name_of(fn)
        self._fn = options.applied_to(fn)
        several = len(iterables) > 1
        self._is_single = not (several or (options.part is not None and options.part.star))
        self._length = length_of(iterables)
        self._items = zip(*iterables, strict=False) if several else iter(iterables[0])
        self._first = 0 if options.part is None else options.part.first
        self._context = copy_context()
        self._meter = options.meter
        self._size = 1
        self._done = 0
        self._over = False
        self._is_attended = options.buffersize is not None
        self._kept: list[Block] = []
        self._error: BaseException | None = None

    def next_block(self, deadline: float | None) -> Block | None:
        self._is_attended = True
        if self._kept:
            return self._kept.pop(0)
        self._check_time(deadline)
        if self._error is not None:
            return self._raise()
        if self._over:
            return None
        return self._run_one() if self._length is None else self._run(self._size)

    def _check_time(self, deadline: float | None) -> None:
        if deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError

    def _raise(self) -> NoReturn:
        """Raises what was to be raised next."""
        error, self._error = self._error, None
        self._over = True
        assert error is not None
        raise error

    def pause(self) -> None:
        """Nothing is under way."""

    def give_up(self) -> int:
        left = 0 if self._over or self._length is None else self._length - self._done
        self._over = True
        self._kept.clear()
        return max(left, 0)

    def cancel(self) -> None:
        """What has not started is cancelled."""
        if not self._over:
            self._error = CancelledError()

    def run_if_unattended(self) -> None:
        """Makes all calls, if nobody has asked for a result and will not have bounded them."""
        while not (self._is_attended or self._over):
            try:
                block = self._run(self._size)
            except BaseException as error:
                self._error = error
                return
            if block is not None:
                self._kept.append(block)

    def _run_one(self) -> Block | None:
        """As `_run`, for one item, at less expense."""
        item: Any = next(self._items, self)
        if item is self:
            self._over = True
            return None
        first = self._first + self._done
        self._done += 1
        try:
            context = self._context.copy()
            if self._is_single:
                block: Block = [context.run(self._fn, unshared(item))], {}
            else:
                block = [context.run(self._fn, *map(unshared, item))], {}
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            codec.note_call(error, self.name, first, codec.argument_text(item))
            block = [None], {0: error}
        if self._meter is not None:
            self._meter.count(self._done)
        return block

    def _run(self, size: int) -> Block | None:
        """Runs the next block."""
        begun_ns = time.monotonic_ns()
        items = self.take(size)
        if not items:
            return None
        block = self.run_items(items)
        if time.monotonic_ns() - begun_ns < BLOCK_NS:
            self._size = min(2 * size, self._done + 1, MOST_ITEMS)
        else:
            self._size = max(1, size // 2)
        return block

    def take(self, size: int) -> list[Any]:
        """So many items, or what is left. Raises what the iterable raises."""
        items: list[Any] = []
        try:
            # Into a list: an iterable that raises keeps what it gave.
            items.extend(islice(self._items, size))
        except BaseException as error:
            if not items:
                raise
            self._error = error
        if not items:
            self._over = True
        return items

    def run_items(self, items: list[Any]) -> Block:
        """Calls the function with each of them."""
        values: list[Any] = []
        errors: dict[int, BaseException] = {}
        first = self._first + self._done
        while len(values) < len(items):
            at = len(values)
            try:
                self._context.copy().run(self._extend, values, items[at:] if at else items)
                if len(values) < len(items):
                    raise StopIteration  # which it took for an end
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                at = len(values)
                codec.note_call(error, self.name, first + at, codec.argument_text(items[at]))
                errors[at] = error
                values.append(None)
        self._done += len(items)
        if self._meter is not None:
            self._meter.show(self._done)
        return values, errors

    def _extend(self, values: list[Any], items: list[Any]) -> None:
        """Appends results until a call raises."""
        if self._is_single:
            given = map(unshared, items) if Shared in set(map(type, items)) else items
            values.extend(map(self._fn, given))
        else:
            values.extend(starmap(self._fn, (tuple(map(unshared, each)) for each in items)))


class Serial:
    """The backend."""

    name = "serial"

    def refusal(self, fn: Callable[..., object] | None = None) -> Refusal | None:
        return None

    def open(self, options: OpenOptions) -> SerialExecutor:
        return SerialExecutor(options)


BACKEND = Serial()
