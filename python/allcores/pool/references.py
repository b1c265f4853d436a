"""What a function of `__main__` refers to, and how to see cheaply that nothing of it has changed.

Two questions are answered here for `main_module` and `functions`: which globals does this code
name, and is this value *steady*, that is, can it only change by being replaced by another object?
For steady things it is enough to compare identities, which takes some tens of nanoseconds a name.
"""

from __future__ import annotations

import reprlib
import sys
import types
from collections.abc import Mapping
from types import CodeType, FunctionType
from weakref import WeakKeyDictionary

from .definitions import MAIN_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Watched = tuple[tuple[Any, ...], ...]
    """Functions with the parts they had, and classes with theirs."""

_GLOBAL_OPERATIONS = frozenset(
    ("LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
)
_found: WeakKeyDictionary[CodeType, tuple[str, ...]] = WeakKeyDictionary()


def global_names(code: CodeType) -> tuple[str, ...]:
    """The globals that this code and the code within it read, set or delete, in the order of their
    appearance.

    Class bodies within functions read globals by `LOAD_NAME`, so names of the body itself are in
    the answer too.
    """
    known = _found.get(code)
    if known is None:
        import dis

        found = (each for each in dis.get_instructions(code) if each.opname in _GLOBAL_OPERATIONS)
        names = dict.fromkeys(each.argval for each in found)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                names.update(dict.fromkeys(global_names(constant)))
        known = _found[code] = tuple(names)
    return known


def possible_names(code: CodeType) -> tuple[str, ...]:
    """These and more: the names of attributes are among them. It is had without `dis`, whose import
    a first call would wait for.
    """
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(dict.fromkeys(possible_names(constant)))
    return tuple(names)


def main_name(value: Any, namespace: Mapping[str, Any]) -> str | None:
    """The dotted name by which `__main__` holds exactly this function or class, if it does."""
    if getattr(value, "__module__", None) not in MAIN_NAMES:
        return None
    name = getattr(value, "__qualname__", None)
    if not isinstance(name, str) or "<" in name:
        return None
    top, *parts = name.split(".")
    found = namespace.get(top)
    try:
        for part in parts:
            found = getattr(found, part)
    except Exception:
        return None
    return name if found is value else None


def is_importable(value: Any) -> bool:
    """Is this function or class found by name in a module other than `__main__`?"""
    name, module_name = getattr(value, "__qualname__", None), getattr(value, "__module__", None)
    if not isinstance(name, str) or not isinstance(module_name, str) or module_name in MAIN_NAMES:
        return False
    found: Any = sys.modules.get(module_name)
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except Exception:
        return False
    return found is value


_SCALARS = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType)


def is_steady(value: object) -> bool:
    """Can it be told by its identity alone that the value is what it was? Nothing that refers to
    `__main__` is.
    """
    kind = type(value)
    if kind in _SCALARS or kind is types.ModuleType:
        return True
    if kind in (tuple, frozenset):
        return all(is_steady(item) for item in value)  # type: ignore[attr-defined]
    if kind.__name__ == "ContextVar":
        from contextvars import ContextVar  # few programs have any

        from .variables import definition_of

        return isinstance(value, ContextVar) and is_steady(definition_of(value)[1])
    if kind in (FunctionType, types.BuiltinFunctionType) or isinstance(value, type):
        return is_importable(value)
    return False


def watch(value: object) -> Watched | None:
    """What `same_watched` has to look at for the definition of this value; None if it may change
    unseen.
    """
    if is_steady(value):
        return ()
    if isinstance(value, FunctionType):
        part = _watch_function(value)
        return None if part is None else (part,)
    if type(value) is type:
        return _watch_class(value)
    return None


def same_watched(watched: Watched) -> bool:
    """Has nothing changed since `watch`?"""
    for part in watched:
        owner = part[0]
        if type(owner) is FunctionType:
            if owner.__code__ is not part[1] or owner.__defaults__ is not part[2] or owner.__dict__:
                return False
            if owner.__kwdefaults__ is not None:
                return False
        elif not _same_class(*part):
            return False
    return True


def _watch_function(function: FunctionType) -> tuple[Any, ...] | None:
    if (
        function.__code__.co_freevars not in ((), ("__class__",))
        or function.__dict__
        or function.__kwdefaults__
    ):
        return None
    if function.__defaults__ and not all(is_steady(value) for value in function.__defaults__):
        return None
    return function, function.__code__, function.__defaults__


def _watch_class(cls: type) -> Watched | None:
    """A class is watched if its dictionary holds functions, properties of functions and steady
    values only.
    """
    members = tuple(item for item in vars(cls).items() if item[0] != PICKLE_CACHE)
    parts: list[tuple[Any, ...]] = [(cls, members, tuple(map(_has_its_name, cls.__bases__)))]
    for name, member in vars(cls).items():
        if name in _UNSEEN or isinstance(member, _DESCRIPTORS) or is_steady(member):
            continue
        functions = [member]
        if isinstance(member, (staticmethod, classmethod)):
            functions = [member.__func__]
        elif type(member) is property:
            functions = [f for f in (member.fget, member.fset, member.fdel) if f is not None]
        for function in functions:
            if not isinstance(function, FunctionType):
                return None
            if _is_made_by_dataclass(function):
                continue
            part = _watch_function(function)
            if part is None:
                return None
            parts.append(part)
    return tuple(parts)


_MISSING = object()
PICKLE_CACHE = "__slotnames__"
"""What pickling an instance leaves in its class."""

_UNSEEN = frozenset(
    {
        PICKLE_CACHE,
        "__annotations__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__dict__",
        "__hash__",
        "__match_args__",
        "__orig_bases__",
        "__parameters__",
        "__static_attributes__",
        "__weakref__",
    }
)


def _is_made_by_dataclass(function: FunctionType) -> bool:
    """Closed over its class's own fields, and never changed."""
    file = function.__code__.co_filename
    library = sys.modules.get("dataclasses")
    known = ("<string>", reprlib.__file__, getattr(library, "__file__", None))
    return bool(function.__closure__) and file in known


def _has_its_name(cls: type) -> tuple[type, bool]:
    return cls, main_name(cls, sys.modules["__main__"].__dict__) is not None


def _same_class(
    cls: type, members: tuple[tuple[str, Any], ...], bases: tuple[tuple[type, bool], ...]
) -> bool:
    now = vars(cls)
    if len(now) - (PICKLE_CACHE in now) != len(members):
        return False
    missing = _MISSING
    for name, value in members:
        if now.get(name, missing) is not value:
            return False
    return tuple(map(_has_its_name, cls.__bases__)) == bases
