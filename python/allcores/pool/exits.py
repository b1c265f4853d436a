"""The end of the program, and forks: what becomes of pools that nobody has shut down.

The interpreter's exit waits for the calls that were submitted, as with the standard library; a
Ctrl-C ends them. In a forked child no pool of the parent is usable.
"""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable
from multiprocessing import process as multiprocessing_process
from multiprocessing import util as _registers_its_exit_before_ours  # noqa: F401

from .._core import mark_forked
from . import interrupts
from .forks import owned_fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Running(Protocol):
        """A pool that has not finished."""

        def let_calls_ask(self) -> None: ...
        def shut_down(self, *, cancel: bool) -> None: ...
        def join(self, timeout: float | None = None) -> bool: ...
        def end(self) -> None: ...
        def on_child(self, children: set[Any]) -> None: ...


running: set[Running] = set()
"""Those that the exit has to wait for."""
_main_has_ended = False
_last_calls: list[Callable[[], None]] = []


def before_end(call: Callable[[], None]) -> None:
    """Has it called as soon as the main thread has ended."""
    _last_calls.append(call)


def main_has_ended() -> bool:
    """Whether the main thread has."""
    return _main_has_ended


def is_exiting() -> bool:
    """Whether it is too late for this thread to submit: the main thread has ended, and what it runs
    now are the interpreter's last calls. Other threads may submit as long as they live.
    """
    return _main_has_ended and threading.current_thread() is threading.main_thread()


def _at_end_of_main() -> None:
    global _main_has_ended
    interrupts.remember_at_exit()
    _main_has_ended = True
    for pool in list(running):
        pool.let_calls_ask()
    for call in _last_calls:
        call()


def _at_exit() -> None:
    try:
        if _was_interrupted():
            _end_all()
        waiting = list(running)
        for pool in waiting:
            pool.shut_down(cancel=False)
        for pool in waiting:
            pool.join()
    except BaseException:
        _end_all()
        raise


def _end_all() -> None:
    for pool in list(running):
        pool.shut_down(cancel=True)
        pool.end()


def _was_interrupted() -> bool:
    """Whether a Ctrl-C that nobody caught ends the program, or came while it was ending.

    The interpreter passes over one that comes while it waits for threads, and over whatever it had
    still to do there: our own call among that, perhaps.
    """
    kind = getattr(sys, "last_type", None)
    return (
        not _main_has_ended
        or interrupts.came_at_exit()
        or (isinstance(kind, type) and issubclass(kind, KeyboardInterrupt))
    )


threading._register_atexit(_at_end_of_main)  # type: ignore[attr-defined]
# When the last non-daemon thread has ended. It is registered after `multiprocessing`'s own, which
# waits for processes, and so is called before it.
atexit.register(_at_exit)


def _forget_all() -> None:
    """In a forked child: the parent's workers are not its children, and not to be joined."""
    mark_forked()
    children: set[Any] = vars(multiprocessing_process)["_children"]
    for pool in running:
        pool.on_child(children)
    running.clear()


owned_fds.on_child(_forget_all)
