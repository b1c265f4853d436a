"""The worker's `__main__`: an empty module into which the parent's definitions are installed.

The script's body never runs in a worker. What a task needs of the parent's `__main__` comes with it
in a *table*: for each name a digest and a pickle (made by `main_module`). An entry is installed
when

* it is a function or class and its digest is not the one last installed under that name: the
  parent's newest version wins, and an unchanged one keeps its identity and the state of its class
  from task to task;
* it is data, and the worker has nothing of that name, or the parent sent another value before. So
  what an initializer or an earlier task put there stays until the parent itself changes it.

Functions are rebuilt with this module's namespace as their globals, so that all of them see the
same variables. An entry may refer to another by name (`__main__.Base`); whichever is needed first
is installed first, and skeletons are registered before they are filled, so that cycles resolve.

What can't be sent or can't be rebuilt is remembered with its reason (`why_missing`); only using it
is an error.
"""

from __future__ import annotations

import io
import marshal
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import CellType, CodeType, FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAIN_NAMES = ("__main__", "__mp_main__")

FOLLOW, DATA = 0, 1
"""Kinds of entries: functions and classes follow the parent, data only while the parent changes
it.
"""

Entry = tuple[str, int, bytes, bytes | None, str, list[object]]
"""Name, kind, digest, pickle (None if it could not be made), the reason of that, the pickle's large
buffers."""

Table = tuple[Entry, ...]


class SharedMain:
    """What workers that are forks of this process have of its `__main__`.

    It keeps alive nothing that can be referred to weakly: what the script drops is gone. Lists,
    dictionaries and the like can't; of a former one it must be certain that it is not today's.
    """

    def __init__(self) -> None:
        self._values: dict[str, Callable[[], Any]] | None = None

    def freeze(self) -> None:
        """To be called before the first fork: what is there now, all workers will have."""
        if self._values is None:
            values = dict(sys.modules["__main__"].__dict__)
            self._values = {name: _reference(value) for name, value in values.items()}

    def has(self, name: str, value: object) -> bool:
        """Before the first fork that is everything."""
        if self._values is None:
            return True
        reference = self._values.get(name)
        return reference is not None and reference() is value


_GONE = object()


def _reference(value: Any) -> Callable[[], Any]:
    from weakref import ref

    try:
        weak = ref(value)
    except TypeError:
        return lambda: value
    return lambda: _GONE if (found := weak()) is None else found


class _Received:
    """What this process got from its parent so far."""

    def __init__(self) -> None:
        self.digests: dict[str, bytes] = {}
        self.missing: dict[str, str] = {}
        self.version = 0
        self.inherited = False
        self.recordings: list[list[Table]] = []


_received = _Received()


def begin(*, inherited: bool) -> None:
    """Forgets what was received; `inherited` says that this process is a fork of the parent and has
    its `__main__`.
    """
    global _received
    _received = _Received()
    _received.inherited = inherited


def version() -> int:
    """Changes whenever something was installed."""
    return _received.version


def why_missing(name: str) -> str | None:
    """Why the parent's global `name` is not here, if it was needed and could not come."""
    return _received.missing.get(name)


@contextmanager
def recording() -> Iterator[list[Table]]:
    """The tables opened inside the block."""
    tables: list[Table] = []
    _received.recordings.append(tables)
    try:
        yield tables
    finally:
        _received.recordings.remove(tables)


def open_message(table: Table, payload: bytes, buffers: Iterable[Any] = ()) -> Any:
    """Installs `table`, then unpickles `payload`, whose large buffers are `buffers`. This is what
    `loads` calls for a message with definitions.
    """
    for tables in _received.recordings:
        tables.append(table)
    _install(table)
    try:
        return pickle.loads(payload, buffers=buffers)
    except AttributeError as error:
        for name, reason in _received.missing.items():
            if f"'{name}'" in str(error):
                error.add_note(f"`{name}` of `__main__` could not be sent: {reason}")
        raise


def restore(tables: tuple[Table, ...]) -> int:
    """Puts the definitions of these tables back where others have replaced them; returns the
    version then.
    """
    for table in tables:
        _install(table)
    return _received.version


def _install(table: Table) -> None:
    received = _received
    namespace = sys.modules["__main__"].__dict__
    pending: dict[str, Entry] = {}
    for entry in table:
        name, kind, digest, *_ = entry
        last = received.digests.get(name)
        if last == digest:
            continue
        if kind == DATA and last is None and name in namespace and not received.inherited:
            received.digests[name] = (
                digest  # put here by this process itself before the parent spoke of it
            )
            continue
        pending[name] = entry
    if pending:
        received.version += 1
        installer = _Installer(pending, namespace)
        while pending:
            installer.install(next(iter(pending)))


class _Installer:
    def __init__(self, pending: dict[str, Entry], namespace: dict[str, Any]) -> None:
        self._pending = pending
        self._namespace = namespace

    def install(self, name: str) -> None:
        name, _, digest, blob, reason, buffers = self._pending.pop(name)
        received = _received
        received.digests[name] = digest
        if blob is None:
            received.missing[name] = reason
            return
        try:
            self._namespace[name] = _Loader(blob, buffers, self).load()
            received.missing.pop(name, None)
        except Exception as error:
            received.missing[name] = f"{type(error).__name__}: {error}"

    def need(self, name: str) -> None:
        if name in self._pending:
            self.install(name)


class _Loader(pickle.Unpickler):
    """Installs a definition when another one refers to it."""

    def __init__(self, blob: bytes, buffers: list[Any], installer: _Installer) -> None:
        super().__init__(io.BytesIO(blob), buffers=buffers)
        self._installer = installer

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name in MAIN_NAMES:
            self._installer.need(global_name.partition(".")[0])
        return super().find_class(module_name, global_name)


# What the pickles call.
# ------------------------------------------------------------------------------------------


def define(name: str, maker: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Makes a function or class of `__main__` and registers it at once, still empty, for those that
    refer to it.
    """
    made = maker(*args)
    sys.modules["__main__"].__dict__[name] = made
    return made


def make_function(code: bytes | CodeType, name: str, cells: int) -> FunctionType:
    """A function whose globals are this process's `__main__`; `fill_function` adds the rest."""
    if isinstance(code, bytes):
        code = marshal.loads(code)
        assert isinstance(code, CodeType)
    closure = tuple(CellType() for _ in range(cells)) if cells else None
    return FunctionType(code, sys.modules["__main__"].__dict__, name, None, closure)


def fill_function(
    function: FunctionType, state: tuple[dict[str, Any], dict[str, Any], tuple[Any, ...]]
) -> None:
    """Attributes, special attributes and the contents of the closure's cells (each in a tuple;
    empty if unset).
    """
    attributes, special, contents = state
    function.__dict__.update(attributes)
    special.pop("submodules", None)
    for name, value in special.items():
        setattr(function, name, value)
    for cell, content in zip(function.__closure__ or (), contents, strict=True):
        if isinstance(content, CellType):
            raise TypeError("a cell within a cell")
        if content:
            cell.cell_contents = content[0]


def make_class(known: list[bool], maker: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """A class from a worker; `known` becomes `[True]` if this process had it already, by its
    tracker id.
    """
    from cloudpickle import cloudpickle  # type: ignore[import-untyped]

    tracker_id = next((arg for arg in reversed(args) if isinstance(arg, str)), None)
    found = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(tracker_id)
    known[:] = [found is not None]
    return found if found is not None else maker(*args)


def fill_class(cls: type, state: tuple[list[bool], Any]) -> None:
    """Fills a class made by `make_class`; one that was here before keeps its own attributes."""
    known, content = state
    if not known[0]:
        from cloudpickle import cloudpickle

        cloudpickle._class_setstate(cls, content)
