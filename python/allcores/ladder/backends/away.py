"""What runs calls in another interpreter of this process: bytes in, bytes out.

Imported there, where nothing of ours may be imported that needs the extension: only pickle, and
cloudpickle by the bytes that need it. An exception goes back as it pickles, if that can be undone;
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

_functions: dict[bytes, Callable[..., Any]] = {}


def run(function: bytes, items: bytes, star: bool) -> bytes:
    """The pickle of `(values, failures by position)` of a function over items.

    With `star` an item is a pair of arguments and keyword arguments. A value that can't be pickled
    is a failure.
    """
    called = _functions.get(function)
    if called is None:
        if len(_functions) >= 64:
            _functions.clear()
        called = _functions[function] = pickle.loads(function)
    values: list[bytes] = []
    failures: dict[int, Failure] = {}
    for position, item in enumerate(pickle.loads(items)):
        try:
            result = called(*item[0], **item[1]) if star else called(item)
            values.append(_dumps(result))
        except BaseException as error:
            values.append(b"")
            failures[position] = _described(error)
    return pickle.dumps((values, failures), 5)


def _dumps(value: object) -> bytes:
    try:
        return pickle.dumps(value, 5)
    except Exception:
        import cloudpickle

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
        data = _dumps(error)
        pickle.loads(data)
    except BaseException:
        return None, name, text, trace
    return data, name, text, trace
