"""Arrays of numpy as they travel alone.

The engine writes a small array of plain numbers without the pickler (`arrays.rs`), as the pickle
of a call of `array_of`. It reads most of them itself, too; whoever else meets such a pickle calls
this.
"""

from __future__ import annotations

from math import prod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def array_of(dtype: str, shape: tuple[int, ...], data: bytes) -> Any:
    """A new array in C order, with memory of its own, whose bytes are `data`.

    Raises:
        ValueError: if there are more or fewer bytes than such an array has.
    """
    import numpy

    kind = numpy.dtype(dtype)
    if kind.hasobject or kind.itemsize * prod(shape) != len(data):
        raise ValueError(
            f"`{len(data)}` bytes are no array of `{dtype}` and shape `{shape}`\n"
            "hint: what was sent is damaged; send it again"
        )
    made = numpy.empty(shape, kind)
    made.reshape(-1).view(numpy.uint8)[:] = numpy.frombuffer(data, numpy.uint8)
    return made
