"""Does a function need something of `__main__` that can't be sent to another process?

A function of `__main__` travels by value, with the globals that it names. What can't be pickled (a
lock, an open file, a connection) is missed there only when it is used; whoever asked for processes
is told so then. `auto` must not get there by itself: it asks here first.

Looked at are the globals that the code names, and those of functions and classes of `__main__`
among them. What is reached in other ways (`globals()[name]`, attributes of instances) is not.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

from ..pool.codec import Encoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGE = 1_000_000
"""What has so many bytes, and says so, is an array: these can be pickled."""


def missing(fn: Callable[..., Any]) -> str | None:
    """The name of a global that `fn` needs and that can't be sent; None if there is none."""
    main = vars(sys.modules["__main__"])
    seen: set[str] = set()
    pending = list(_functions_of(fn))
    while pending:
        function = pending.pop()
        if function.__globals__ is not main:
            continue
        for name in _names(function.__code__) - seen:
            seen.add(name)
            if name not in main:
                continue
            value = main[name]
            if isinstance(value, (FunctionType, type)):
                pending.extend(_functions_of(value))
            elif not _can_be_sent(value):
                return name
    return None


def _functions_of(value: Any) -> Iterator[FunctionType]:
    """The functions that a callable is made of, as far as can be seen."""
    for name in ("func", "__func__", "__wrapped__", "fn"):
        inner = getattr(value, name, None)
        if isinstance(inner, FunctionType):
            yield inner
    if isinstance(value, FunctionType):
        yield value
    elif getattr(value, "__module__", None) == "__main__":
        kind = value if isinstance(value, type) else type(value)
        yield from (each for each in vars(kind).values() if isinstance(each, FunctionType))


def _names(code: CodeType) -> set[str]:
    """All names that code and what it defines have for globals and attributes."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found


def _can_be_sent(value: object) -> bool:
    if isinstance(value, (ModuleType, BuiltinFunctionType)):
        return True
    size = getattr(value, "nbytes", 0)
    if isinstance(size, int) and size >= LARGE:
        return True
    try:
        pickle.dumps(value, 5)
    except Exception:
        try:
            Encoder().dumps(value)
        except Exception:
            return False
    return True
