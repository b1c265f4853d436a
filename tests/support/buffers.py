"""Objects with large buffers, and what tasks do with them."""

from __future__ import annotations

import os
import signal
import weakref
from array import array
from contextvars import ContextVar
from typing import Any

import numpy

from .memory import MIB

RECORD = numpy.dtype([("name", "S7"), ("at", "<f8"), ("count", ">i4")])


def arrays(size: int) -> dict[str, numpy.ndarray[Any, Any]]:
    """Arrays of about `size` bytes with every kind of layout."""
    flat = numpy.arange(size // 8, dtype=numpy.float64)
    square = flat[: (int(len(flat) ** 0.5) // 4 * 4) ** 2].reshape(
        -1, int(len(flat) ** 0.5) // 4 * 4
    )
    records = numpy.zeros(size // RECORD.itemsize, RECORD)
    records["at"] = numpy.arange(len(records))
    records["name"] = b"abc"
    read_only = flat.copy()
    read_only.flags.writeable = False
    return {
        "flat": flat,
        "square": square,
        "columns first": numpy.asfortranarray(square),
        "transposed": square.T,
        "every third": flat[::3],
        "backwards": flat[::-1],
        "a part of each axis": square[1::2, 2:-1:3],
        "zero dimensions": numpy.array(3.5),
        "no items": flat[:0],
        "records": records,
        "one field of records": records["at"],
        "other byte order": flat.astype(">f4"),
        "complex": flat.astype(complex),
        "bools": flat > 3,
        "dates": flat.astype("datetime64[s]"),
        "text": numpy.array(["a", "bc", "ä"] * (size // 36)),
        "objects": numpy.array([None, "x", 3] * 100, dtype=object),
        "read-only": read_only,
        "broadcast": numpy.broadcast_to(flat[:100], (5, 100)),
    }


def plain(size: int) -> dict[str, Any]:
    """The same with what the interpreter itself has."""
    data = bytes(range(256)) * (size // 256)
    return {
        "bytes": data,
        "bytearray": bytearray(data),
        "array of doubles": array("d", range(size // 8)),
        "array of bytes": array("B", data),
        "memoryview": memoryview(bytearray(data)),
        "read-only memoryview": memoryview(data),
        "memoryview of doubles": memoryview(array("d", range(size // 8))),
        "every other byte": memoryview(data)[::2],
        "memoryview of two axes": memoryview(data).cast("B", (2, len(data) // 2)),
        "text": "ä" * (size // 2),
        "list": [data, data],
    }


def is_writable(value: Any) -> bool:
    """Whether the elements of an array or a buffer can be replaced."""
    return not memoryview(value).readonly


def write_first(values: Any) -> tuple[Any, Any]:
    """Writes to the first element of a buffer; the first and the last one then."""
    values[0] = 99
    return values[0], values[-1]


def pages_of(values: numpy.ndarray[Any, Any]) -> float:
    """Looks at each page."""
    return float(values[::512].sum())


def first_of(values: Any) -> Any:
    return values[0]


def item_of(values: Any, index: int) -> Any:
    return values[index]


PLACE: ContextVar[str] = ContextVar("PLACE", default="nowhere")

_kept: list[Any] = []


def keep(value: Any) -> int:
    """Keeps a value in this worker; how many it has."""
    _kept.append(value)
    return len(_kept)


def first_of_kept() -> list[Any]:
    return [value[0] for value in _kept]


def identity_of(value: Any) -> int:
    return id(value)


def grown(values: Any, by: int) -> Any:
    return values + by


def large(seed: int) -> numpy.ndarray[Any, Any]:
    """A megabyte that tells where it is from."""
    return numpy.full(MIB // 8, float(seed))


def large_bytes(size: int) -> bytes:
    return bytes(size)


def place_and_last(values: Any) -> tuple[str, Any]:
    return PLACE.get(), values[-1]


_tries: list[None] = []


def spoil_and_raise(values: Any, left: int) -> Any:
    """The first element, which each try spoils for itself; raises on the first `left` tries."""
    first = values[0]
    values[0] = 77
    _tries.append(None)
    if len(_tries) <= left:
        raise ValueError("spoilt")
    return first


def sum_unless(dies: bool, values: Any) -> float:
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(values.sum())


class Counted:
    """Counts how often it is unpickled in this process."""

    made = 0

    def __init__(self, value: int) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        type(self).made += 1
        self.__dict__.update(state)

    def __reduce__(self) -> tuple[Any, ...]:
        return Counted, (self.value,), {}


def made_and_value(counted: Counted, index: int) -> tuple[int, int, int]:
    return os.getpid(), type(counted).made, counted.value + index


def nested_value(holder: dict[str, Any], index: int) -> Any:
    return holder["here"][index]


def pid_and_identity(value: Any) -> tuple[int, int]:
    return os.getpid(), id(value)


class Watched:
    """May be looked at from afar."""


_watched: list[weakref.ref[Watched]] = []


def watch(value: Watched) -> int:
    _watched.append(weakref.ref(value))
    return len(_watched) - 1


def is_there(token: int) -> bool:
    return _watched[token]() is not None


def type_name(value: Any) -> str:
    return type(value).__name__
