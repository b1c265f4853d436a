"""A task's exception on its way from the worker to the caller.

It arrives with its type, its arguments, its attributes and its notes; a note more names the
function, the index and the argument; its cause is the remote traceback as text. Three ways, each
tried in the worker before it is trusted:

1. as it pickles itself, if what comes out of that is the same (exceptions with required arguments
   fail here: they pickle as `cls(*args)` with the wrong `args`);
2. taken apart into class, arguments and attributes, and rebuilt without its `__init__`; what can't
   travel among these is replaced by its text; the members of a group are sent one by one;
3. as a `RemoteError` that holds the type's name, the text and the traceback.

`dump_exception` and `load_exception` never raise (but let a Ctrl-C in the main thread through).
"""

from __future__ import annotations

import pickle
import threading
from reprlib import Repr

from .definitions import why_missing
from .pickling import dumps_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Body = tuple[str, Any]

_WHOLE, _PARTS, _GROUP, _WORDS = "whole", "parts", "group", "words"

_short = Repr()
_short.maxother = _short.maxstring = _short.maxlong = 60
_short.maxlevel = 3


def argument_text(value: object, limit: int = 120) -> str:
    """A short text for the arguments in a note; never raises, never long. A tuple reads as in a
    call.
    """
    try:
        text = _short.repr(value)
    except BaseException:
        text = f"<{type(value).__name__} whose repr fails>"
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def dump_exception(
    error: BaseException,
    *,
    function_name: str | None = None,
    index: int | None = None,
    argument_repr: str | None = None,
) -> bytes:
    """The bytes of an exception raised by a task, made in the worker."""
    text = _traceback_text(error)
    if isinstance(error, NameError):
        _explain_missing(error)
    elif isinstance(error, MemoryError):
        from .memory import explain

        explain(error)
    if function_name is not None:
        _add_note(error, _note(function_name, index, argument_repr))
    _set(error, "__traceback__", None)  # its frames hold the arguments
    words = (_type_name(error), _text(error), text)
    return pickle.dumps((words, _notes(error), _body(error)), 5)


def load_exception(data: bytes) -> BaseException:
    """The exception of `dump_exception`, in the parent, its cause set to the remote traceback."""
    from ..errors import RemoteError, remote_traceback, transport_error

    try:
        words, notes, body = _opened(data)
    except Exception as failure:
        return transport_error(failure, what="the exception", function=None, index=None)
    try:
        error = _rebuild(body) if body[0] != _WORDS else RemoteError(*words)
    except BaseException as failure:
        if (
            isinstance(failure, KeyboardInterrupt)
            and threading.current_thread() is threading.main_thread()
        ):
            raise
        error = RemoteError(*words)
        notes = [
            *notes,
            f"it could not be rebuilt in this process: {_type_name(failure)}: {_text(failure)}",
        ]
    for note in notes:
        _add_note(error, note)
    _set(error, "__cause__", remote_traceback(words[2]))
    return error


def _opened(data: bytes) -> tuple[tuple[str, str, str], list[str], Body]:
    """What `dump_exception` wrote; raises whatever bytes that it did not write may raise."""
    words, notes, body = pickle.loads(data)
    type_name, text, traceback = words
    way, content = body
    if not all(isinstance(each, str) for each in (type_name, text, traceback, way, *notes)):
        raise TypeError("these bytes are no exception")
    return (type_name, text, traceback), list(notes), (way, content)


def name_of(function: object) -> str:
    """What a user would call the function."""
    inner = getattr(function, "func", function)
    name = getattr(inner, "__qualname__", None) or getattr(type(inner), "__qualname__", "?")
    # pybind11's functions are qualified by the name of a record.
    return str(name).rpartition(".")[2] if str(name).startswith("pybind11_") else str(name)


def note_call(
    error: BaseException, function_name: str, index: int | None, argument_repr: str | None
) -> None:
    """Adds the note that names the call to an exception which did not come from a worker."""
    _add_note(error, _note(function_name, index, argument_repr))


def call_text(function_name: str, index: int | None, argument_repr: str | None) -> str:
    """One task as users read it: `name(argument)`, `name(index 3, argument)`."""
    argument_repr = argument_repr or ""
    if index is None:
        inner = (
            argument_repr[1:-1]
            if argument_repr.startswith("(") and argument_repr.endswith(")")
            else argument_repr
        )
    else:
        inner = f"index {index}, {argument_repr}" if argument_repr else f"index {index}"
    return f"{function_name}({inner.removesuffix(',')})"


def _note(function_name: str, index: int | None, argument_repr: str | None) -> str:
    return f"in allcores task {call_text(function_name, index, argument_repr)}"


def _add_note(error: BaseException, note: str) -> None:
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except BaseException:
        pass


def _explain_missing(error: NameError) -> None:
    name = getattr(error, "name", None)
    reason = why_missing(name) if isinstance(name, str) else None
    if reason is not None:
        _add_note(error, f"`{name}` of `__main__` could not be sent: {reason}")
        _add_note(error, f"hint: make `{name}` in an initializer, or pass it as an argument")


def _set(error: BaseException, name: str, value: object) -> None:
    """Sets an attribute that every exception has, past any `__setattr__` of its class."""
    vars(BaseException)[name].__set__(error, value)


def _notes(error: BaseException) -> list[str]:
    try:
        return [str.__str__(note) for note in error.__notes__ if isinstance(note, str)]
    except BaseException:
        return []


def _traceback_text(error: BaseException) -> str:
    from traceback import format_exception

    try:
        return "".join(format_exception(type(error), error, error.__traceback__))
    except BaseException:
        return f"{_type_name(error)}: {_text(error)}\n"


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _text(error: BaseException) -> str:
    try:
        return str.__str__(str(error))
    except BaseException:
        return "<its text could not be made>"


def _travels(value: object) -> bool:
    try:
        pickle.loads(dumps_result(value))
    except BaseException:
        return False
    return True


def _body(error: BaseException) -> Body | None:
    for way in (_as_a_whole, _as_a_group, _in_parts):
        try:
            body = way(error)
            if body is not None and type(_rebuild(body)) is type(error):
                return body
        except BaseException:
            continue
    return _WORDS, (_type_name(error), _text(error), "")


def _as_a_whole(error: BaseException) -> Body | None:
    data = dumps_result(error)
    back = pickle.loads(data)
    if type(back) is not type(error) or not _alike(error, back):
        return None
    return _WHOLE, data


def _alike(error: BaseException, back: BaseException) -> bool:
    """Did the round trip keep arguments and attributes? A class that pickles itself its own way is
    believed.
    """
    if _reduces_itself(type(error)):
        return True
    if len(error.args) != len(back.args) or error.__dict__.keys() != back.__dict__.keys():
        return False
    for one, other in zip(error.args, back.args, strict=True):
        kind = type(one)
        if kind is not type(other) or (
            kind in (str, bytes, int, float, bool) and one != other and one == one
        ):
            return False
    return True


def _reduces_itself(kind: type) -> bool:
    for cls in kind.__mro__:
        for name in ("__reduce__", "__reduce_ex__"):
            method = vars(cls).get(name)
            if method is not None:
                return hasattr(method, "__code__")
    return False


def _as_a_group(error: BaseException) -> Body | None:
    if not isinstance(error, BaseExceptionGroup):
        return None
    members = [_body(member) for member in error.exceptions]
    return _GROUP, (
        dumps_result(type(error)),
        error.message,
        members,
        dumps_result(_portable(error.__dict__)),
    )


def _in_parts(error: BaseException) -> Body | None:
    from ..errors import native_state

    args = tuple(value if _travels(value) else argument_text(value) for value in error.args)
    state = _portable({**native_state(error), **getattr(error, "__dict__", {})})
    return _PARTS, dumps_result((type(error), args, state))


def _portable(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if _travels(value)}


def _rebuild(body: Body) -> BaseException:
    way, content = body
    if way == _WHOLE:
        error = pickle.loads(content)
        if not isinstance(error, BaseException):
            raise TypeError(f"`{type(error).__name__}` is no exception")
        return error
    if way == _GROUP:
        kind, message, members, state = content
        return _rebuild_group(
            pickle.loads(kind), message, [_rebuild(member) for member in members], state
        )
    if way == _PARTS:
        return _rebuild_parts(*pickle.loads(content))
    from ..errors import RemoteError

    return RemoteError(*content)


def _rebuild_group(
    kind: type[BaseExceptionGroup[BaseException]],
    message: str,
    members: list[BaseException],
    state: bytes,
) -> BaseException:
    group = BaseExceptionGroup.__new__(kind, message, members)
    group.__dict__.update(pickle.loads(state))
    return group


def _rebuild_parts(
    kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]
) -> BaseException:
    from ..errors import blank, restore_state

    error: BaseException = blank(kind, kind, args)
    error.args = args
    restore_state(error, state)
    return error
