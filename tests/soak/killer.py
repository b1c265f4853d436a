"""A thread that kills workers at random moments.

It strikes through a pidfd, and only what is a child or grandchild of this process: the number may
belong to somebody else by then. Whoever it is about to strike is noted first, so that no death can
be seen before its cause.

A pool gives up when three workers in a row end before they have worked, which is right. So most
victims have a record in the ledger.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from support import processes

from soak.ledger import Ledger
from soak.plan import Kill


class Killer:
    """Kills the workers of one executor, as planned, until it is told to rest."""

    def __init__(self, executor: Any, kills: Sequence[Kill], ledger: Ledger) -> None:
        self.killed: set[int] = set()
        self._executor = weakref.ref(executor)
        self._kills = kills
        self._ledger = ledger
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="soak-killer", daemon=True)
        self._thread.start()

    def rest(self) -> None:
        """Returns when nobody will be killed any more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        for kill in self._kills:
            # Not a wait for something: the moment is what is random.
            if self._over.wait(kill.gap):
                return
            victims = self._victims(kill.fresh)
            if victims:
                self._strike(victims[kill.rank % len(victims)])

    def _victims(self, fresh: bool) -> list[int]:
        executor = self._executor()
        if executor is None:
            return []
        living = sorted(set(executor._processes) - self.killed)
        if fresh:
            return living
        worked = {record.pid for record in self._ledger.read_on()}
        return [pid for pid in living if pid in worked]

    def _strike(self, pid: int) -> None:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            parent = processes.parent_of(pid)
            if parent is None or processes.is_zombie(pid):
                return
            if os.getpid() in (parent, processes.parent_of(parent)):
                self.killed.add(pid)
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)
