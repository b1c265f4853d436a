"""The standard library's `Popen` classes, told to remember more of how a child ended.

Waiting for a child collects it, and with it the only record of the memory that it used; so the
classes here wait by `os.wait4`, which imports a module for it, unless the child ended as it should.
`peak_memory` is the highest resident size in bytes once the child was waited for, None where it
isn't known. Several threads may wait at once (a future's consumer,
the notifier thread, `multiprocessing.active_children`): one of them collects, all see the exit
code. A wait with a time limit is for the process itself; the standard library's is for a pipe,
which children of the child may keep open.

A program that is executed counts what was resident before as its own peak: a spawned worker's
record is believed only where it exceeds what this process had by then.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from multiprocessing import popen_fork
from multiprocessing.process import BaseProcess

_UNIT = 1 if sys.platform == "darwin" else 1024  # of `ru_maxrss`


class Collected:
    """For any `Popen`: only one thread at a time asks how the child ended."""

    def __init__(self, process: BaseProcess) -> None:
        self.peak_memory: int | None = None
        self.was_collected_by_others = False
        self._collecting = threading.Lock()
        super().__init__(process)  # type: ignore[call-arg]


class Child(Collected):
    """For a `Popen` whose process is a child of this one."""

    pid: int
    sentinel: int
    returncode: int | None
    _counts_from = 0

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        if self.returncode is None and not flag & os.WNOHANG:
            self._wait_without_collecting()
        with self._collecting:
            if self.returncode is None:
                self._collect()
        return self.returncode

    def _collect(self) -> None:
        try:
            how = self._ended()
            if how is None:
                return
            if how == os.EX_OK:
                os.waitpid(self.pid, os.WNOHANG)
                self.returncode = 0
                return
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        except ChildProcessError:
            self.was_collected_by_others = True
            return
        if pid == self.pid:
            peak = usage.ru_maxrss * _UNIT
            self.peak_memory = peak if peak > self._counts_from else None
            self.returncode = os.waitstatus_to_exitcode(status)

    def _ended(self) -> int | None:
        """None while it runs, then the code that it ended with of its own accord, else -1 (the
        signal, and whatever the system can't tell without collecting it, `wait4` will say).
        """
        try:
            how = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except AttributeError:  # macOS before Python 3.13
            return -1
        if how is None:
            return None
        return how.si_status if how.si_code == os.CLD_EXITED else -1

    def wait(self, timeout: float | None = None) -> int | None:
        if self.returncode is None and timeout:
            self._wait_for_the_end(max(timeout, 0.0))
        return self.poll(0 if timeout is None else os.WNOHANG)

    def _wait_without_collecting(self) -> None:
        try:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        except AttributeError:  # macOS before Python 3.13
            self._wait_for_the_end(None)
        except ChildProcessError:
            pass

    def _wait_for_the_end(self, seconds: float | None) -> None:
        with self._collecting:
            # Nobody else collects it here, so the number is still its own.
            handle = _handle_of(self.pid) if self.returncode is None else None
        if handle is None:
            from multiprocessing.connection import wait  # the system has no such handles

            wait([self.sentinel], seconds)
            return
        try:
            poller = select.poll()
            poller.register(handle, select.POLLIN)
            poller.poll(None if seconds is None else seconds * 1000)
        finally:
            os.close(handle)


def peak_of_this_process() -> int:
    """The highest resident size that this process has had, in bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def _handle_of(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


class ForkPopen(Child, popen_fork.Popen):
    """Starts a process by fork."""


__all__ = ["Child", "Collected", "ForkPopen", "peak_of_this_process"]
