"""Would a function be faster as machine code, and is it the same then?

Tried on items that CPython runs anyway: a function that can be compiled has no effects, so running
it once more is right, whatever becomes of it. The results are compared with CPython's own, in type,
value and sign of zero, before the compiled rung may give out any. A function whose results differ
once is left to Python for good.

Beside a long first item there is nothing to compare with yet. Then the results are kept, and others
may be begun with machine code meanwhile; none is given out before `agrees` was asked.

What has been compared once is remembered with the machine code: a later map of the same function,
over arguments of the same types, need not wait for CPython again (`knows`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from math import fsum
from types import FunctionType
from weakref import WeakKeyDictionary, ref

from .._core import Brake
from .same import same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..native.callable import Native

LEAST_WORK_NS = 8_000_000
"""With less to come nothing is tried."""
FIRST_WORK_NS = 150_000_000
"""The first time in a process, which has to import the front of the compiled rung."""
LONG_NS = 4_000_000
"""A first call that took so long is not made again to be measured."""
MOST_PERIODS = 5
"""So many periods of 50 ms it may take; other rungs wait for the trial."""
MOST_LEFT = 0.5
"""If a larger share of the items is left to Python, the rung is none for the function."""
LEAST_SEEN = 64
"""So many items say what share is left to Python."""
MOST_KINDS = 16
"""So many kinds of arguments are remembered of a function."""


class Known:
    """What was found when a function's machine code was compared.

    Attributes:
        native: the compiled function, as long as it is there.
        version: of its machine code.
        python_ns: what an item took CPython.
        native_ns: what it took as machine code.
        left_share: the share of the items that was left to Python.
    """

    def __init__(
        self, native: Native, python_ns: float, native_ns: float, left_share: float
    ) -> None:
        self.native = ref(native)
        self.version = native.version
        self.python_ns = python_ns
        self.native_ns = native_ns
        self.left_share = left_share


_known: WeakKeyDictionary[Callable[..., Any], dict[object, Known]] = WeakKeyDictionary()
_refused: WeakKeyDictionary[FunctionType, str] = WeakKeyDictionary()
"""Why a function can't be compiled, which takes a millisecond to find out."""


class Compiled:
    """One function of one map.

    Attributes:
        refusal: why it is not for the compiled rung, in words; empty while nothing is against it.
        reason: the adviser's name for that.
        item_ns: what an item takes, if it was tried.
        left_share: the share of the items that is left to Python.
        is_stopped: whether nothing is to be tried.
    """

    def __init__(self, fn: Callable[..., Any], *, star: bool = False) -> None:
        """With `star` an item is a tuple of arguments."""
        self.refusal = ""
        self.reason = "not_compiled"
        self.item_ns: float | None = None
        self.left_share = 0.0
        self._fn = fn
        self._star = star
        self._native: Native | None = None
        self._brake = Brake()
        self._unchecked: list[Any] = []
        self._kind: object = None
        self._before = 0, 0
        self._is_tried = self.is_stopped = False
        if not isinstance(fn, FunctionType) and not hasattr(fn, "in_python"):
            self._refuse("only functions written in Python are compiled")

    @property
    def function(self) -> Callable[..., Any]:
        """What the compiled rung is to run."""
        return self._native or self._fn

    def may_be_tried(self, work_ns: float) -> bool:
        """Whether that is worth it, with so much work to come."""
        is_there = "allcores.native.callable" in sys.modules
        least_ns = LEAST_WORK_NS if is_there else FIRST_WORK_NS
        return not (self._is_tried or self.refusal) and work_ns >= least_ns

    def knows(self, items: list[Any]) -> Known | None:
        """What is remembered of items like the first of these; None if nothing was compared."""
        kinds = None if self.refusal else _known.get(self._fn)
        self._kind = self._star, _kind_of(items[0])
        found = kinds and kinds.get(self._kind)
        native = self._made() if found else None
        if native is None or not found or native is not found.native():
            return None
        if native.version != found.version:
            return None
        self._is_tried = True
        self.item_ns, self.left_share = found.native_ns, found.left_share
        self._before = self._counts()
        return found

    def compare(self, items: list[Any], values: list[Any], item_ns: float) -> None:
        """Runs items once more, compiled, and compares with what CPython found, whom one took so
        long.
        """
        self.run_ahead(items)
        self.agrees(values, item_ns)

    def look(self) -> None:
        """Only looks whether it can be compiled."""
        if not self.refusal:
            self._made()

    def run_ahead(self, items: list[Any]) -> None:
        """Runs items that CPython is still at."""
        self._is_tried = True
        native = None if self.refusal else self._made()
        if native is None:
            return
        calls = [tuple(item) if self._star else (item,) for item in items]
        try:
            # The first call compiles for its types.
            begun_ns = time.perf_counter_ns()
            results = [native.result(calls[0], self._brake, MOST_PERIODS)]
            spent_ns = time.perf_counter_ns() - begun_ns
            if len(calls) > 1 or spent_ns < LONG_NS:
                begun_ns = time.perf_counter_ns()
                results = native.results(calls, self._brake) or [_left()] * len(calls)
                spent_ns = time.perf_counter_ns() - begun_ns
        except InterruptedError:
            self._is_tried = False  # Python was sooner; there are results to compare with now
            return
        except TimeoutError:
            self._refuse("its first item takes long as machine code, too")
            return
        left = len([each for each in results if each is _left()])
        self._unchecked = results
        self._kind = self._star, _kind_of(items[0])
        self.item_ns = spent_ns / len(calls)
        self.left_share = left / len(calls)
        self._before = self._counts()
        if self.left_share > MOST_LEFT:
            self._leave_to_python()

    def agrees(self, values: list[Any], item_ns: float, *, failed: bool = False) -> bool:
        """Whether the results of the items that were run ahead are CPython's `values`, each of
        which took so long; if an item `failed` there, it must have been left. Asked once.
        """
        found, self._unchecked = self._unchecked, []
        if not found:
            return not self.refusal
        for one, other in zip(found, values, strict=True):
            if one is not _left() and (failed or not same(one, other)):
                self._refuse("its result is not CPython's", "result_differs")
        if not (self.refusal or failed) and any(one is not _left() for one in found):
            self._remember(item_ns)
        return not self.refusal

    def _remember(self, python_ns: float) -> None:
        native = self._native
        if native is None or self.item_ns is None:
            return
        kinds = _known.setdefault(self._fn, {})
        if len(kinds) >= MOST_KINDS:
            kinds.clear()
        kinds[self._kind] = Known(native, python_ns, self.item_ns, self.left_share)

    def looks_left(self) -> bool:
        """Whether most of the items that it has run since are left to Python; it is refused
        then.
        """
        items, left = (now - then for now, then in zip(self._counts(), self._before, strict=True))
        if items >= LEAST_SEEN and left > MOST_LEFT * items:
            self._leave_to_python()
        return bool(self.refusal)

    def stop(self) -> None:
        """Ends what `run_ahead` is doing in another thread, or would do."""
        self._brake.pull()
        self.is_stopped = True

    def go_on(self) -> None:
        """Items may be tried again, after a stop."""
        if self.is_stopped:
            self._brake, self.is_stopped = Brake(), False

    def _made(self) -> Native | None:
        from ..native.callable import known

        why = _refused.get(self._fn) if isinstance(self._fn, FunctionType) else None
        if why is not None:
            self._refuse(why)
            return None
        try:
            found = known(self._fn)
            is_compiled = found.is_compiled()
        except Exception as error:
            # Whatever is the matter with its source, the function runs in Python.
            self._refuse(f"its source can't be read: {type(error).__name__}: {error}")
            return None
        if not is_compiled:
            self._refuse(str(found.refusal))
            if isinstance(self._fn, FunctionType):
                _refused[self._fn] = self.refusal
            return None
        self._native = found
        return found

    def _counts(self) -> tuple[int, int]:
        """How many items machine code was asked for, and how many of them it left."""
        from ..native.callable import report

        told = report(self.function)
        return told.items, int(fsum(told.left.values()))

    def _leave_to_python(self) -> None:
        from ..native.callable import report

        told = report(self.function)
        words = next((each for each in told.types.values() if "[" in each), "")
        most = max(told.left, key=lambda each: told.left[each], default="")
        self._refuse(f"most items are left to Python: {words or most}", "left_to_python")
        _known.get(self._fn, {}).pop(self._kind, None)

    def _refuse(self, words: str, reason: str = "not_compiled") -> None:
        self.refusal, self.reason, self.item_ns = words, reason, None


def _kind_of(value: Any) -> object:
    """The type of a value, of a tuple's parts, and of what a list or buffer begins with: machine
    code is made for each of these.
    """
    kind = type(value)
    if kind is tuple:
        return kind, *map(_kind_of, value)
    if kind is list:
        return kind, _kind_of(value[0]) if value else None
    element = getattr(value, "dtype", None) or getattr(value, "typecode", None)
    return kind, str(element), getattr(value, "ndim", None)


def _left() -> object:
    from ..native.callable import LEFT

    return LEFT
