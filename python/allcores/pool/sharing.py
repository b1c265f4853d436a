"""`allcores.share`: an object that crosses once for each worker, whatever it is."""

from __future__ import annotations

from .apart import Loose
from .codec import Encoder
from .shares import Shared, as_shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")


def share(value: T) -> Shared[T]:
    """A handle to be passed to tasks in place of `value`, which then crosses once for each worker.

    The value is pickled now: tasks see it as it is at this moment, whatever becomes of it here.
    Each worker makes it once, and all tasks there get that object. They must not change it; arrays
    among it arrive read-only.

    ```
    data = allcores.share(table)
    futures = [pool.submit(count, data, key) for key in keys]
    ```

    Raises what pickling raises.
    """
    packed = Encoder().pack(value)
    loose = packed if isinstance(packed, Loose) else Loose([packed], [])
    return Shared(value, as_shared(loose))
