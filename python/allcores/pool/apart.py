"""Pickled values whose large buffers lie beside the stream.

```
   value ──pack──► chunks of the stream, large buffers beside it ──┬── small, none: bytes
                                                                   └── else: Loose
```

Large buffers (arrays of numpy, `array.array`, `memoryview`, whatever reduces to a `PickleBuffer`)
are not copied into the stream: they go beside it, to be written into shared memory once. What
arrives is memory of the receiver's own, mapped where it lies and copied page by page when it is
written to; so an array arrives as it was sent, writable or not, whatever its size.

A `Loose` is good until its value is changed: whoever gets it hands it on at once.
"""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Callable
from math import fsum

from .._core import Delivery

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    _Pieces = tuple[list[Any], list[memoryview], list[int]]
else:
    _Pieces = tuple

_APART_FROM = 1 << 16  # a buffer of so many bytes goes beside the stream
_STREAM_APART_FROM = 1 << 17  # a stream of so many bytes is not joined
MOST_BUFFERS = 31
"""So many buffers of a value go beside its stream; others are copied into it."""

Stream = bytes | memoryview


class Loose(_Pieces):
    """A pickled value in pieces, some of them the value's own memory: the chunks of its stream, the
    buffers beside it, and the numbers of the shared objects that it needs.
    """

    __slots__ = ()

    def __new__(
        cls, chunks: Iterable[Any], buffers: list[memoryview], needs: Sequence[int] = ()
    ) -> Loose:
        return tuple.__new__(cls, (list(chunks), buffers, list(needs)))

    def after(self, chunks: list[Any]) -> Loose:
        """The same with these chunks before its own."""
        return Loose([*chunks, *self[0]], self[1], self[2])

    def needing(self, numbers: list[int]) -> Loose:
        """The same, for readers that have these objects."""
        return Loose(self[0], self[1], numbers)

    def joined(self) -> tuple[bytes, list[pickle.PickleBuffer]]:
        """The stream in one piece, and the buffers as parts of another value."""
        return b"".join(self[0]), [pickle.PickleBuffer(each) for each in self[1]]


Packed = bytes | Loose
"""A pickled value on its way out."""

Arrived = bytes | memoryview | Delivery
"""A pickled value that has come."""


def loads(data: Arrived) -> Any:
    """The value; each call makes another one."""
    if type(data) is bytes:
        return pickle.loads(data)
    stream, buffers = opened(data)
    return pickle.loads(stream, buffers=buffers)


def opened(data: Arrived | tuple[bytes, list[Any]]) -> tuple[Stream, list[Any]]:
    """The stream, and the buffers beside it (which `Loose.joined` may have put into a value)."""
    if isinstance(data, Delivery):
        return data.open()
    return data if isinstance(data, tuple) else (data, [])


class Apart:
    """Collects large buffers: a pickler's `buffer_callback`."""

    __slots__ = ("buffers", "is_wanted")

    def __init__(self) -> None:
        self.buffers: list[memoryview] = []
        self.is_wanted = True

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        """Whether the buffer has to go into the stream."""
        if self.is_wanted and len(self.buffers) < MOST_BUFFERS:
            try:
                raw = buffer.raw()
            except BufferError:  # not in one piece: the pickler has words for that
                return True
            if raw.nbytes >= _APART_FROM:
                self.buffers.append(raw)
                return False
        return True


def _reduce_array(values: array[Any]) -> tuple[Any, ...]:
    return _make_array, (values.typecode, pickle.PickleBuffer(values))


def _make_array(typecode: str, buffer: Any) -> array[Any]:
    made: array[Any] = array(typecode)
    made.frombytes(buffer)
    return made


def _reduce_view(view: memoryview) -> tuple[Any, ...]:
    if not view.c_contiguous:
        copied: Any = view.tobytes()
        return _make_view, (copied if view.readonly else bytearray(copied), view.format, view.shape)
    return _make_view, (pickle.PickleBuffer(view), view.format, view.shape)


def _make_view(buffer: Any, form: str, shape: tuple[int, ...]) -> memoryview:
    flat = memoryview(buffer).cast("B")
    return flat if form == "B" and len(shape) == 1 else flat.cast(form, shape)  # type: ignore[call-overload]


BUFFER_REDUCERS: dict[type, Callable[[Any], Any]] = {array: _reduce_array, memoryview: _reduce_view}


def packed(loose: Loose) -> Packed:
    """In one piece, if that is small and there is nothing beside it."""
    chunks, buffers, _ = loose
    if not buffers:
        if len(chunks) == 1:
            return bytes(chunks[0])
        if fsum(map(len, chunks)) < _STREAM_APART_FROM:
            return b"".join(chunks)
    if any(type(chunk) is pickle.PickleBuffer for chunk in chunks):
        # One too many to lie beside the stream: the pickler hands it on as it is.
        plain = [each.raw() if type(each) is pickle.PickleBuffer else each for each in chunks]
        return Loose(plain, buffers)
    return loose
