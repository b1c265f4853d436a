"""How a worker ended, written once, whoever asks first.

A `Life` is the parent's hold on one worker: the process, the end of its leash, its black box.

| state    | entered by                                 | left by                                |
| -------- | ------------------------------------------ | -------------------------------------- |
| living   | `Life(...)`, when the process was started  | whoever finds that the process ended   |
| recorded | the first of `collect`, `obituary`, `bury` | never: the `Obituary` stays to be read |

With the record the process is collected, the box is read, and both descriptors are closed; not
before, because closing the leash ends the worker, which may still be leaving in peace.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from multiprocessing import process as multiprocessing_process
from multiprocessing.process import BaseProcess

from . import blackbox
from .forks import owned_fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATIENCE_SECONDS = 2.0
"""How long the end of a process is waited for whose link has ended: a matter of moments."""


class Obituary:
    """What is known of a worker's end. Without `exitcode` it had not ended, or others collected
    it; below zero it is a signal, as `multiprocessing` has it. `peak_memory` is the highest
    resident size in bytes. `was_told_to_end`: by this process, somebody called `kill_workers`, say.
    """

    __slots__ = ("exitcode", "peak_memory", "pid", "stack", "was_told_to_end")

    def __init__(
        self,
        pid: int | None,
        exitcode: int | None = None,
        peak_memory: int | None = None,
        stack: str | None = None,
        *,
        was_told_to_end: bool = False,
    ) -> None:
        self.pid = pid
        self.exitcode = exitcode
        self.peak_memory = peak_memory
        self.stack = stack
        self.was_told_to_end = was_told_to_end

    @property
    def signal(self) -> str | None:
        """The name of the signal that ended it."""
        if self.exitcode is None or self.exitcode >= 0:
            return None
        try:
            return signal.Signals(-self.exitcode).name
        except ValueError:
            return f"signal {-self.exitcode}"


class Life:
    """One worker that was started. `fds`, the box and the leash if there is one, are this object's
    to close; `peak_memory` is asked when the system's own record isn't there.
    """

    def __init__(
        self,
        process: BaseProcess,
        fds: list[int],
        peak_memory: Callable[[], int | None],
    ) -> None:
        self.process: BaseProcess | None = process
        self.pid = process.pid
        self.was_told_to_end = False
        self._fds = fds
        self._peak_memory = peak_memory
        self._patience = PATIENCE_SECONDS
        self._obituary: Obituary | None = None
        self._lock = threading.Lock()

    def obituary(self) -> Obituary:
        """The record; if the process doesn't end in time, what is known without it."""
        with self._lock:
            process = self.process
            if process is not None:
                process.join(self._patience)
                self._patience = 0.0  # it is spent once, however many ask
                self._record_if_ended(process)
            return self._obituary or Obituary(self.pid, was_told_to_end=self.was_told_to_end)

    def collect(self, patience: float = 0.0) -> bool:
        """Records the end if it comes within `patience` seconds; whether it is recorded."""
        if not self._lock.acquire(blocking=False):
            return False  # somebody is at it
        try:
            process = self.process
            if process is not None:
                process.join(patience)
                self._record_if_ended(process)
            return self.process is None
        finally:
            self._lock.release()

    def end(self, *, kill: bool) -> None:
        """Signals the process if it hasn't ended: SIGKILL if `kill`, else SIGTERM."""
        process = self.process
        if process is not None:
            self.was_told_to_end = True
            with contextlib.suppress(ValueError, OSError):
                if kill:
                    process.kill()
                else:
                    process.terminate()

    def bury(self) -> None:
        """Waits for the end, however long, and records it."""
        process = self.process
        if process is not None:
            process.join()
            with self._lock:
                if self.process is not None:
                    self._record(process)

    def _record_if_ended(self, process: BaseProcess) -> None:
        if process.exitcode is not None or _of_popen(process, "was_collected_by_others"):
            self._record(process)

    def _record(self, process: BaseProcess) -> None:
        box = self._fds[0]
        try:
            self._obituary = Obituary(
                self.pid,
                process.exitcode,
                _of_popen(process, "peak_memory") or self._peak_memory(),
                blackbox.read(box),
                was_told_to_end=self.was_told_to_end,
            )
        finally:
            # Its pipes are closed when nobody holds it.
            self.process = None
            vars(multiprocessing_process)["_children"].discard(process)
            owned_fds.close(self._fds)
            self._fds = []


class Lives(dict[int, Life]):
    """The workers that were started, by number, and which of them are about to end."""

    def __init__(self) -> None:
        super().__init__()
        self.leaving: set[int] = set()
        """Their links have ended; their processes take a moment more, seldom a long one."""

    @property
    def patience(self) -> float | None:
        """Seconds after which to look for those that took longer; None if there are none."""
        return LOOK_AGAIN_SECONDS if self.leaving else None

    def leave(self, number: int) -> None:
        """The link of one has ended."""
        self.leaving.add(number)
        self.collect_leaving(MOMENT_SECONDS)

    def all_leave(self) -> None:
        """All are to end, if they have not yet."""
        self.leaving.update(tuple(self))
        self.collect_leaving(MOMENT_SECONDS)

    def collect_leaving(self, patience: float = 0.0) -> None:
        """Records the end of those whose process has ended."""
        for each in tuple(self.leaving):
            life = self.get(each)
            if life is None or life.collect(patience):
                self.leaving.discard(each)
        if len(self) > MOST_KEPT:
            # In order of their start: the first that has been collected is the longest dead.
            ended = (each for each, life in tuple(self.items()) if life.process is None)
            self.pop(next(ended, -1), None)

    def bury_all(self) -> None:
        """Waits for the end of every process that was started."""
        for life in list(self.values()):
            life.bury()


MOMENT_SECONDS = 0.05
"""A process whose link has ended is waited for so long; then other things may be due."""

LOOK_AGAIN_SECONDS = 0.5
"""How often those are looked at that took longer."""

MOST_KEPT = 1000
"""So many workers' ends are remembered, for futures that nobody has asked yet."""


def _of_popen(process: BaseProcess, name: str) -> Any:
    """What the classes of `children` know; None for processes started in other ways."""
    return getattr(vars(process).get("_popen"), name, None)


__all__ = ["Life", "Lives", "Obituary"]
