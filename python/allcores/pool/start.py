"""Starts worker processes with `multiprocessing`'s own contexts and `Process` objects.

What is added to the standard library's way:

* The script's body never runs in a worker. For spawn and forkserver, `Popen._launch` of the
  standard library is run with a namespace in which `spawn.get_preparation_data` leaves the main
  module out; nothing of the library is changed.
* The default is fork while this process has a single thread, else a fork server of our own:
  without the user's `__main__`, with our worker preloaded; `warm` starts it in the background.
* Descriptors (control socket, black box, leash) go along, by the means of each start method; under
  fork all other descriptors of ours are closed in the child (`forks`).
* Whoever waits for the process learns its peak memory, too (`children`).
* Initializer and arguments are pickled while the process is being started, when locks and queues
  may be pickled, and by value if they belong to `__main__`.

A context whose processes start in a way of their own is used plainly, as the standard library
would.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing import context as contexts
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pickle import PicklingError

from ..settings import Settings
from . import interrupts, nesting, threads
from .bootstrap import Handle, Spec, describe_main
from .codec import Encoder
from .forks import owned_fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Initializer = Callable[..., object]


class Launcher:
    """Starts the workers of one executor.

    `context` is what the caller passed as `mp_context`; None chooses: what the user has set by
    `multiprocessing.set_start_method`, else fork if this process has a single thread when the
    executor is first used (then nobody can hold a lock that the child would wait for, and the
    first worker is there after 6 ms), else the fork server of our own (some 80 ms). Arguments of
    an initializer that can only be inherited (locks of a fork context) are inherited.
    `may_fork=False` is for executors that start workers again and again. `workers` is their number,
    for the share of the cores that each gets.
    """

    def __init__(
        self,
        context: BaseContext | None = None,
        *,
        initializer: Initializer | None = None,
        initargs: tuple[Any, ...] = (),
        may_fork: bool = True,
        workers: int | None = None,
        context_vars: tuple[Any, ...] = (),
        forward_logs: bool = False,
    ) -> None:
        self._is_default = context is None
        self._plain = False
        self.initializer = initializer
        self.initargs = initargs
        self.workers = workers
        self.context_vars = context_vars
        self.forward_logs = forward_logs
        self._modules_seen = 0
        self._may_have_libraries = True
        chosen = context if context is not None else _named_default(initargs)
        self._undecided = chosen is None and may_fork and "fork" in _METHODS
        self.context: BaseContext = _concrete(chosen or _safe_default())
        self._adopt_context()

    def settle(self) -> None:
        """Decides what was left open; to be called when the executor is first used, before
        anything is encoded for its workers.
        """
        if self._undecided:
            self._undecided = False
            if _is_single_threaded():
                self.context = multiprocessing.get_context("fork")
                self._adopt_context()

    @property
    def is_undecided(self) -> bool:
        """Whether nobody has said how workers start, and they may be forked."""
        return self._undecided

    def _adopt_context(self) -> None:
        self.start_method: str = _method_of(self.context)
        self._plain = not _has_stdlib_start(self.context)
        self.encoder = Encoder(main_is_shared=self.start_method == "fork" and not self._plain)

    def release(self) -> None:
        """Lets go of the initializer and its arguments: no worker will be started any more."""
        self.initializer = None
        self.initargs = ()

    def warm(self) -> None:
        """Starts what can be started before the first worker; returns within milliseconds."""
        if self._undecided and _is_single_threaded():
            return
        if self.start_method == "forkserver" and not self._plain:
            self._server().ensure_running()

    def start(
        self,
        target: Callable[..., object],
        fds: tuple[int, ...],
        *extra: Any,
        name: str | None = None,
    ) -> BaseProcess:
        """Starts a worker that runs `target(handles, spec, *extra)`; `fds` stay the caller's, to be
        closed after this.

        In the worker `handle.detach()` gives the descriptor of each of the `handles`, and
        `bootstrap.enter(spec)` is to be called first.
        """
        try:
            return self._start(target, fds, extra, name)
        except (PicklingError, TypeError, AttributeError, RuntimeError) as error:
            if not self._may_fall_back(error):
                raise
        self.context = multiprocessing.get_context("fork")
        self._adopt_context()
        return self._start(target, fds, extra, name)

    def _may_fall_back(self, error: Exception) -> bool:
        """With no context given, arguments that only fork can hand over have always been handed
        over by fork.
        """
        if not self._is_default or self._plain or self.start_method == "fork":
            return False
        if "fork" not in multiprocessing.get_all_start_methods() or sys.version_info >= (3, 14):
            return False
        return not isinstance(error, RuntimeError) or "fork context" in str(error)

    def _start(
        self,
        target: Callable[..., object],
        fds: tuple[int, ...],
        extra: tuple[Any, ...],
        name: str | None,
    ) -> BaseProcess:
        method = self.start_method
        if method == "fork":
            self.encoder.freeze_main()
        popen = None if self._plain else self._popen(method)
        after_threads = method == "fork" and not _is_single_threaded()
        spec = Spec(
            method,
            environment=self._environment(),
            main=None if method == "fork" else describe_main(),
            unblock_interrupts=not interrupts.are_blocked(),
            carried=self._carry(method),
            cores=None if self.workers is None else nesting.share_of_each(self.workers),
            after_threads=after_threads,
            inherits_libraries=after_threads or self._may_inherit_libraries(),
            log_levels=self._log_levels(),
        )
        handles = tuple(Handle(fd, inherited=method == "fork") for fd in fds)
        process: Any = self.context.Process(  # type: ignore[attr-defined]
            target=target, args=(handles, spec, *extra), name=name
        )
        if popen is not None:
            if self._is_default and method != "fork":
                process._start_method = (
                    multiprocessing.get_start_method()
                )  # what tasks will find as their default
            process._Popen = _Starter(popen)
        if method != "fork":
            from multiprocessing import resource_tracker

            resource_tracker.ensure_running()  # starting it would unblock what is blocked next
        with interrupts.blocked(), owned_fds.keeping(*fds):
            process.start()
        return process  # type: ignore[no-any-return]

    def _may_inherit_libraries(self) -> bool:
        if self.start_method != "fork":
            is_ours = self.start_method == "forkserver" and not self._plain
            return is_ours and not self._server().is_clean
        # Looked for again only when something was imported: after a fork each look costs copies.
        if self._modules_seen != len(sys.modules):
            self._modules_seen = len(sys.modules)
            self._may_have_libraries = threads.may_have_libraries()
        return self._may_have_libraries

    def _log_levels(self) -> Any:
        if not self.forward_logs:
            return None
        from . import logs

        return logs.levels()

    def _carry(self, method: str) -> Any:
        call = None if self.initializer is None else (self.initializer, self.initargs)
        if call is None and not self.context_vars:
            return None
        from .carried import Carried, Inherited

        content = (call, self.context_vars)
        return Inherited(content) if method == "fork" else Carried(self.encoder, content)

    def _popen(self, method: str) -> Callable[[BaseProcess], Any]:
        if method == "fork":
            from .children import ForkPopen

            return ForkPopen
        from . import servers

        if method == "spawn":
            return servers.spawn_popen()
        return servers.forkserver_popen(self._server())

    def _server(self) -> Any:
        from .servers import server_for

        return server_for(() if self._is_default else _user_preload())

    def _environment(self) -> dict[str, str | None]:
        if self.start_method != "forkserver" or self._plain:
            return {}
        from .servers import environment_since

        return environment_since(self._server())


_METHODS = multiprocessing.get_all_start_methods()


def _is_single_threaded(*, own: int = 0) -> bool:
    """Whether a fork of this process is safe: no thread but this one, Python's or others'. So many
    are our `own`, and won't be there by then.
    """
    most = 1 + own
    try:
        while len(tasks := os.listdir("/proc/self/task")) > most:
            if len([task for task in tasks if not _is_leaving(task)]) > most:
                return False
            # Who waits for the end of a thread hears of it a moment before the system has it.
            os.sched_yield()
    except OSError:
        # Not Linux. System libraries elsewhere have threads of their own.
        return False
    return True


def _is_leaving(task: str) -> bool:
    """Whether that thread runs nothing any more: it is on its way out within the kernel."""
    try:
        with open(f"/proc/self/task/{task}/stat") as file:
            words = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return bool(int(words[6]) & _PF_EXITING)


def would_fork(*, own: int) -> bool:
    """Whether the workers of an executor without a context would be forks, made now, if so many
    threads, our `own`, were not there.
    """
    return "fork" in _METHODS and _named_default(()) is None and _is_single_threaded(own=own)


_PF_EXITING = 4  # of the kernel's flags of a task


def _safe_default() -> BaseContext:
    return multiprocessing.get_context("forkserver" if "forkserver" in _METHODS else _METHODS[0])


def _named_default(initargs: tuple[Any, ...]) -> BaseContext | None:
    """The context that somebody has asked for, if not by `mp_context`; None: nobody has."""
    methods = _METHODS
    wanted = Settings.from_environment().start_method
    if wanted in methods:
        return multiprocessing.get_context(wanted)
    chosen = multiprocessing.get_start_method(allow_none=True)
    if chosen is not None and chosen != methods[0]:
        return multiprocessing.get_context(
            chosen
        )  # set by the user: nobody else sets another than the default
    if "fork" in methods and _holds_fork_locks(initargs):
        return multiprocessing.get_context("fork")
    return None


def _holds_fork_locks(root: object, limit: int = 500) -> bool:
    """Is there, within reach, a lock that only a forked child can use?"""
    waiting: list[object] = [root]
    seen: set[int] = set()
    while waiting and len(seen) < limit:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, (str, bytes, int, float, type)):
            continue
        seen.add(id(value))
        if type(value).__module__ == "multiprocessing.synchronize" and getattr(
            value, "_is_fork_ctx", False
        ):
            return True
        if isinstance(value, (list, tuple, set, frozenset)):
            waiting.extend(list(value)[:limit])
        elif isinstance(value, dict):
            waiting.extend(list(value.values())[:limit])
        else:
            waiting.extend(getattr(value, "__dict__", {}).values())
    return False


def _concrete(context: Any) -> BaseContext:
    """What stands behind `multiprocessing` itself or its default context."""
    resolve = getattr(context, "get_context", None)
    found: BaseContext = resolve() if resolve is not None else context
    return found


def _method_of(context: Any) -> str:
    method = getattr(context, "get_start_method", lambda: "spawn")()
    return method if isinstance(method, str) else "spawn"


_STDLIB_PROCESSES: dict[str, Any] = {
    "fork": getattr(contexts, "ForkProcess", None),
    "spawn": getattr(contexts, "SpawnProcess", None),
    "forkserver": getattr(contexts, "ForkServerProcess", None),
}


def _has_stdlib_start(context: Any) -> bool:
    """Do this context's processes start as the standard library's? A subclass may have a way of its
    own.
    """
    stdlib = _STDLIB_PROCESSES.get(_method_of(context))
    process = getattr(context, "Process", None)
    return stdlib is not None and getattr(process, "_Popen", None) is stdlib._Popen


def _user_preload() -> tuple[str, ...]:
    """What the user asked to be preloaded by `set_forkserver_preload`, else the main module."""
    from multiprocessing import forkserver

    names: Any = vars(forkserver)["_forkserver"]._preload_modules
    return tuple(names or ())


class _Starter:
    """Takes the place of a process's `_Popen` for one start; what is pickled has no trace of it."""

    def __init__(self, popen: Callable[[BaseProcess], Any]) -> None:
        self._popen = popen

    def __call__(self, process: BaseProcess) -> Any:
        vars(process).pop("_Popen", None)
        return self._popen(process)
