"""Sends what `__main__` defines to workers, whose own `__main__` is an empty module
(`definitions`).

A message is a *table* and a payload. In the payload an object that `__main__` holds under its own
name is pickled by reference, and its name goes into the table with its definition: a pickle of its
own, by value. That definition may need other names (the globals of a function, the base of a
class); they go into the table too, until nothing is missing. So every message is complete, a worker
can tell by a digest what it has already, classes come back by reference to the originals, and
cycles are harmless.

Functions of `__main__` without a name there (lambdas, nested ones, decorated ones) are pickled in
place, as cloudpickle does, save that in the worker their globals are those of its `__main__`.
Everything else is cloudpickle's business.

A global that can't be pickled does not fail the task: it may never be used, or an initializer may
have made the worker's own. The reason travels instead.
"""

from __future__ import annotations

import copyreg
import dataclasses
import functools
import io
import marshal
import pickle
import sys
import typing
from collections.abc import Callable
from contextvars import ContextVar
from enum import Enum
from hashlib import blake2b
from multiprocessing.reduction import ForkingPickler
from os import urandom
from types import FunctionType, MemberDescriptorType
from typing import Any

from cloudpickle import cloudpickle  # type: ignore[import-untyped]

from .._core import Shipment
from . import definitions, nesting, variables
from .apart import BUFFER_REDUCERS, Apart, Loose, Packed, packed
from .definitions import DATA, FOLLOW, MAIN_NAMES, Entry
from .references import PICKLE_CACHE, global_names, is_importable, main_name, same_watched, watch

_OWN_NAMES = frozenset(
    {
        "__annotations__",
        "__builtins__",
        "__cached__",
        "__doc__",
        "__file__",
        "__loader__",
        "__name__",
        "__package__",
        "__spec__",
    }
)


class MainSender:
    """Makes messages for workers and remembers the definitions it has pickled while they can't have
    changed.
    """

    def __init__(self, shared: definitions.SharedMain | None = None) -> None:
        self._cache: dict[str, _Definition] = {}
        self._shared = shared

    def dumps(self, value: object) -> bytes:
        """The message for `value`; a plain pickle when it needs nothing of `__main__`."""
        payload, needs = _pickle(value, None)
        table = self.table(needs)
        if not table:
            return payload
        return pickle.dumps(_Message(table, payload), 5)

    def pack(self, value: object) -> Packed:
        """The same, large buffers beside it."""
        apart = Apart()
        payload, needs = _pickle(value, None, apart)
        table = self.table(needs)
        if table:
            # The outer pickle hands the buffers on, to be given to the inner one.
            beside = Apart()
            buffers = [pickle.PickleBuffer(each) for each in apart.buffers]
            message = _Message(table, payload, *([buffers] if buffers else ()))
            payload, apart = pickle.dumps(message, 5, buffer_callback=beside), beside
        return packed(Loose([payload], apart.buffers))

    def table(self, needs: dict[str, None]) -> definitions.Table:
        """The entries for these names and for all that they need in turn."""
        namespace = sys.modules["__main__"].__dict__
        entries: list[Entry] = []
        waiting = list(needs)
        seen = set(waiting)
        while waiting:
            name = waiting.pop()
            if name not in namespace or name in _OWN_NAMES:
                continue
            value = namespace[name]
            is_shared = self._shared is not None and self._shared.has(name, value)
            if is_shared and not isinstance(value, (FunctionType, type)):
                continue
            found = self._define(name, value)
            if not is_shared:
                entries.append(found.entry)
            for other in found.needs:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        return tuple(entries)

    def _define(self, name: str, value: object) -> _Definition:
        known = self._cache.get(name)
        if (
            known is not None
            and known.value is value
            and known.watched is not None
            and same_watched(known.watched)
        ):
            return known
        made = _Definition(name, value)
        self._cache[name] = made
        return made


class _Definition:
    """One entry, what it needs, and what to look at to know that it is still right (None: pickle it
    anew).
    """

    __slots__ = ("entry", "needs", "shipment", "value", "watched")

    def __init__(self, name: str, value: object) -> None:
        self.value = value
        follows = isinstance(value, (FunctionType, type))
        self.watched = watch(value)
        self.shipment: Shipment | None = None
        """Keeps the numbers of its large buffers' contents good, which are in the digest."""
        blob: bytes | None
        apart, marks = Apart(), b""
        try:
            blob, self.needs = _pickle(value, name, apart)
            reason = ""
            if apart.buffers:
                self.shipment = Shipment([], apart.buffers)
                contents = self.shipment.contents
                # Contents that nobody knows are as good as new ones.
                marks = repr(contents).encode() if 0 not in contents else urandom(16)
        except RecursionError:
            raise
        except Exception as error:
            blob, self.needs, reason = None, {}, f"{type(error).__name__}: {error}"
        seen = blob if blob is not None else reason.encode("utf-8", "replace")
        digest = blake2b(seen + marks, digest_size=16).digest()
        buffers: list[object] = [pickle.PickleBuffer(each) for each in apart.buffers]
        self.entry: Entry = (name, FOLLOW if follows else DATA, digest, blob, reason, buffers)


class _Message:
    __slots__ = ("content",)

    def __init__(self, table: definitions.Table, payload: bytes, *buffers: list[Any]) -> None:
        self.content = (table, payload, *buffers)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return definitions.open_message, self.content


def dumps_for_parent(value: object) -> bytes:
    """By value for the parent, which has the originals: no definitions go along."""
    file = io.BytesIO()
    _ResultPickler(file, None, {}).dump(value)
    return file.getvalue()


def _pickle(
    value: object, defining: str | None, apart: Apart | None = None
) -> tuple[bytes, dict[str, None]]:
    file = io.BytesIO()
    needs: dict[str, None] = {}
    _Pickler(file, defining, needs, apart).dump(value)
    return file.getvalue(), needs


# Reducers for what neither pickle nor cloudpickle gets right.
# ------------------------------------------------------


def _rebuild_cache(
    function: Callable[..., Any], parameters: dict[str, Any], attributes: dict[str, Any]
) -> Any:
    made = functools.lru_cache(**parameters)(function)
    made.__dict__.update(attributes)
    return made


def _reduce_cached_property(prop: functools.cached_property[Any]) -> Any:
    state = {
        name: value for name, value in vars(prop).items() if name != "lock"
    }  # a lock until Python 3.11
    return functools.cached_property, (prop.func,), state


def _reduce_dataclass_mark(mark: object) -> Any:
    for name, value in vars(dataclasses).items():
        if value is mark:
            return getattr, (dataclasses, name)
    return object.__reduce_ex__(mark, 5)


_DISPATCH: dict[Any, Any] = {
    **cloudpickle.Pickler._dispatch_table,
    functools.cached_property: _reduce_cached_property,
    **{
        type(vars(dataclasses)[name]): _reduce_dataclass_mark
        for name in ("MISSING", "KW_ONLY", "_HAS_DEFAULT_FACTORY")
        if name in vars(dataclasses)
    },
}
_LRU_CACHE = type(functools.lru_cache(lambda: None))


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """One pickle. `defining` is the name whose definition this is: what belongs to it goes by
    value.
    """

    _to_parent = False

    def __init__(
        self,
        file: io.BytesIO,
        defining: str | None,
        needs: dict[str, None],
        apart: Apart | None = None,
    ) -> None:
        forking: dict[Any, Any] = ForkingPickler._extra_reducers  # type: ignore[attr-defined]
        self.dispatch_table = {
            **copyreg.dispatch_table,
            **BUFFER_REDUCERS,
            **forking,
            **_DISPATCH,
        }  # read once, by `__init__`
        super().__init__(file, protocol=5, buffer_callback=apart)
        self._defining = defining
        self._needs = needs
        self._namespace = sys.modules["__main__"].__dict__
        self._plain: set[type] = (
            set()
        )  # this is asked for every instance of every class: one look for most

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if kind in self._plain:
            return NotImplemented
        if kind is FunctionType:
            if value.__globals__ is self._namespace:
                return self._by_name(value) or self._function(value)
        elif issubclass(kind, type):
            if getattr(value, "__module__", None) in MAIN_NAMES:
                return self._by_name(value) or self._class(value)
        elif kind is _LRU_CACHE:
            if not is_importable(value):
                return self._by_name(value) or self._cache(value)
        elif kind is typing.NewType:
            if value.__module__ in MAIN_NAMES:
                attributes = {"__module__": value.__module__, "__qualname__": value.__qualname__}
                return self._by_name(value) or (
                    typing.NewType,
                    (value.__name__, value.__supertype__),
                    attributes,
                )
        elif kind is ContextVar:
            return self._variable(value)
        elif issubclass(kind, nesting.Original):
            return value.reference(to_parent=self._to_parent)
        else:
            self._plain.add(kind)
            return NotImplemented
        return super().reducer_override(value)

    def _by_name(self, value: Any) -> str | None:
        """The name under which the worker will find it, unless this is the place where it is
        defined.
        """
        name = main_name(value, self._namespace)
        if name is None:
            return None
        top = name.partition(".")[0]
        if top == self._defining:
            return None
        self._need(top)
        return name

    def _need(self, name: str) -> None:
        self._needs[name] = None

    def _defines(self, value: Any) -> bool:
        return self._defining is not None and self._namespace.get(self._defining) is value

    def _function(self, function: FunctionType) -> Any:
        names = global_names(function.__code__)
        for name in names:  # those that do not exist yet too: this definition may be kept
            if name != self._defining:
                self._need(name)
        maker: Any = definitions.make_function
        args: tuple[Any, ...] = (
            _code(function),
            function.__name__,
            len(function.__closure__ or ()),
        )
        if self._defines(function):
            maker, args = definitions.define, (self._defining, maker, args)
        contents = [_content(cell) for cell in function.__closure__ or ()]
        special = {
            name: value
            for name in (
                "__qualname__",
                "__module__",
                "__doc__",
                "__defaults__",
                "__kwdefaults__",
                "__type_params__",
            )
            if (value := getattr(function, name, None)) not in (None, ())
        }
        if annotations := _annotations(function):
            special["__annotations__"] = annotations
        around = [self._namespace.get(name) for name in names]
        around += [value[0] for value in contents if value]
        if submodules := cloudpickle._find_imported_submodules(function.__code__, around):
            special["submodules"] = submodules  # unpickling them imports them
        state = (dict(function.__dict__), special, tuple(contents))
        return maker, args, state, None, None, definitions.fill_function

    def _class(self, cls: type) -> Any:
        maker, args, *rest = cloudpickle._dynamic_class_reduce(cls)
        state = rest[0][0]
        state.pop(PICKLE_CACHE, None)
        if "__slots__" in state and _takes_slots(cls):
            args[3]["__slots__"] = state.pop("__slots__")  # has to be there when the class is made
            for name, member in vars(cls).items():
                if isinstance(member, MemberDescriptorType):
                    state.pop(name, None)
        if self._defines(cls):
            maker, args = definitions.define, (self._defining, maker, args)
        return (maker, args, *rest)

    def _variable(self, variable: ContextVar[Any]) -> Any:
        home = variables.home_of(variable)
        if home is None:
            return variables.by_token(variable)
        module_name, name = home
        if module_name != "__main__":
            return variables.find, home
        if name == self._defining:
            definition = variables.definition_of(variable)
            return definitions.define, (name, variables.make, (definition,))
        self._need(name)
        return name

    def _cache(self, cache: Any) -> Any:
        attributes = {
            name: value for name, value in vars(cache).items() if name != "cache_parameters"
        }
        return _rebuild_cache, (cache.__wrapped__, cache.cache_parameters(), attributes)


class _ResultPickler(_Pickler):
    """The way back: names of `__main__` stay names, and a class that the parent has keeps its own
    attributes there.
    """

    _to_parent = True

    def _class(self, cls: type) -> Any:
        return _as_known_class(cloudpickle._dynamic_class_reduce(cls))

    def reducer_override(self, value: Any) -> Any:
        reduced = super().reducer_override(value)
        if (
            isinstance(value, type)
            and isinstance(reduced, tuple)
            and reduced[-1] is cloudpickle._class_setstate
        ):
            return _as_known_class(reduced)
        return reduced


def _as_known_class(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    if reduced[0] is definitions.make_class:
        return reduced
    known: list[bool] = []
    maker, args, state, *_ = reduced
    return (
        definitions.make_class,
        (known, maker, args),
        (known, state),
        None,
        None,
        definitions.fill_class,
    )


def _takes_slots(cls: type) -> bool:
    return not issubclass(cls, Enum) and typing.NamedTuple not in getattr(cls, "__orig_bases__", ())


def _code(function: FunctionType) -> Any:
    """Bytes that are the same each time (marshal's version 2 has no back references that depend on
    reference counts).
    """
    try:
        return marshal.dumps(function.__code__, 2)
    except ValueError:  # constants of newer Pythons, or put there by hand
        return function.__code__


def _annotations(function: FunctionType) -> dict[str, Any]:
    try:
        return function.__annotations__
    except Exception:  # Python 3.14 evaluates them here
        return {}


def _content(cell: Any) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()
