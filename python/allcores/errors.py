"""What can go wrong with a task beyond its own exception, and the classes that say so.

A task's own exception reaches the caller with its own type (`pool.failures`). Everything else is
said with one of these: a worker died (`WorkerDied`), a task's time was up (`TaskTimeout`), bytes
could not be turned back into objects (`TransportError`), an exception could not travel and is
represented by a stand-in (`RemoteError`). All of them can be pickled, so a pool inside a task
reports through its own pool.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from concurrent.futures.process import _RemoteTraceback as RemoteTraceback
from types import GetSetDescriptorType, MemberDescriptorType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "BrokenProcessPool",
    "RemoteError",
    "RemoteTraceback",
    "TaskTimeout",
    "TransportError",
    "WorkerDied",
    "remote_traceback",
    "transport_error",
]


class WorkerDied(BrokenProcessPool):
    """A worker ended while it held the task: killed, crashed, or left by `os._exit`.

    What isn't known is None.

    Attributes:
        function: the name of the task's function.
        index: the position of the item that ran, for a task of `map`.
        argument: a short text for the task's argument.
        pid: the process id of the worker.
        exitcode: as `multiprocessing` has it, below zero for a signal.
        signal: the name of the signal that ended the worker.
        peak_memory: the highest resident size of the worker, in bytes.
        stack: the last Python stack, if it was C code that crashed.
    """

    def __init__(
        self,
        *args: object,
        function: str | None = None,
        index: int | None = None,
        argument: str | None = None,
        pid: int | None = None,
        exitcode: int | None = None,
        signal: str | None = None,
        peak_memory: int | None = None,
        stack: str | None = None,
    ) -> None:
        super().__init__(*args)
        self.function = function
        self.index = index
        self.argument = argument
        self.pid = pid
        self.exitcode = exitcode
        self.signal = signal
        self.peak_memory = peak_memory
        self.stack = stack


class TaskTimeout(TimeoutError):
    """The task ran longer than its limit; it was ended together with its worker.

    Attributes:
        function: the name of the task's function.
        index: the position of the item that ran, for a task of `map`.
        argument: a short text for the task's argument.
        limit: the seconds that it had.
        pid: the process id of the worker.
    """

    def __init__(
        self,
        *args: object,
        function: str | None = None,
        index: int | None = None,
        argument: str | None = None,
        limit: float | None = None,
        pid: int | None = None,
    ) -> None:
        super().__init__(*args)
        self.function = function
        self.index = index
        self.argument = argument
        self.limit = limit
        self.pid = pid


class RemoteError(Exception):
    """Stands for an exception that could not travel: its type's name, its text and its traceback as
    text.
    """

    def __init__(self, type_name: str, text: str, traceback: str) -> None:
        super().__init__(type_name, text, traceback)
        self.type_name = type_name
        self.text = text
        self.traceback = traceback

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}" if self.text else self.type_name


def remote_traceback(text: str) -> BaseException:
    """The cause of an exception that came from a worker, in the standard library's form."""
    make: Any = RemoteTraceback
    cause: BaseException = make(f'\n"""\n{text}"""')
    return cause


class TransportError(BrokenProcessPool):
    """The arguments or the result of one task could not be unpickled; the pool lives on.

    What is raised is also an instance of the original exception's type wherever Python allows such
    a class, so that both `except BrokenProcessPool` (the standard library's answer) and `except
    TheirError` catch it.
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Callable[..., TransportError], tuple[Any, ...]]:
        state = {**native_state(self), **self.__dict__}
        state.pop("original_type", None)
        return _rebuild, (getattr(self, "original_type", None), self.args, state)


def transport_error(
    original: BaseException, *, what: str, function: str | None, index: int | None
) -> TransportError:
    """What to raise when `what` ("the arguments", "the result", …) could not be unpickled."""
    whose = f" of `{function}`" if function else ""
    where = f" (index {index})" if index is not None else ""
    message = (
        f"could not unpickle {what}{whose}{where}: {_describe(original)}\n"
        f"hint: the object pickles but cannot be rebuilt; try `pickle.loads(pickle.dumps(value))`"
    )
    return _adopt(original, message)


def _describe(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:
        text = "<its text could not be made>"
    name = type(error).__qualname__
    return f"{name}: {text}" if text else name


_UNFIT = (StopIteration, StopAsyncIteration, BrokenProcessPool)
_families: dict[type[BaseException], type[TransportError]] = {}


def _family(kind: type[BaseException]) -> type[TransportError]:
    """The subclass of `TransportError` that is a `kind` too, or `TransportError` where there can be
    none.
    """
    found = _families.get(kind)
    if found is None:
        found = TransportError
        if issubclass(kind, Exception) and not issubclass(kind, _UNFIT):
            try:
                found = type(
                    kind.__name__,
                    (TransportError, kind),
                    {"__module__": __name__, "__doc__": kind.__doc__},
                )
            except (
                Exception
            ):  # layouts that exclude each other, final classes, metaclasses with their own ideas
                found = TransportError
        if len(_families) >= 256:
            _families.clear()
        _families[kind] = found
    return found


def blank(cls: type[BaseException], kind: type[BaseException], args: tuple[Any, ...]) -> Any:
    """An instance of `cls` (a `kind`) made by the nearest built-in `__new__` of `kind`, so that no
    code of the user's runs.
    """
    for each in kind.__mro__:
        maker = vars(each).get("__new__")
        if maker is not None and not isinstance(maker, staticmethod):
            try:
                return maker(cls, *args)
            except TypeError:
                return maker(cls)
    raise TypeError(f"`{kind.__name__}` has no constructor")


def _member_of_family(kind: type[BaseException], args: tuple[Any, ...]) -> TransportError:
    family = _family(kind)
    try:
        made = blank(family, kind, args) if family is not TransportError else None
    except Exception:
        made = None
    return made if isinstance(made, TransportError) else TransportError()


def native_state(error: BaseException) -> dict[str, Any]:
    """What an exception keeps outside its `__dict__`: slots, and fields such as `OSError.errno`."""
    state: dict[str, Any] = {}
    for cls in type(error).__mro__:
        if (
            cls in (BaseException, Exception, object)
            or cls.__module__ == "concurrent.futures.process"
        ):
            continue
        for name, member in vars(cls).items():
            if isinstance(
                member, (MemberDescriptorType, GetSetDescriptorType)
            ) and not name.startswith("__"):
                try:
                    value = getattr(error, name)
                except Exception:
                    continue
                if value is not None:
                    state.setdefault(name, value)
    return state


def restore_state(error: BaseException, state: dict[str, Any]) -> None:
    """Sets attributes one by one; one that refuses is left out."""
    for name, value in state.items():
        try:
            setattr(error, name, value)
        except Exception:
            continue


def _adopt(original: BaseException, message: str) -> TransportError:
    kind = type(original)
    error = _member_of_family(kind, getattr(original, "args", ()))
    state = {**native_state(original), **getattr(original, "__dict__", {})}
    return _complete(error, kind, (message,), state)


def _rebuild(
    kind: type[BaseException] | None, args: tuple[Any, ...], state: dict[str, Any]
) -> TransportError:
    error = _member_of_family(kind, args) if kind is not None else TransportError()
    return _complete(error, kind, args, state)


def _complete(
    error: TransportError,
    kind: type[BaseException] | None,
    args: tuple[Any, ...],
    state: dict[str, Any],
) -> TransportError:
    restore_state(error, state)
    error.args = args
    if type(error) is not TransportError:
        error.__dict__["original_type"] = kind
    return error
