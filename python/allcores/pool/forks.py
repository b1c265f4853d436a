"""What a forked child must not keep: the parent's descriptors.

A worker's death is known by the end of its control socket, so a stray copy of that socket in some
forked child would hide it. Everything that opens such a descriptor puts it in `owned_fds`; in each
forked child (a worker started with the fork method, or the user's own `os.fork`) all of them are
closed before any other code runs. Only the descriptors lent to the worker being started by
`keeping` survive. `generation()` tells an object of the parent that it finds itself in a child,
where its threads are gone and its descriptors closed.

It does not unmap shared memory: a segment's pages stay mapped in the child until it ends or
replaces its image.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from .._core import note_fork


class OwnedFds:
    """The descriptors of this process that no forked child may keep."""

    def __init__(self) -> None:
        self._fds: set[int] = set()
        self._sources: dict[int, Callable[[], Iterable[int]]] = {}
        self._next_source = 0
        self._lock = threading.RLock()
        self._kept: frozenset[int] = frozenset()
        self._doomed: frozenset[int] = frozenset()
        self._resets: list[Callable[[], None]] = []
        self._preparations: list[Callable[[], None]] = []

    def add(self, fd: int) -> None:
        with self._lock:
            self._fds.add(fd)

    def discard(self, fd: int) -> None:
        with self._lock:
            self._fds.discard(fd)

    def close(self, fds: Iterable[int]) -> None:
        """Closes descriptors that were added."""
        with self._lock:
            for fd in fds:
                self._fds.discard(fd)
                os.close(fd)

    def add_source(self, source: Callable[[], Iterable[int]]) -> int:
        """Asks `source` for more descriptors just before each fork, in the parent; returns what
        `drop_source` takes.
        """
        with self._lock:
            self._next_source += 1
            self._sources[self._next_source] = source
            return self._next_source

    def drop_source(self, key: int) -> None:
        """Asks it no more. A finalizer may say so, in any thread at any moment, so this waits for
        nobody: one who forks holds the lock, and may be waiting for what that thread holds.
        """
        self._sources.pop(key, None)

    def all(self) -> frozenset[int]:
        """What a fork made now would close in the child."""
        with self._lock:
            found = set(self._fds)
            for source in self._sources.copy().values():
                found.update(source())
        return frozenset(found)

    def before_foreign_fork(self, prepare: Callable[[], None]) -> None:
        """Has `prepare` called before each fork that starts no worker, in the thread that forks."""
        self._preparations.append(prepare)

    def on_child(self, reset: Callable[[], None]) -> None:
        """Has `reset` called in each forked child, after the descriptors are closed."""
        self._resets.append(reset)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """No fork happens in another thread inside this block: for making a descriptor and adding
        it.
        """
        with self._lock:
            yield

    @contextmanager
    def keeping(self, *fds: int) -> Iterator[None]:
        """Forks in this block (they are the caller's own) leave `fds` open in the child."""
        with self._lock:
            before, self._kept = self._kept, frozenset(fds)
            try:
                yield
            finally:
                self._kept = before

    def _before_fork(self) -> None:
        # Who starts a worker holds the lock, and others may be waiting for it.
        if not self._lock._is_owned():  # type: ignore[attr-defined]
            for prepare in self._preparations:
                prepare()
        self._lock.acquire()
        note_fork()
        doomed = set(self._fds)
        for source in self._sources.copy().values():
            try:
                doomed.update(source())
            except Exception:
                continue
        self._doomed = frozenset(doomed) - self._kept

    def _after_fork_in_parent(self) -> None:
        self._doomed = frozenset()
        self._lock.release()

    def _after_fork_in_child(self) -> None:
        doomed, self._doomed = self._doomed, frozenset()
        self._fds.clear()
        self._sources.clear()
        self._kept = frozenset()
        self._lock = threading.RLock()
        for fd in doomed:
            try:
                os.close(fd)
            except OSError:
                continue
        for reset in self._resets:
            reset()


def above_stdio(fd: int) -> int:
    """The same descriptor under a number that is no standard stream's: a program may have closed
    those, and what prints would write into it.
    """
    if fd > 2:
        return fd
    import fcntl

    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return moved


owned_fds = OwnedFds()
_generation = 0


def generation() -> int:
    """How many forks lie between the process that imported this and the running one."""
    return _generation


def _count_fork() -> None:
    global _generation
    _generation += 1
    owned_fds._after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=owned_fds._before_fork,
        after_in_parent=owned_fds._after_fork_in_parent,
        after_in_child=_count_fork,
    )
