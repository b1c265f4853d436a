"""What runs calls in another interpreter of this process: bytes in, bytes out.

Imported there, where nothing of ours may be imported that needs the extension: only pickle and
cloudpickle. An exception goes back as it pickles, if that can be undone;
else in parts, or in words.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Failure = tuple[bytes | None, bytes | None, str, str, str]
    """The pickled exception, or its pickled class, arguments and attributes, or neither; its type's
    name, its text, its traceback."""

MOST_FUNCTIONS = 64

_functions: dict[bytes, Callable[..., Any]] = {}


def begin(path: list[str], initializer: bytes) -> None:
    """Before the first call: where modules lie, and what is called first, pickled: a function or
    None, and its arguments.
    """
    sys.path[:] = path
    function, args = pickle.loads(initializer)
    if function is not None:
        function(*args)


def run(function: bytes, items: list[bytes]) -> tuple[list[bytes], dict[int, Failure], int]:
    """The pickled values of a function for items, failures by position, and the ns it took.

    An item is a pickled pair of arguments and keyword arguments. A value that can't be pickled is a
    failure.
    """
    begun_ns = time.monotonic_ns()
    called = _functions.get(function)
    if called is None:
        if len(_functions) >= MOST_FUNCTIONS:
            _functions.clear()
        called = _functions[function] = pickle.loads(function)
    values: list[bytes] = []
    failures: dict[int, Failure] = {}
    for position, item in enumerate(items):
        try:
            args, kwargs = pickle.loads(item)
            values.append(dumps(called(*args, **kwargs)))
        except BaseException as error:
            values.append(b"")
            failures[position] = _described(error)
    return values, failures, time.monotonic_ns() - begun_ns


def dumps(value: object) -> bytes:
    """The bytes of a value; what pickle refuses, and all that `__main__` defines, by value."""
    import cloudpickle  # type: ignore[import-untyped]

    made: bytes = cloudpickle.dumps(value, 5)
    return made


def _described(error: BaseException) -> Failure:
    from traceback import format_exception

    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ != "builtins":
        name = f"{kind.__module__}.{name}"
    try:
        text = str(error)
    except BaseException:
        text = "<its text could not be made>"
    trace = "".join(format_exception(kind, error, error.__traceback__))
    error.__traceback__ = error.__cause__ = error.__context__ = None
    data = _there_and_back(error)
    if data is not None:
        return data, None, name, text, trace
    parts = kind, error.args, getattr(error, "__dict__", {})
    return None, _there_and_back(parts), name, text, trace


def _there_and_back(value: object) -> bytes | None:
    """The bytes of a value, if they can be unpickled."""
    try:
        data = dumps(value)
        pickle.loads(data)
    except BaseException:
        return None
    return data
