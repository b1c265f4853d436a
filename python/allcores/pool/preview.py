"""A short text for arguments of which only the pickle is known, made without unpickling them.

When a worker died over a task, unpickling its arguments here could end this process too. So the
pickle is read with nothing but stand-ins: no class is imported, nothing that it names is called.
What numbers, strings and containers hold is shown; everything else appears as `<Name>`. A pickle
that is too large is described by its size, one that can't be read as `…`.
"""

from __future__ import annotations

import copyreg
import io
import pickle
from itertools import repeat

from .failures import argument_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIMIT = 256_000
"""The largest pickle that is looked into, in bytes."""

UNKNOWN = "…"

# Made by their constructors in time and space that do not depend on the arguments.
_HARMLESS: dict[tuple[str, str], Any] = {
    ("builtins", "complex"): complex,
    ("builtins", "range"): range,
    ("builtins", "slice"): slice,
}

_BETTER_NAMES = {("numpy.core.numeric", "_frombuffer"): "ndarray"}
_BETTER_NAMES["allcores.pool.arrays", "array_of"] = "ndarray"
_BETTER_NAMES["numpy._core.numeric", "_frombuffer"] = "ndarray"


def of_call(payload: bytes) -> str:
    """The arguments of a task of `submit`, as in a call: `(3, [1, 2, <Point>], key=4)`."""
    if len(payload) > LIMIT:
        return _described(payload)
    try:
        *_, args, kwargs = _read(payload)
        positional = argument_text(tuple(args))
        if not kwargs:
            return positional
        named = [f"{name}={argument_text(value)}" for name, value in kwargs.items()]
        first = positional[1:-1].removesuffix(",")
        return _short(f"({', '.join([first, *named] if first else named)})")
    except Exception:
        return UNKNOWN


def of_item(payload: bytes, position: int) -> str:
    """One item of a chunk of `map`, by its position in the chunk."""
    if len(payload) > LIMIT:
        return _described(payload)
    try:
        return argument_text(_read(payload)[1][position])
    except Exception:
        return UNKNOWN


def _described(payload: bytes) -> str:
    return f"<{len(payload) / 1e6:.1f} MB of arguments>"


def _short(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _read(payload: bytes) -> Any:
    if vars(copyreg)["_extension_registry"]:
        raise pickle.UnpicklingError("registered classes are not looked up by `find_class`")
    return _Reader(io.BytesIO(payload), buffers=repeat(b"")).load()


class _Reader(pickle.Unpickler):
    """Makes stand-ins for all that a pickle names."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        name = (module_name, global_name)
        if name in _HARMLESS:
            return _HARMLESS[name]
        if name in _MAKERS:
            return _MAKERS[name]
        return _Name(_BETTER_NAMES.get(name) or global_name.rpartition(".")[2])

    def persistent_load(self, pid: object, /) -> Any:
        return _stand_in("object")


def _open_message(table: object, payload: bytes, buffers: object = ()) -> Any:
    """A message with definitions, without installing them."""
    return _read(payload)


def _make_class(first: object, name: str, *rest: object) -> Any:
    """A class that travels by value."""
    return _Name(str(name))


_MAKERS: dict[tuple[str, str], Any] = {
    ("allcores.pool.definitions", "open_message"): _open_message,
    ("allcores.pool.definitions", "make_function"): lambda code, name, *rest: _stand_in(name),
    ("cloudpickle.cloudpickle", "_make_function"): lambda *args: _stand_in("function"),
    ("cloudpickle.cloudpickle", "_make_skeleton_class"): _make_class,
    ("cloudpickle.cloudpickle", "_make_skeleton_enum"): _make_class,
}


class _Name(type):
    """A stand-in for whatever has a name; called, it makes a stand-in for an instance."""

    def __new__(cls, name: str) -> _Name:
        return super().__new__(cls, "StandIn", (_StandIn,), {"__slots__": (), "shown": name})

    def __init__(cls, name: str) -> None:
        pass

    def __repr__(cls) -> str:
        return f"<{vars(cls)['shown']}>"


class _StandIn:
    """Takes whatever a pickle does to an object, and does nothing."""

    __slots__ = ()
    shown = "object"

    def __new__(cls, *args: object, **kwargs: object) -> Any:
        # A helper that makes an object of the class it is told stands for that class.
        told = args[0] if args and cls.shown.startswith("_") else None
        shown: Any = told if isinstance(told, _Name) else cls
        return object.__new__(shown)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return self

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, value: object) -> None:
        pass

    def extend(self, values: object) -> None:
        pass

    def add(self, value: object) -> None:
        pass

    def __repr__(self) -> str:
        return f"<{self.shown}>"


def _stand_in(name: object) -> Any:
    return _Name(str(name).strip("<>"))()


__all__ = ["of_call", "of_item"]
