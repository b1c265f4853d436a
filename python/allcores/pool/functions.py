"""Which functions may be registered once with the engine, and their bytes.

Registering means: the bytes go to each worker once, are unpickled there once, and every later task
only names them. That is right where a task can't tell the difference:

* **importable** functions, built-ins and classes: pickled by reference, never stale;
* functions of `__main__` **whose every reference is steady** (`references.is_steady`: scalars,
  modules, importable things, tuples of these, and functions and classes of `__main__` of the same
  kind): the bytes stay right as long as code, defaults and each global are the very objects they
  were; looking at them takes less than a microsecond;
* other functions that `__main__` **holds under their own name** (decorated ones, readers of mutable
  globals): pickled at each look-up, so that a task sees the values of the moment it was submitted;
  only if the bytes are the same as before is the registration used again. As with an importable
  function, state kept in the worker's copy persists.

Everything else (closures, partials, bound methods, callable objects) is not cacheable: it travels
with each task.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from types import CodeType, FunctionType

from .._core import Shipment
from .codec import Encoder, loads
from .references import (
    global_names,
    is_importable,
    is_steady,
    main_name,
    possible_names,
    same_watched,
    watch,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ABSENT = object()


class CachedFunction:
    """A callable that may be registered: its bytes (for `codec.load_function`), and a place for the
    engine's id.
    """

    __slots__ = (
        "_globals", "_namespace", "_watched", "caller", "function", "is_fixed", "payload", "tag",
    )  # fmt: skip

    def __init__(self, function: Callable[..., Any], payload: bytes | Shipment) -> None:
        self.function = function
        self.payload = payload
        self.tag: Any = None
        """The executor's own: the id under which it registered the payload."""
        self.caller: Any = None
        """The executor's own: what the futures of its calls have in common."""
        self.is_fixed = True
        """It is right for ever."""
        self._namespace: dict[str, Any] = {}
        self._globals: tuple[tuple[str, Any], ...] = ()
        self._watched: tuple[tuple[Any, ...], ...] | None = ()

    def is_right(self) -> bool:
        """Whether the bytes still say what the function does."""
        get = self._namespace.get
        for name, value in self._globals:
            if get(name, _ABSENT) is not value:
                return False
        return self._watched is not None and (not self._watched or same_watched(self._watched))


class FunctionCache:
    """The callables an executor keeps registered, by identity; the least recently used one goes
    first.

    `lookup(fn)` gives a `CachedFunction`, the same one as long as its bytes are right, or None when
    `fn` has to travel with the task. Those that were replaced or pushed out are collected for
    `take_dropped`.
    """

    def __init__(self, encoder: Encoder, *, size: int = 128) -> None:
        self._encoder = encoder
        self._size = size
        self._entries: OrderedDict[int, CachedFunction] = OrderedDict()
        self._dropped: list[CachedFunction] = []

    def lookup(self, function: Callable[..., Any]) -> CachedFunction | None:
        key = id(function)
        entry = self._entries.get(key)  # it holds the function, so the id can't be another's
        if entry is not None:
            if entry.is_right():
                self._entries.move_to_end(key)
                return entry
            return self._renew(key, entry)
        return self._enter(key, function)

    def take_dropped(self) -> list[CachedFunction]:
        """What the engine may forget since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def _renew(self, key: int, entry: CachedFunction) -> CachedFunction | None:
        made = self._make(entry.function)
        if made is not None and _are_same(made.payload, entry.payload):
            entry._globals, entry._watched = made._globals, made._watched
            return entry
        if self._entries.pop(key, None) is not None:
            self._dropped.append(entry)
        if made is not None:
            self._entries[key] = made
        return made

    def _enter(self, key: int, function: Callable[..., Any]) -> CachedFunction | None:
        made = self._make(function)
        if made is not None:
            self._entries[key] = made
            if len(self._entries) > self._size:
                _, oldest = self._entries.popitem(last=False)
                self._dropped.append(oldest)
        return made

    def _make(self, function: Callable[..., Any]) -> CachedFunction | None:
        if is_importable(function):
            return self._importable(function)
        main = sys.modules["__main__"].__dict__
        if type(function) is FunctionType and function.__globals__ is main:
            return self._of_main(function, main)
        if main_name(function, main) is not None:
            return self._unwatched(function, main)
        return None

    def _importable(self, function: Callable[..., Any]) -> CachedFunction | None:
        payload = self._encoder.dumps(function)
        if not isinstance(function, (FunctionType, type)) and loads(payload) is not function:
            return None  # it has a name like a function's, but pickles as an object with state
        return CachedFunction(function, payload)

    def _of_main(self, function: FunctionType, main: dict[str, Any]) -> CachedFunction | None:
        name = main_name(function, main)
        if name is not None and "." not in name:
            # Workers that are forks have most functions, and all that these refer to.
            surroundings = _Surroundings(main, possible_names)
            if surroundings.gather(function) and self._encoder.shares(
                {name: function, **surroundings.present()}
            ):
                payload = self._encoder.dumps_reference(function)
                return surroundings.watched_function(function, payload)
        surroundings = _Surroundings(main, global_names)
        if surroundings.gather(function):
            return surroundings.watched_function(function, self._encoder.dumps(function))
        return None if name is None else self._unwatched(function, main)

    def _unwatched(self, function: Callable[..., Any], main: dict[str, Any]) -> CachedFunction:
        packed = self._encoder.pack(function)
        made = CachedFunction(function, packed if type(packed) is bytes else Shipment(*packed))
        made._watched = None
        made.is_fixed = False
        return made


def _are_same(one: bytes | Shipment, other: bytes | Shipment) -> bool:
    if isinstance(one, Shipment):
        return isinstance(other, Shipment) and one.is_same(other)
    return one == other


class _Surroundings:
    """What must stay the same for a function of `__main__` and all it refers to."""

    def __init__(
        self, main: dict[str, Any], names_in: Callable[[CodeType], tuple[str, ...]]
    ) -> None:
        self._main = main
        self._names_in = names_in
        self.seen: dict[str, Any] = {}
        self._watched: dict[int, tuple[Any, ...]] = {}

    def gather(self, value: object) -> bool:
        """Collects it for `value`; False if something may change unseen."""
        if is_steady(value):
            return True
        parts = watch(value)
        return parts is not None and all(map(self._gather_part, parts))

    def _gather_part(self, part: tuple[Any, ...]) -> bool:
        owner = part[0]
        if id(owner) in self._watched:
            return True
        self._watched[id(owner)] = part
        if not isinstance(owner, FunctionType):
            return all(is_importable(base) or self.gather(base) for base in owner.__bases__)
        if owner.__globals__ is not self._main:
            return False
        for name in self._names_in(owner.__code__):
            if name not in self.seen:
                self.seen[name] = found = self._main.get(name, _ABSENT)
                if found is not _ABSENT and not self.gather(found):
                    return False
        return True

    def present(self) -> dict[str, Any]:
        """The globals by name."""
        return {name: value for name, value in self.seen.items() if value is not _ABSENT}

    def watched_function(self, function: FunctionType, payload: bytes) -> CachedFunction:
        """The function, to be looked at before each use."""
        made = CachedFunction(function, payload)
        made._namespace = self._main
        made._globals = tuple(self.seen.items())
        made._watched = tuple(self._watched.values())
        made.is_fixed = False
        return made
