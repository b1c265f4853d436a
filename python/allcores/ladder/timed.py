"""A function that says when and where it ran, on whatever rung.

It is what `compare` and `trace` run instead of the user's: each result comes with its *span*, taken
where the call was made. The clock is the system's monotonic one, which all processes of a machine
share. An exception passes as it is, without a span.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Span = tuple[int, int, int, int]
    """Process id, thread id, nanoseconds of the begin and of the end."""


class Timed:
    """Calls `fn`; the result is a pair of its span and its value."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        from ..pool.failures import name_of  # not where it is called: there less is imported

        self.fn = fn
        for name in ("__module__", "__name__"):
            if hasattr(fn, name):
                setattr(self, name, getattr(fn, name))
        self.__qualname__ = name_of(fn)

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Span, Any]:
        begun_ns = time.monotonic_ns()
        value = self.fn(*args, **kwargs)
        span = os.getpid(), threading.get_native_id(), begun_ns, time.monotonic_ns()
        return span, value
