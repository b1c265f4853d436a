"""Fork servers of our own, and the standard library's `Popen` classes told to use them.

A server is an instance of the standard library's `ForkServer`; there is one for each list of
modules to preload. One that somebody has asked for by name also has what `__main__` has imported,
as the standard library's has, though not `__main__` itself. Its processes are launched by the
library's own code, run with two names replaced: `spawn`, whose preparation data names no main
module, and `forkserver`, which is our instance.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from multiprocessing import (
    forkserver,
    popen_forkserver,
    popen_spawn_posix,
    process,
    resource_tracker,
    spawn,
    util,
)
from multiprocessing.connection import wait
from types import BuiltinFunctionType, FunctionType, ModuleType

from . import interrupts
from .children import Child, Collected, peak_of_this_process
from .forks import owned_fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PRELOAD = ("allcores.pool.worker", "allcores.pool.bootstrap")
"""Modules every server imports."""

_servers: dict[tuple[str, ...], Any] = {}


class _Server(forkserver.ForkServer):
    """Remembers the environment it was started with, since its children will have that one."""

    environment: dict[str, str]
    is_clean = True
    """It has imported nothing but what is ours."""
    modules: tuple[str, ...] = ()
    """Imported if they can be; what one raises is its own affair."""

    def ensure_running(self) -> None:
        self._leave_if_unreachable()
        before, former = self._pid(), vars(self).get("_forkserver_alive_fd")
        environment = dict(os.environ)
        resource_tracker.ensure_running()  # it unblocks interrupts when it starts
        with interrupts.blocked():
            _ensure_running(self.modules)(self)
        if self._pid() != before:
            self.environment = environment
            if former is not None:
                # Closed by now, and its number may be anybody's.
                owned_fds.discard(former)
            owned_fds.add(vars(self)["_forkserver_alive_fd"])

    def _leave_if_unreachable(self) -> None:
        """Lets go of a server whose socket has gone with `multiprocessing`'s folder.

        `multiprocessing.util` may be told to run its finalizers long before the process ends; its
        own server is stopped along with it then.
        """
        state = vars(self)
        address, pid = state.get("_forkserver_address"), self._pid()
        if pid is None or not isinstance(address, str) or os.path.exists(address):
            return
        owned_fds.discard(state["_forkserver_alive_fd"])
        os.close(state["_forkserver_alive_fd"])  # tells it to end
        os.waitpid(pid, 0)
        state.update(_forkserver_alive_fd=None, _forkserver_pid=None, _forkserver_address=None)

    def _pid(self) -> int | None:
        return vars(self).get("_forkserver_pid")


def server_for(preload: tuple[str, ...]) -> Any:
    """The server that has these modules, besides ours; it may not be running yet. `__main__` among
    them stands for what that has imported by now.
    """
    server = _servers.get(preload)
    if server is None:
        server = _servers.setdefault(preload, _Server())
        names = (*PRELOAD, *(("cloudpickle",) if _needs_cloudpickle() else ()), *preload)
        server.set_forkserver_preload([name for name in dict.fromkeys(names) if name != "__main__"])
        if "__main__" in preload:
            server.modules = _modules_of_main()
        server.is_clean = not server.modules and set(preload) <= {"__main__"}
    return server


def _needs_cloudpickle() -> bool:
    """Are workers likely to import it? It takes a server as long as everything else of ours, so one
    that needs it not is ready sooner.
    """
    main = sys.modules["__main__"]
    return (
        "cloudpickle" in sys.modules
        or not hasattr(main, "__file__")
        or any(_is_class_of_main(value) for value in tuple(vars(main).values()))
    )


def _modules_of_main() -> tuple[str, ...]:
    """The modules, not the standard library's, that `__main__` refers to or has something of."""
    found: dict[str, None] = {}
    for value in tuple(vars(sys.modules["__main__"]).values()):
        name = vars(value).get("__name__") if type(value) is ModuleType else None
        if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
            name = value.__module__
        if isinstance(name, str) and name in sys.modules:
            found[name] = None
    ours = {"__main__", "allcores", "concurrent", "multiprocessing"}
    known = ours | sys.stdlib_module_names
    return tuple(name for name in found if name.partition(".")[0] not in known)


def _is_class_of_main(value: object) -> bool:
    return isinstance(value, type) and getattr(value, "__module__", None) == "__main__"


def environment_since(server: Any) -> dict[str, str | None]:
    """What the children of this server lack of today's environment; None for what they have too
    much.
    """
    server.ensure_running()
    then, now = server.environment, dict(os.environ)
    changed: dict[str, str | None] = {
        name: value for name, value in now.items() if then.get(name) != value
    }
    changed.update(dict.fromkeys(then.keys() - now.keys()))
    return changed


def stop_servers() -> None:
    """Ends all servers of this process and waits for them; for tests, and for those who count their
    children.
    """
    while _servers:
        _, server = _servers.popitem()
        fd = vars(server).get("_forkserver_alive_fd")
        if fd is not None:
            owned_fds.discard(fd)
        server._stop()


def _forget_servers() -> None:
    _servers.clear()


owned_fds.on_child(_forget_servers)


class _Namespace:
    """A module seen through a few replacements."""

    def __init__(self, module: Any, **replacements: Any) -> None:
        self._module = module
        vars(self).update(replacements)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _preparation_data_without_main(name: str) -> dict[str, Any]:
    data = spawn.get_preparation_data(name)
    return {key: value for key, value in data.items() if not key.startswith("init_main_")}


_spawn = _Namespace(spawn, get_preparation_data=_preparation_data_without_main)


def _rebound(function: Any, **names: Any) -> Any:
    """The same function, looking up these globals elsewhere."""
    return FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )


@functools.cache
def _ensure_running(modules: tuple[str, ...]) -> Any:
    """The standard library's, with the path of this process known before anything is preloaded."""
    return _rebound(
        forkserver.ForkServer.ensure_running,
        util=_Namespace(util, spawnv_passfds=functools.partial(_launch, modules)),
    )


_PROGRAM = """
import sys
sys.path[:] = {folders!r}
for name in {modules!r}:
    try:
        __import__(name)
    except BaseException:
        pass
{program}
"""


def _launch(modules: tuple[str, ...], path: Any, args: list[str], fds: Any) -> int:
    folders = [vars(process)["ORIGINAL_DIR"] if folder == "" else folder for folder in sys.path]
    *options, program = args
    whole = _PROGRAM.format(folders=folders, modules=modules, program=program)
    pid: int = util.spawnv_passfds(path, [*options, whole], fds)
    return pid


@functools.cache
def spawn_popen() -> type:
    """The standard library's `Popen` for spawn, without the main module."""
    launch = _rebound(popen_spawn_posix.Popen.__dict__["_launch"], spawn=_spawn)
    return type(
        "Popen", (_SpawnPopen,), {"_launch": launch, "duplicate_for_child": _spawn_duplicate}
    )


class _SpawnPopen(Child, popen_spawn_posix.Popen):
    def __init__(self, process: process.BaseProcess) -> None:
        self._counts_from = peak_of_this_process()
        super().__init__(process)


def forkserver_popen(server: Any) -> Callable[..., Any]:
    """The standard library's `Popen` for forkserver, without the main module and on `server`."""
    names = {
        "spawn": _spawn,
        "forkserver": _Namespace(forkserver, connect_to_new_process=server.connect_to_new_process),
    }
    launch = _rebound(popen_forkserver.Popen.__dict__["_launch"], **names)
    duplicate = _forkserver_duplicate
    return type("Popen", (_ServedPopen,), {"_launch": launch, "duplicate_for_child": duplicate})


class _ServedPopen(Collected, popen_forkserver.Popen):
    """The server collects the process, and sends its exit code once."""

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        if self.returncode is None and not flag & os.WNOHANG:
            wait([self.sentinel])
        with self._collecting:
            return super().poll(os.WNOHANG)


# The arguments may be pickled twice, by reference and then by value; a descriptor goes along once.


def _spawn_duplicate(popen: Any, fd: int) -> int:
    if fd not in popen._fds:
        popen._fds.append(fd)
    return fd


def _forkserver_duplicate(popen: Any, fd: int) -> int:
    if fd not in popen._fds:
        popen._fds.append(fd)
    index: int = popen._fds.index(fd)
    return index


__all__ = ["environment_since", "forkserver_popen", "server_for", "spawn_popen", "stop_servers"]
