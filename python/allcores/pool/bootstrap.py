"""The first moments of a worker: it gets the surroundings that the caller's process has.

`enter(spec)` is what the worker's main function calls first. `multiprocessing` has set the path,
the arguments and the directory by then (and, under fork, there is nothing to set); what remains is
the environment since the fork server started, this worker's share of the cores, an empty
`__main__` that bears the script's name, and Ctrl-C, which is the parent's affair.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType

from . import definitions, interrupts, nesting, threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Spec:
    """What `Launcher` tells a worker about its surroundings."""

    __slots__ = (
        "_carried",
        "after_threads",
        "cores",
        "environment",
        "inherits_libraries",
        "log_levels",
        "main",
        "start_method",
        "unblock_interrupts",
    )

    def __init__(
        self,
        start_method: str,
        *,
        environment: dict[str, str | None] | None = None,
        main: dict[str, str | None] | None = None,
        unblock_interrupts: bool = True,
        carried: Any = None,
        cores: int | None = None,
        after_threads: bool = False,
        inherits_libraries: bool = False,
        log_levels: Any = None,
    ) -> None:
        self.start_method = start_method
        self.environment = environment or {}
        self.main = main
        self.unblock_interrupts = unblock_interrupts
        self._carried = carried
        self.cores = cores
        self.after_threads = after_threads
        self.inherits_libraries = inherits_libraries
        self.log_levels = log_levels

    def initializer(self) -> tuple[Callable[..., object], tuple[Any, ...]] | None:
        """The initializer and its arguments, unpickled here and now, together with the executor's
        context variables; to be called after `enter`.
        """
        if self._carried is None:
            return None
        call: tuple[Callable[..., object], tuple[Any, ...]] | None
        call, variables = self._carried.open()
        if variables:
            from . import context

            context.adopt(variables)
        return call


class Handle:
    """A descriptor on its way into a worker."""

    def __init__(self, fd: int, *, inherited: bool) -> None:
        self._fd = fd
        self._inherited = inherited

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        return _Arrived, (DupFd(self._fd),)

    def detach(self) -> int:
        """The descriptor; children of the worker will not have it."""
        os.set_inheritable(self._fd, False)
        return self._fd


class _Arrived(Handle):
    def __init__(self, parcel: Any) -> None:
        self._parcel = parcel

    def detach(self) -> int:
        fd: int = self._parcel.detach()
        os.set_inheritable(fd, False)
        return fd


def describe_main() -> dict[str, str | None]:
    """What a worker's `__main__` should say about itself, taken from this process's."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if isinstance(path, str) and not os.path.isabs(path):
        from multiprocessing import process

        path = os.path.normpath(os.path.join(vars(process)["ORIGINAL_DIR"] or os.getcwd(), path))
    found: dict[str, str | None] = {"__package__": getattr(main, "__package__", None)}
    if isinstance(path, str):
        found["__file__"] = path
    return found


def enter(spec: Spec) -> None:
    """Makes this process a worker's: environment, `__main__`, interrupts, its name in the system's
    lists.
    """
    interrupts.leave_to_parent(unblock=spec.unblock_interrupts)
    for name, value in spec.environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if spec.cores is not None:
        inherited = spec.inherits_libraries
        threads.limit(spec.cores, inherited=inherited, after_threads=spec.after_threads)
    nesting.settle(spec.cores)
    if spec.main is not None:
        _replace_main(spec.main)
    definitions.begin(inherited=spec.start_method == "fork")
    _name_process(b"allcores-worker")


_former_mains: list[ModuleType] = []


def _replace_main(attributes: dict[str, str | None]) -> None:
    _former_mains.append(sys.modules["__main__"])  # its namespace would be cleared with it
    main = ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    main.__dict__.update(attributes)
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main


def _name_process(name: bytes) -> None:
    try:
        fd = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, name)
        finally:
            os.close(fd)
    except OSError:
        pass
