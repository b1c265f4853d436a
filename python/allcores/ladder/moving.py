"""A map that may change its rung while it runs.

```
   items ──► caller, block by block ──► results
     └─tap─► a rung's map ────────────► results      (and back, when the tap is closed)
```

It begins in the caller: the first items are run for real, and measured. A *judge* says after each
block where the rest shall run. On another rung that is a map over a *tap* on the same items; when
the judge wants them elsewhere the tap is closed, what was taken ends where it is, and the rest goes
on from there. So nothing runs twice, and results, indices and progress go on as if there were one
map. While a rung starts the caller goes on (`caller`): the rung's map begins behind the items that
the caller keeps.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from itertools import chain
from weakref import ref

from .._core import Unroll, scalars_in
from ..pool.blocks import Blocks, deadline_after
from ..pool.feed import Part
from ..pool.lead import length_of
from .backends.serial import SerialMap
from .caller import CALLER, CallerMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from .backends.base import RungExecutor
    from .caller import CallerJudge
    from .options import CallOptions
    from .progress import Meter

    class Judge(CallerJudge, Protocol):
        """Says where the items of one map shall run."""

        def on_away(self, count: int, stats: dict[str, int], waited_ns: int) -> None:
            """Results of `count` items came from the rung that was chosen, whose `stats` are so,
            after so long a wait.
            """

        def called(self, rung: str) -> Callable[..., Any]:
            """What that rung is to call."""

        def end(self) -> None:
            """The map is over."""

    OpenRung = Callable[[str], RungExecutor]


class Tap:
    """The items that a rung may still take.

    Attributes:
        kept: those that were taken, if they are kept.
        is_closed: there are none any more.
        has_ended: there really were none any more.
    """

    def __init__(self, items: Iterator[Any], *, keeps: bool = False) -> None:
        self._items = items
        self._keeps = keeps
        self.kept: list[Any] = []
        self.is_closed = False
        self.has_ended = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.is_closed:
            raise StopIteration
        try:
            item = next(self._items)
        except BaseException:
            self.has_ended = True
            raise
        if self._keeps:
            self.kept.append(item)
        return item


class SizedTap(Tap):
    """A tap on items whose number is known: a rung works through them unasked."""

    def __init__(self, items: Iterator[Any], length: int, *, keeps: bool = False) -> None:
        super().__init__(items, keeps=keeps)
        self._length = length

    def __len__(self) -> int:
        return self._length


class Ahead:
    """A map's meter for a part of it that begins later."""

    def __init__(self, meter: Meter, before: int) -> None:
        self._meter = meter
        self._before = before
        self.interval_s = meter.interval_s

    @property
    def done(self) -> int:
        return self._meter.done - self._before

    @done.setter
    def done(self, done: int) -> None:
        self._meter.done = done + self._before

    def is_due(self) -> bool:
        return self._meter.is_due()

    def show(self, done: int) -> None:
        self._meter.show(done + self._before)

    def count(self, done: int) -> None:
        self._meter.count(done + self._before)


class RunsHere:
    """Runs items that can't leave this process. It does not keep their map alive."""

    def __init__(
        self, fn: Callable[..., Any], options: CallOptions, context: Context, *, star: bool
    ) -> None:
        self._fn = fn
        self._options = options
        self._context = context
        self._star = star

    def __call__(self, first: int, item: Any) -> tuple[list[Any], dict[int, Any]]:
        part = Part(first, star=self._star)
        options = self._options.changed(meter=None, part=part)
        one = self._context.copy().run(SerialMap, self._fn, ([item],), options)
        return one.run_items([item])


class _Meanwhile:
    """Has a map begin elsewhere, and does not keep it alive."""

    def __init__(self, moving: Moving) -> None:
        self._moving = ref(moving)

    def begin(self, rung: str, done: int) -> None:
        """Has what comes after so many items begin on a rung."""
        moving = self._moving()
        if moving is not None:
            moving._begin_meanwhile(rung, done)

    def undo(self) -> Iterator[Any] | None:
        """Gives up what was begun; all items that are left then."""
        moving = self._moving()
        return None if moving is None else moving._undo()

    def put_back(self, items: list[Any]) -> None:
        """These are to run elsewhere, before all others."""
        moving = self._moving()
        if moving is not None:
            moving._items = chain(items, moving._items)


class Moving(Unroll):
    """The results of such a map. `close` gives up what has not started."""

    name: str
    _is_over: bool

    def __new__(
        cls,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        options: CallOptions,
        judge: Judge,
        open_rung: OpenRung,
    ) -> Moving:
        made = super().__new__(cls)
        made._fn = fn
        made._options = options
        made._judge = judge
        made._open_rung = open_rung
        made._deadline = deadline_after(options.within)
        made._length = length_of(iterables)
        several = len(iterables) > 1
        made._star = several
        made._items = zip(*iterables, strict=False) if several else iter(iterables[0])
        made._context = copy_context()
        made._done = 0
        made._tap = None
        made._rung = None
        made._kept = deque()
        made._is_over = False
        made._is_attended = options.buffersize is not None
        made._ahead = None
        made._phase = made._begin_in_caller()
        return made

    _fn: Callable[..., Any]
    _options: CallOptions
    _judge: Judge
    _open_rung: OpenRung
    _deadline: float | None
    _length: int | None
    _star: bool
    _items: Iterator[Any]
    _context: Context
    _done: int
    _tap: Tap | None
    _caller: CallerMap | None
    _rung: RungExecutor | None
    _phase: Any
    _ahead: tuple[RungExecutor, Tap, Iterator[Any]] | BaseException | None
    _kept: deque[Any]
    _is_attended: bool

    @property
    def where(self) -> str:
        """The rung that its next items run on."""
        return CALLER if self._rung is None else self._rung.name

    def refill(self) -> list[Any] | bytes | None:
        """The next results, the last one first, or pickled scalars; None at the end. Raises an
        item's exception.
        """
        self._is_attended = True
        if self._kept:
            kept = self._kept.popleft()
            if isinstance(kept, BaseException):
                raise kept
            return kept  # type: ignore[no-any-return]
        try:
            return self._next()
        except BaseException:
            self._done += 1
            del self  # the traceback must not keep the iterator alive
            raise

    def _next(self) -> list[Any] | bytes | None:
        while not self._is_over:
            begun_ns = time.perf_counter_ns()
            block: list[Any] | bytes | None = self._phase.refill()
            if block is not None:
                count = len(block) if isinstance(block, list) else scalars_in(block)
                self._done += count or 0
                if self._tap is not None:
                    self._look_away(self._tap, count or 0, time.perf_counter_ns() - begun_ns)
                return block
            self._is_over = not self._move()
            if self._is_over:
                self._judge.end()
        return None

    def _look_away(self, tap: Tap, count: int, waited_ns: int) -> None:
        """Asks whether the rest shall stay on its rung."""
        rung = self._rung
        if rung is None or tap.is_closed or tap.has_ended:
            return
        self._judge.on_away(count, rung.stats(), waited_ns)
        left = None if self._length is None else self._length - self._done
        if self._judge.where(left) != rung.name:
            tap.is_closed = True

    def _move(self) -> bool:
        """Begins the next phase, after one has ended; False if all is done."""
        if self._tap is None:
            if self._caller is None or not self._caller.wants_to_move:
                return False
        elif self._tap.has_ended or not self._tap.is_closed:
            return False
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            left = None if self._length is None else self._length - self._done
            name = self._judge.where(left)
            if name == CALLER:
                self._phase = self._begin_in_caller()
                return True
            ahead = self._begun_on(name, self._done)
        elif isinstance(ahead, BaseException):
            raise ahead
        self._caller = None
        self._rung, self._tap, self._phase = ahead
        return True

    def _begin_in_caller(self) -> Blocks:
        left = None if self._length is None else self._length - self._done
        self._tap = self._rung = None
        self._caller = self._context.copy().run(
            CallerMap,
            self._fn,
            self._items,
            self._rest(self._done),
            self._judge,
            left,
            _Meanwhile(self),
        )
        keeps = self._options.return_exceptions
        phase = Blocks(self._caller, return_exceptions=keeps)
        phase._deadline = self._deadline
        return phase

    def _begin_meanwhile(self, name: str, done: int) -> None:
        """Has all but the first `done` items begin on a rung, while the caller runs these."""
        # What runs beside the first item as machine code may have to run again.
        keeps = name == "native" and not self._done
        try:
            self._ahead = self._begun_on(name, done, keeps=keeps)
        except BaseException as error:
            self._ahead = error

    def _undo(self) -> Iterator[Any] | None:
        """Gives up what has begun elsewhere, and is right to run again; all items that are left."""
        ahead, self._ahead = self._ahead, None
        if not isinstance(ahead, tuple):
            return None
        _, tap, phase = ahead
        tap.is_closed = True
        phase.close()  # type: ignore[attr-defined]
        self._items = chain(tap.kept, self._items)
        return self._items

    def _begun_on(
        self, name: str, done: int, *, keeps: bool = False
    ) -> tuple[RungExecutor, Tap, Iterator[Any]]:
        """The map of a rung over what is left after `done` items."""
        rung = self._open_rung(name)
        if self._length is None:
            tap = Tap(self._items, keeps=keeps)
        else:
            tap = SizedTap(self._items, max(self._length - done, 0), keeps=keeps)
        options, fn = self._rest(done), self._judge.called(name)
        return rung, tap, self._context.copy().run(rung.map, fn, tap, options=options)

    def _rest(self, done: int) -> CallOptions:
        """The options for what is left after `done` items."""
        within = None if self._deadline is None else self._deadline - time.monotonic()
        meter: Any = self._options.meter
        if meter is not None and done:
            meter = Ahead(meter, done)
        here = RunsHere(self._fn, self._options, self._context, star=self._star)
        part = Part(done, star=self._star, otherwise=here)
        return self._options.changed(within=within, meter=meter, part=part)

    def run_if_unattended(self) -> None:
        """Makes all calls, if nobody has asked for a result and will not have bounded them."""
        while not (self._is_attended or self._is_over):
            try:
                block = self._next()
            except Exception as error:
                self._done += 1
                self._kept.append(error)
            else:
                if block is not None:
                    self._kept.append(block)

    def cancel(self) -> None:
        """What has not started is cancelled."""
        if self._caller is not None:
            self._caller.cancel()

    def close(self) -> None:
        """Gives up what has not started."""
        self._is_over = True
        self._kept.clear()
        self._judge.end()
        ahead = self._ahead
        phases = [self._phase, ahead[2]] if isinstance(ahead, tuple) else [self._phase]
        for each in phases:
            close = getattr(each, "close", None)
            if close is not None:
                close()
