"""`native(function)`: the function at machine speed, with CPython's results to the bit.

A call asks the engine, and has Python run the function if the engine leaves the item: its result or
exception is the answer then. So a compiled function may be slower than it could be, and is never
wrong. While Python runs an item that was left, compiled functions that it calls run in Python too:
they would only be left again.
"""

from __future__ import annotations

import os
import sys
import threading
from functools import update_wrapper
from types import FunctionType

from .._core import Brake, Program, Watch
from .lower import Lowered, lower
from .refusals import Reason, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["Native", "Report", "native", "report"]

# Frames that Python has beneath a function of the user's, and some more.
SPARE_FRAMES = 60
DEEPEST = 900
LEFT = object()
MOST_KNOWN = 32


class _Engine:
    """What belongs to this process."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.kept: list[Watch] = []
        self.known: dict[FunctionType, Native] = {}
        self.lock = threading.Lock()

    def renew(self) -> None:
        """A forked child has no thread that watches; the parent's watch is left as it was."""
        self.kept.append(self.watch)
        self.lock = threading.Lock()
        self.watch = Watch()


class _Thread(threading.local):
    """Is an item being run by Python in this thread because it was left?"""

    is_in_python = False


_engine = _Engine()
_thread = _Thread()
os.register_at_fork(after_in_child=_engine.renew)


class Native:
    """A compiled function; call it like the function.

    Attributes:
        function: the function as it was.
        refusal: why nothing of it is compiled, or None.
        version: how many times it was compiled, since a name it uses meant something else.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.function = function
        self.refusal: Refusal | None = None
        self.version = 0
        self._lowered: Lowered | None = None
        self._program: Program | None = None
        self._parameters = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<native {self.function!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return native, (self.function,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs and not _thread.is_in_python:
            program = self._ready()
            if program is not None:
                complete = args if len(args) == self._parameters else self._with_defaults(args)
                if complete is not None:
                    depth = self._depth()
                    result = program.call(complete, _engine.watch, depth, LEFT)
                    if result is not LEFT:
                        return result
        return self._in_python(args, kwargs)

    def map(self, items: Iterable[Any], threads: int | None = None) -> list[Any]:
        """The results for each item, in order; an item is the function's only argument, or a tuple
        of its arguments if it has several. Raises what the first failing item raises.

        Args:
            threads: how many cores at most; None for all this process may use.
        """
        program = self._ready() if not _thread.is_in_python else None
        wrapped = self._parameters if program is not None else self._count_parameters()
        calls = [(item,) if wrapped == 1 else tuple(item) for item in items]
        if program is None:
            return [self._in_python(each, {}) for each in calls]
        count = threads or cores()
        fitting = [each if len(each) == wrapped else (LEFT,) for each in calls]
        results = program.batch(fitting, _engine.watch, self._depth(), count, LEFT)
        return [
            self._in_python(call, {}) if result is LEFT else result
            for call, result in zip(calls, results, strict=True)
        ]

    # What the rung asks of a function

    def results(self, calls: list[tuple[Any, ...]], brake: Brake) -> list[Any] | None:
        """What each call gives, `LEFT` where Python has to make it; None if it has to make all.

        Raises:
            InterruptedError: the brake was pulled.
        """
        program = self._ready() if not _thread.is_in_python else None
        if program is None:
            return None
        fitting = [self._complete(each) for each in calls]
        return program.batch(fitting, _engine.watch, self._depth(), 1, LEFT, brake)

    def result(self, args: tuple[Any, ...], brake: Brake, periods: int | None) -> Any:
        """What one call gives, or `LEFT`.

        Args:
            args: its arguments.
            brake: stops it.
            periods: how many periods of 50 ms it has; None for no limit.

        Raises:
            InterruptedError: the brake was pulled.
            TimeoutError: it has had its time.
        """
        program = self._ready() if not _thread.is_in_python else None
        if program is None:
            return LEFT
        complete = self._complete(args)
        return program.call(complete, _engine.watch, self._depth(), LEFT, brake, periods)

    def in_python(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Has Python make the call, and all that it calls."""
        return self._in_python(args, kwargs)

    def is_compiled(self) -> bool:
        """Can it be compiled for some arguments? If not, `refusal` says why."""
        return self._ready() is not None

    def _complete(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(args) == self._parameters:
            return args
        complete = self._with_defaults(args)
        return (LEFT,) if complete is None else complete

    def _count_parameters(self) -> int:
        code = getattr(self.function, "__code__", None)
        return code.co_argcount if code is not None else 1

    def _in_python(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _thread.is_in_python:
            return self.function(*args, **kwargs)
        _thread.is_in_python = True
        try:
            return self.function(*args, **kwargs)
        finally:
            _thread.is_in_python = False

    def _with_defaults(self, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        defaults = self.function.__defaults__ or ()
        missing = self._parameters - len(args)
        if not 0 <= missing <= len(defaults):
            return None
        return (*args, *defaults[len(defaults) - missing :])

    def _depth(self) -> int:
        """How deep the function may call itself before Python would say that it's too deep."""
        if self._lowered is None or not self._lowered.is_recursive:
            return 0
        frames = 0
        frame = sys._getframe()
        while frame.f_back is not None:
            frames += 1
            frame = frame.f_back
        left = max(0, sys.getrecursionlimit() - frames - SPARE_FRAMES)
        return min(DEEPEST, left) // self._lowered.frames_a_call

    def _ready(self) -> Program | None:
        """The program, written anew if a name means something else by now."""
        lowered = self._lowered
        if lowered is not None and lowered.bindings.hold():
            return self._program
        if lowered is None and self.refusal is not None:
            return None
        return self._write()

    def _write(self) -> Program | None:
        with self._lock:
            try:
                if not isinstance(self.function, FunctionType):
                    raise Refusal(Reason.NOT_A_FUNCTION)
                lowered = lower(self.function, unwrapped)
            except Refusal as refusal:
                self.refusal = refusal
                self._lowered = self._program = None
                return None
            program = Program(lowered.code)
            self._parameters = self.function.__code__.co_argcount
            self._program, self._lowered = program, lowered
            self.version += 1
            return program


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Report:
    """What became of a compiled function.

    Attributes:
        refusal: why nothing of it is compiled, or None.
        types: for each kind of arguments the type of the result, or why it isn't compiled.
        items: how many items were run.
        left: how many of these were left to Python, by reason.
    """

    def __init__(
        self,
        refusal: Refusal | None,
        types: dict[str, str],
        items: int,
        left: dict[str, int],
    ) -> None:
        self.refusal = refusal
        self.types = types
        self.items = items
        self.left = left

    def __repr__(self) -> str:
        if self.refusal is not None:
            return f"<runs in Python: {self.refusal}>"
        types = ", ".join(f"{arguments} → {result}" for arguments, result in self.types.items())
        return f"<{types or 'not called yet'}; {self.items} items, left to Python: {self.left}>"


def native(function: Callable[..., Any]) -> Native:
    """The function, compiled when it is first called; usable as a decorator."""
    return function if isinstance(function, Native) else Native(function)


def known(function: Callable[..., Any]) -> Native:
    """The same compiled function each time, if it is among those that were asked for last.

    Only what can be compiled is kept: functions that close over numbers and such functions.
    """
    if type(function) is not FunctionType:  # others may be equal and not the same
        return native(function)
    with _engine.lock:
        found = _engine.known.pop(function, None)
        if found is None:
            found = Native(function)
            if not found.is_compiled():
                return found
            if len(_engine.known) == MOST_KNOWN:
                del _engine.known[next(iter(_engine.known))]
        _engine.known[function] = found
        return found


def report(function: Callable[..., Any]) -> Report:
    """What was compiled of a function, and what was left to Python.

    The function is one that `native` gave, or that this rung has run.
    """
    compiled = known(function)
    program = compiled._ready()
    if program is None:
        return Report(compiled.refusal, {}, 0, {})
    types = {}
    for arguments, (words, reason, line, column) in program.machines():
        place = f", at line {line} column {column}" if line else ""
        types[arguments] = words if reason is None else f"{words} [{reason}]{place}"
    return Report(None, types, *program.counts())


def unwrapped(value: object) -> object:
    """The function behind a compiled one; anything else as it is."""
    return value.function if isinstance(value, Native) else value
