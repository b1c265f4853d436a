"""The C pickler, kept for reuse, with the reducers of `multiprocessing`; cloudpickle where it
refuses.

Both directions begin here. Pickling is by reference, with what `ForkingPickler` knows (so that
connections and sockets travel as they do with the standard library). `dumps_result` and
`pack_result` are the worker's way back; the parent's `Encoder` (`codec`) has to look at `__main__`
too.
"""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler

from .._core import names_main
from .apart import BUFFER_REDUCERS, Apart, Loose, Packed, packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")

PROTOCOL = 5
REFUSALS = (pickle.PicklingError, AttributeError, TypeError)
"""What a pickler raises for an object it does not know; anything else is the user's own
exception.
"""

_LARGE = 1 << 16  # the C pickler hands larger buffers to `write` as they are, outside its frames
_FRAME_STARTS = (0x80, 0x95)


class _Pen:
    """A C pickler kept for reuse: making one costs more than pickling a small tuple."""

    __slots__ = ("apart", "chunks", "known", "pickler", "write")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.write = self.chunks.append
        self.apart = Apart()
        self.pickler = pickle.Pickler(self, PROTOCOL, buffer_callback=self.apart)
        table = copyreg.dispatch_table.copy()
        table.update(BUFFER_REDUCERS)
        table.update(_forking_reducers)
        self.pickler.dispatch_table = table
        self.known = len(copyreg.dispatch_table) + len(_forking_reducers)


_forking_reducers: dict[type, Callable[[Any], Any]] = ForkingPickler._extra_reducers  # type: ignore[attr-defined]
_pens: list[_Pen] = []


def _pen() -> _Pen:
    try:
        pen = _pens.pop()
    except IndexError:
        return _Pen()
    return pen if pen.known == len(copyreg.dispatch_table) + len(_forking_reducers) else _Pen()


def write(value: object) -> list[bytes]:
    """The chunks of the C pickle of `value`. A pen whose pickling failed is thrown away."""
    pen = _pen()
    pen.apart.is_wanted = False
    pen.pickler.dump(value)
    return _found(pen)


def write_apart(value: object) -> Loose:
    """The same, large buffers beside it."""
    pen = _pen()
    pen.apart.is_wanted = True
    pen.pickler.dump(value)
    buffers = pen.apart.buffers
    if buffers:
        pen.apart.buffers = []
        return Loose(_found(pen), buffers)
    return Loose(_found(pen), [])


def _found(pen: _Pen) -> list[bytes]:
    pen.pickler.clear_memo()
    chunks = pen.chunks
    found = chunks[:]
    chunks.clear()
    _pens.append(pen)
    return found


def mentions_main(chunks: list[bytes]) -> bool:
    """Whether a frame of the pickle names the main module; raw buffers in between are not read."""
    for chunk in chunks:
        if type(chunk) is not bytes:
            continue  # a buffer of the user's (an array's data, say), handed through as it is
        if (len(chunk) < _LARGE or chunk[0] in _FRAME_STARTS) and names_main(chunk):
            return True
    return False


def pack_result(value: object) -> Packed:
    """As `dumps_result`, large buffers beside it."""
    try:
        loose = write_apart(value)
    except REFUSALS:
        return second_try(_dump_for_parent, value)
    return packed(loose)


def dumps_result(value: object) -> bytes:
    """The bytes of a task's result, made in the worker; what can't be pickled raises, and fails
    that task only.
    """
    try:
        chunks = write(value)
    except REFUSALS:
        return second_try(_dump_for_parent, value)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _dump_for_parent(value: object) -> bytes:
    from .main_module import dumps_for_parent

    return dumps_for_parent(value)


def second_try(dump: Callable[[object], T], value: object) -> T:
    """By value what could not go by reference. If that fails too, its refusal names the obstacle:
    the first one may be about a lambda, which is none.
    """
    try:
        return dump(value)
    except Exception as refusal:
        raise refusal from refusal.__cause__
