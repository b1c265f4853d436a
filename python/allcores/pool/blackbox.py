"""What a worker leaves behind when C code crashes it: the Python stack of that moment.

The box is a file in memory that parent and worker share. In the worker `faulthandler` writes into
it when a fatal signal arrives; the parent reads it after the worker's end. A worker that was killed
or left by `os._exit` leaves the box empty.

A task that enables `faulthandler` itself gets what it asked for, and the box stays empty. What a
task forks has no box: its crashes are not the worker's.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os

from .forks import above_stdio, owned_fds

_LIMIT = 64 * 1024
_FRAMES_OF_OURS = r'  File "[^"]*/allcores/pool/worker\.py", line \d+ in '

_was_enabled: bool | None = None
"""Whether `faulthandler` was enabled before there was a box; None: there is no box."""


def make() -> int:
    """An empty box, in `owned_fds`. To be called inside `owned_fds.guard()`."""
    fd = above_stdio(_file())
    owned_fds.add(fd)
    return fd


def _file() -> int:
    try:
        return os.memfd_create("allcores-box", os.MFD_CLOEXEC)
    except (AttributeError, OSError):
        import tempfile

        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())


def carry(fd: int) -> None:
    """The worker's side: a crash of this process is recorded from here on."""
    global _was_enabled
    if _was_enabled is None:
        _was_enabled = faulthandler.is_enabled()
    owned_fds.add(fd)
    faulthandler.enable(file=fd, all_threads=True)


def _leave_behind() -> None:
    """In a forked child, where the box's descriptor is closed and its number may be anybody's."""
    global _was_enabled
    if _was_enabled is None:
        return
    faulthandler.disable()
    if _was_enabled:
        with contextlib.suppress(AttributeError, ValueError, OSError, RuntimeError):
            faulthandler.enable()  # the standard error may not be there any more
    _was_enabled = None


owned_fds.on_child(_leave_behind)


def read(fd: int) -> str | None:
    """The stack that the worker left, without the frames of ours below the task's; None: it left
    none.
    """
    return _stack_in(os.pread(fd, _LIMIT, 0).decode("utf-8", "replace"))


def _stack_in(words: str) -> str | None:
    """Of all threads that have frames besides ours, what `faulthandler` wrote of them."""
    import re

    threads: list[list[str]] = []
    is_ours = False
    for line in words.splitlines():
        if line.endswith("(most recent call first):"):
            threads.append([line])
            is_ours = False
        elif threads and line.startswith("  "):
            is_ours = is_ours or re.match(_FRAMES_OF_OURS, line) is not None
            if not is_ours:
                threads[-1].append(line)
        elif threads and line and not line.startswith(("Thread", "Current thread")):
            break  # a list of extension modules, or the stack of C
    return "\n\n".join("\n".join(lines) for lines in threads if len(lines) > 1) or None


__all__ = ["carry", "make", "read"]
