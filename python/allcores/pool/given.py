"""Objects that this worker was given once, for all tasks that name them (`shares` is the parent's
side).

They come as functions do: under a number, before the first task that needs them.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class _Loaded(Protocol):
        def ready(self) -> Any: ...


SHARED_MARK = b"allcores.share\n"
"""The stream of a shared object begins with this."""


class NotAskedForError(pickle.PicklingError):
    """A shared object was met, and nobody has said whose numbers to use."""


_given: Mapping[int | None, _Loaded | bytes] = {}


def look_in(given: Mapping[int | None, _Loaded | bytes]) -> None:
    """From now on `value_of` looks there; bytes are the exception why an object can't be had."""
    global _given
    _given = given


def value_of(number: int) -> Any:
    """The object of that number, the same one each time; a pickle with a shared object calls this.

    Raises what unpickling it has raised.
    """
    found = _given.get(number)
    if found is None:
        raise LookupError(f"no object is shared under the number `{number}`")
    if isinstance(found, bytes):
        from .failures import load_exception

        raise load_exception(found)
    return found.ready()
