"""Ways for a task to end its worker that leave different stories behind."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import threading
from pathlib import Path

from support import tasks


def crash_in_c() -> None:
    without_a_core_file()
    ctypes.string_at(0)


def abort() -> None:
    without_a_core_file()
    os.abort()


def without_a_core_file() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def crash_in_a_thread() -> None:
    thread = threading.Thread(target=crash_in_c)
    thread.start()
    thread.join()


def crash_in_a_child() -> int:
    """The exit code of a child of the task that crashes."""
    pid = os.fork()
    if pid == 0:
        crash_in_c()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def crash_in_a_child_and_die() -> None:
    crash_in_a_child()
    tasks.die()


def leave_a_child_and_die(path: str) -> None:
    """The child keeps everything open that it has inherited."""
    if os.fork() == 0:
        with open(path) as gate:
            gate.read()
        os._exit(0)
    tasks.die()


def fill_and_die(size: int) -> None:
    block = bytearray(size)
    block[:: resource.getpagesize()] = b"x" * len(block[:: resource.getpagesize()])
    tasks.die()


def own_black_box() -> None:
    import faulthandler

    with open(os.devnull, "w") as file:
        faulthandler.enable(file)
        crash_in_c()


def wait_until_killed(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    signal.pause()
