"""The initializer and its arguments on their way into a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import codec

Call = tuple[Callable[..., object], tuple[Any, ...]]


class Inherited:
    """For a forked worker, which has them already."""

    def __init__(self, initializer: Callable[..., object], initargs: tuple[Any, ...]) -> None:
        self._call = (initializer, initargs)

    def open(self) -> Call:
        return self._call


class Carried:
    """Pickles itself while a process is being started, the only time when locks and queues can be
    pickled.
    """

    def __init__(
        self, encoder: codec.Encoder, initializer: Callable[..., object], initargs: tuple[Any, ...]
    ) -> None:
        self._encoder = encoder
        self._call = (initializer, initargs)

    def __reduce__(self) -> tuple[type[Parcel], tuple[bytes]]:
        return Parcel, (self._encoder.dumps(self._call),)


class Parcel:
    """What arrives; opened by the worker after its `__main__`, its path and its environment are
    set.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self) -> Call:
        call: Call = codec.loads(self._data)
        return call


__all__ = ["Carried", "Inherited", "Parcel"]
