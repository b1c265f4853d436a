"""What runs calls in another interpreter of this process: bytes in, bytes out.

Imported there, where nothing of ours may be imported that needs the extension: only pickle and
cloudpickle. An exception goes back as it pickles, if that can be undone;
else its type's name, its text and its traceback do.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Failure = tuple[bytes | None, str, str, str]
    """The pickled exception, its type's name, its text, its traceback."""

MOST_FUNCTIONS = 64

_functions: dict[bytes, Callable[..., Any]] = {}


def run(function: bytes, items: list[bytes]) -> tuple[list[bytes], dict[int, Failure]]:
    """The pickled values of a function for items, and failures by position.

    An item is a pickled pair of arguments and keyword arguments. A value that can't be pickled is a
    failure.
    """
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
    return values, failures


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
    try:
        data = dumps(error)
        pickle.loads(data)
    except BaseException:
        return None, name, text, trace
    return data, name, text, trace
