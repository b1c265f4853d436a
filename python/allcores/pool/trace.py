"""What is known of the workers of one runtime, as long as they may be kept (`parking`)."""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .closed import Closure


class Trace:
    """What is known of the workers of a runtime that may be kept; a runtime without one is not."""

    __slots__ = ("at_fork", "is_reused", "known", "seen")

    def __init__(self) -> None:
        self.known: dict[int, Closure] = {}
        """The functions that the workers have as this process has them."""
        self.seen: dict[int, Closure] = {}
        """Those that were called by the executor that has the runtime now."""
        self.at_fork: Any = None
        """The surroundings that the workers have."""
        self.is_reused = False
        """They were there before the executor that has them."""

    def is_of_these(self, function: Callable[..., Any], *, judged: bool) -> bool:
        """Whether the workers have this function as this process has it; if it has to be `judged`,
        and it is closed for certain.
        """
        known = self.known.get(id(function))
        if known is None or known.function is not function or (judged and not known.is_closed()):
            return False
        self.seen[id(function)] = known
        return True
