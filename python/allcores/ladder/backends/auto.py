"""Not a rung, but what chooses among them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..options import OpenOptions
    from .base import Refusal, RungExecutor


class Auto:
    """The backend."""

    name = "auto"

    def refusal(self, fn: Callable[..., object] | None = None) -> Refusal | None:
        return None

    def open(self, options: OpenOptions) -> RungExecutor:
        from .processes import BACKEND as processes

        return processes.open(options)


BACKEND = Auto()
