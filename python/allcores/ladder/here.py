"""Where a call runs that makes executors or maps itself: in a thread of which crew, with how many
cores for what it starts.

The threads of a crew divide the cores of whoever made it, as the workers of a process pool do
(`pool.nesting`).
"""

from __future__ import annotations

import threading

from ..pool import nesting


class _Here(threading.local):
    crew: object = None
    share: int | None = None


_here = _Here()


def settle(crew: object, share: int) -> None:
    """This thread belongs to that crew and has so many cores."""
    _here.crew = crew
    _here.share = share


def is_of(crew: object) -> bool:
    """Whether this thread belongs to that crew."""
    return _here.crew is crew


def share() -> int:
    """How many cores what is started here should keep busy."""
    return nesting.share() if _here.share is None else _here.share
