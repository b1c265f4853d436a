"""The initializer with its arguments, and the executor's context variables, on their way into a
worker.
"""

from __future__ import annotations

from collections.abc import Callable

from . import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Call = tuple[Callable[..., object], tuple[Any, ...]]
    Content = tuple[Call | None, tuple[Any, ...]]
    """The initializer's call, and the context variables."""


class Inherited:
    """For a forked worker, which has them already."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def open(self) -> Content:
        return self._content


class Carried:
    """Pickles itself while a process is being started, the only time when locks and queues can be
    pickled.
    """

    def __init__(self, encoder: codec.Encoder, content: Content) -> None:
        self._encoder = encoder
        self._content = content

    def __reduce__(self) -> tuple[type[Parcel], tuple[bytes]]:
        return Parcel, (self._encoder.dumps(self._content),)


class Parcel:
    """What arrives; opened by the worker after its `__main__`, its path and its environment are
    set.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self) -> Content:
        content: Content = codec.loads(self._data)
        return content


__all__ = ["Carried", "Inherited", "Parcel"]
