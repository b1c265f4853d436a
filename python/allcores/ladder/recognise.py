"""Functions that are machine code already: who made them, and what compiling them took.

Whether such a function lets go of the interpreter's lock is in no attribute of it: a pybind11
function without a `call_guard` looks like one with it. So the choice rests on what the watch has
measured (`probe`), and this says only whose function it is, for the reason that users read.

Nothing of these tools is imported here, and no function is called.

A dispatcher of Numba's compiles in its first call for each kind of arguments, and again in each
process that it is sent to. That call says nothing of what an item takes.
"""

from __future__ import annotations

import sys
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

from .timed import Timed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BY_HOME = {"numba": "Numba", "_cffi_backend": "cffi", "_ctypes": "ctypes"}
"""By the package that the class of the function, or one of its bases, comes from."""
_OF_SWIG = "_swig_repr"
"""What there is in SWIG's modules of Python; those in C below them have the same name after `_`."""
LEAST_FREE = 0.1
"""So much of its time the lock must be free for threads to be of use, as the adviser has it."""


def maker(fn: Callable[..., Any]) -> str | None:
    """Whose function it is, as in "a SWIG function"; None for a function of Python's."""
    fn = _inner(fn)
    kind = type(fn)
    if kind.__name__ == "cython_function_or_method":
        return "Cython"
    for each in kind.__mro__:
        found = _BY_HOME.get(each.__module__.partition(".")[0])
        if found is not None:
            return found
    if isinstance(fn, MethodType):
        return maker(fn.__func__)
    if isinstance(fn, FunctionType):
        return "SWIG" if _OF_SWIG in fn.__globals__ else None
    if isinstance(fn, BuiltinFunctionType):
        return _maker_of_builtin(fn)
    return None


def _maker_of_builtin(fn: BuiltinFunctionType) -> str | None:
    owner = fn.__self__
    kind = type(owner).__name__
    if kind.startswith("pybind11_detail_function_record"):
        return "pybind11"
    if kind == "Lib":  # what `ffi.compile` makes
        return "cffi"
    if not isinstance(owner, ModuleType):
        return None
    package, dot, name = owner.__name__.rpartition(".")
    python = sys.modules.get(f"{package}{dot}{name.removeprefix('_')}")
    return "SWIG" if hasattr(python, _OF_SWIG) else "C"


def _inner(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function that a partial calls, or what `compare` and `trace` run."""
    while isinstance(fn, (partial, Timed)):
        fn = fn.func if isinstance(fn, partial) else fn.fn
    return fn


def told(fn: Callable[..., Any], free_share: float | None) -> str:
    """Whose function it is, and what it does with the lock, as in "a SWIG function that holds the
    lock"; empty for a function of Python's, and if nobody has looked.

    Args:
        free_share: of its time, in which the interpreter's lock was free; None if nobody has
            looked.
    """
    whose = maker(fn) if free_share is not None else None
    if whose is None or free_share is None:
        return ""
    does = "lets the interpreter's lock go" if free_share >= LEAST_FREE else "holds the lock"
    return f"a {whose} function that {does}"


def because(reason: str, fn: Callable[..., Any], free_share: float | None) -> str:
    """A reason in one line, with what is `told` at its end."""
    return ", ".join(filter(None, (reason, told(fn, free_share))))


def kinds_compiled(fn: Callable[..., Any]) -> int | None:
    """For how many kinds of arguments it has been compiled; None for what compiles nothing when it
    is called.
    """
    found = _overloads(fn)
    return None if found is None else len(found)


def compile_s(fn: Callable[..., Any]) -> float:
    """Seconds that compiling took so far, and would take anew in another process; 0 for what
    compiles nothing when it is called.
    """
    seconds = 0.0
    for each in (_overloads(fn) or {}).values():
        timers = (getattr(each, "metadata", None) or {}).get("timers", {})
        seconds += float(timers.get("compiler_lock", 0.0))
    return seconds


def _overloads(fn: Callable[..., Any]) -> dict[Any, Any] | None:
    fn = _inner(fn)
    if not type(fn).__module__.startswith("numba."):
        return None
    found = getattr(fn, "overloads", None)
    return found if hasattr(found, "values") else None
