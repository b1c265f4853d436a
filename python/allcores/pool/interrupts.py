"""Ctrl-C reaches every process of the terminal; only the user's own process is to answer it.

A child begins with its parent's signal mask. So the parent blocks the signal while it starts a
worker or a fork server, and the worker lets it through when it has a handler: there is no moment
at which an interrupt could end it. The handler does nothing. Unlike an ignored signal it is not
inherited by the programs that tasks start: Ctrl-C ends those, as it should.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def are_blocked() -> bool:
    """Does this thread hold interrupts back?"""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@contextmanager
def blocked() -> Iterator[None]:
    """Holds interrupts back in this thread; children made in the block begin that way."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    pid = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


_came_at_exit = False


def remember_at_exit() -> None:
    """From here on a Ctrl-C is remembered: the interpreter, which is ending, may pass over it."""
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):
        signal.signal(signal.SIGINT, _remember)


def came_at_exit() -> bool:
    """Whether there was one since."""
    return _came_at_exit


def _remember(number: int, frame: FrameType | None) -> None:
    global _came_at_exit
    _came_at_exit = True
    raise KeyboardInterrupt


def leave_to_parent(*, unblock: bool) -> None:
    """The worker's side: from here on an interrupt does nothing, and need not be held back."""
    signal.signal(signal.SIGINT, _leave_it_to_the_parent)
    if unblock:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))


def _leave_it_to_the_parent(number: int, frame: FrameType | None) -> None:
    pass
