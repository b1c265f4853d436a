"""A call made by Python in this thread, stopped when it has had its time.

Only functions that could have been compiled are stopped so: they have no effects, hold no lock and
catch nothing, so an exception may come between any two of their instructions. It comes from another
thread, and so may come a moment too late, when the call has ended: then it is taken back, or waited
for and thrown away, and never met by anybody else. One instruction that takes long, a power of
large ints say, is not interrupted.
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["OutOfTime", "within"]


class OutOfTime(Exception):
    """The call was stopped, or ended too late."""


class _Late(BaseException):
    """What is raised in the thread."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """What the call gives.

    Args:
        seconds: how much time it has.
        call: what to call; pure, see above.

    Raises:
        OutOfTime: it was stopped, or ended too late.
    """
    if seconds <= 0:
        raise OutOfTime
    watch = _Watch(threading.get_ident())
    timer = threading.Timer(seconds, watch.fire)
    timer.daemon = True
    try:
        try:
            timer.start()
            result = call()
        finally:
            watch.end()
    except _Late:
        raise OutOfTime from None
    finally:
        timer.cancel()
        timer.join()
    if watch.has_fired:
        raise OutOfTime
    return result


class _Watch:
    """One call in a thread: under way, fired at, ended."""

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.has_fired = False
        self.has_ended = False
        self.lock = threading.Lock()

    def fire(self) -> None:
        """Has the call end, if it is under way."""
        with self.lock:
            if not self.has_ended:
                self.has_fired = True
                _raise_in(self.thread, _Late)

    def end(self) -> None:
        """Nothing is raised from here on; what was meant for the call may still be raised here."""
        try:
            with self.lock:
                self.has_ended = True
            if self.has_fired:
                _raise_in(self.thread, None)
        except _Late:
            self.has_ended = True


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raises at the thread's next instruction; None takes back what it hasn't met yet."""
    import ctypes

    kind = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), kind)
