"""Who a runtime deals with, as far as it is concerned; for type checkers only."""

from __future__ import annotations

from typing import Protocol


class Watcher(Protocol):
    """Who waits for a batch without waiting."""

    def settle(self) -> None:
        """It is over."""

    def fail(self, error: BaseException) -> None:
        """It is over, and `settle` has raised."""

    def on_child(self) -> None:
        """This is a forked child, where it will never be."""


class Feed(Protocol):
    """A map that has not taken all its items yet."""

    def submit_rest(self) -> None:
        """Takes and submits them now."""

    def give_up(self) -> int:
        """Takes none any more; how many items that leaves undone."""
