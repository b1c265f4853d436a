"""The rung of machine code: threads whose calls are compiled functions, with the interpreter's lock
released, and Python's own calls for what can't be compiled or is left by it.

A function is compiled when it is first called, for the types of its arguments (`allcores.native`).
Each chunk of a map is one call into the engine. What is left to Python runs in the same threads,
one at a time: always right, seldom faster.

Machine code looks up twenty times a second. So this rung can do what threads can't: a call is
stopped by Ctrl-C, and by `timeout`, which is kept to a tenth of a second. So is a call that is left
to Python (`native.limits`), which may be done to functions that could be compiled, and no others:
a function that can't be compiled has no `timeout` here, as it has none on threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError

from ..._core import Brake
from ...errors import TaskTimeout
from ...native.callable import LEFT, Native, known
from ...native.limits import OutOfTime, within
from ...pool import codec
from ...pool.blocks import Blocks, deadline_after
from ...pool.shares import unshared
from .. import here
from ..chunks import Feed
from ..options import PLAIN, OpenOptions
from .base import Refusal, RungExecutor, refuse_timeout
from .threads import ThreadsExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from ..chunks import Chunk
    from ..options import CallOptions

    T = TypeVar("T")

PERIOD_S = 0.05
"""How often machine code looks up."""


class NativeExecutor(ThreadsExecutor):
    """Runs compiled calls in threads."""

    name = "native"

    def __init__(self, options: OpenOptions) -> None:
        super().__init__(
            OpenOptions(
                max_workers=options.max_workers or here.share(),
                initializer=options.initializer,
                initargs=options.initargs,
                context_vars=options.context_vars,
                forward_logs=options.forward_logs,
            )
        )
        self._brake = Brake()

    def map(  # type: ignore[override]
        self, fn: Callable[..., T], *iterables: Iterable[Any], options: CallOptions = PLAIN
    ) -> Iterator[T]:
        self._begin(options)
        if not iterables:
            return iter(())
        if here.is_of(self._crew):
            return self._inside.map(fn, *iterables, options=options)
        with_called: Callable[..., Any] | None = getattr(type(fn), "with_called_function", None)
        if with_called is not None:  # it makes one call of a function that may be compiled
            fn = with_called(fn, lambda called: self._limited(called, options))
            return super().map(fn, *iterables, options=options.changed(timeout=None))
        compiled = self._native(fn, options)
        feed = NativeFeed(self, compiled, fn, iterables, options)
        self._feeds.add(feed)
        feed.begin()
        deadline = deadline_after(options.within)
        return Blocks(feed, deadline=deadline, return_exceptions=options.return_exceptions)

    @property
    def brake(self) -> Brake:
        """What stops all calls of this executor."""
        return self._brake

    def abandon(self) -> None:
        self._brake.pull()
        super().abandon()

    def check(self, options: CallOptions) -> None:
        pass

    def _applied(self, fn: Callable[..., T], options: CallOptions | None) -> Callable[..., T]:
        chosen = PLAIN if options is None else options
        call = self._limited(fn, chosen)
        return chosen.changed(timeout=None).applied_to(call)

    def _limited(self, fn: Callable[..., Any], options: CallOptions) -> Limited:
        return Limited(self._native(fn, options), options.timeout, self._brake)

    def _native(self, fn: Callable[..., Any], options: CallOptions) -> Native:
        """The compiled function, the same each time. Raises for a `timeout` that can't be kept."""
        found = known(fn)
        if options.timeout is not None and not found.is_compiled():
            refuse_timeout(self.name, f"the function runs in Python: {found.refusal}")
        return found


class NativeFeed(Feed):
    """A map whose chunks are calls into the engine."""

    def __init__(
        self,
        crew: NativeExecutor,
        compiled: Native,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        options: CallOptions,
    ) -> None:
        super().__init__(crew, fn, iterables, options, crew.max_workers)
        self._compiled = compiled
        self._brake = crew.brake
        self._has_limit = options.timeout is not None
        call = Limited(compiled, options.timeout, self._brake)
        if self._has_limit:
            self.function = options.changed(timeout=None).applied_to(call)
        else:
            self.function = options.changed(timeout=None).applied_to(call.in_python)

    def _work(self, chunk: Chunk) -> None:
        results = None if self._has_limit else self._results(chunk)
        if results is None:
            super()._work(chunk)
            return
        for item, result in zip(chunk.items, results, strict=True):
            if result is not LEFT:
                chunk.values.append(result)
                continue
            if self._has_given_up:
                return
            try:
                chunk.values.append(self.function(*self._arguments(item)))
            except BaseException as error:
                at = len(chunk.values)
                self.note(error, chunk.first + at, item)
                chunk.errors[at] = error
                chunk.values.append(None)

    def _results(self, chunk: Chunk) -> list[Any] | None:
        try:
            calls = [self._arguments(item) for item in chunk.items]
        except TypeError:  # an item that isn't a tuple of arguments, which is its call's error
            return None
        try:
            return self._compiled.results(calls, self._brake)
        except InterruptedError:
            raise CancelledError from None

    def note(self, error: BaseException, index: int, item: object) -> None:
        if isinstance(error, TaskTimeout) and error.index is None:
            error.index = index
        super().note(error, index, item)

    def _arguments(self, item: Any) -> tuple[Any, ...]:
        return (unshared(item),) if self.is_single else tuple(map(unshared, item))


class Limited:
    """One compiled function, whose calls may take so many seconds."""

    def __init__(self, compiled: Native, limit: float | None, brake: Brake) -> None:
        self._compiled = compiled
        self._limit = limit
        self._brake = brake
        # The first look may come at once, and no call is to end too early.
        self._periods = None if limit is None else math.ceil(limit / PERIOD_S) + 1

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        begun = time.monotonic()
        try:
            result = LEFT if kwargs else self._compiled.result(args, self._brake, self._periods)
        except InterruptedError:
            raise CancelledError from None
        except TimeoutError:
            raise self._too_late(args) from None
        if result is not LEFT:
            return result
        if self._limit is None:
            return self.in_python(*args, **kwargs)
        rest = self._limit - (time.monotonic() - begun)
        try:
            return within(rest, lambda: self.in_python(*args, **kwargs))
        except OutOfTime:
            raise self._too_late(args) from None

    def in_python(self, /, *args: Any, **kwargs: Any) -> Any:
        """The call, made by Python."""
        return self._compiled.in_python(args, kwargs)

    def _too_late(self, args: tuple[Any, ...]) -> TaskTimeout:
        name = codec.name_of(self._compiled.function)
        argument = codec.argument_text(args)
        return TaskTimeout(
            f"`{name}` with {argument} ran longer than {self._limit:g} s",
            function=name,
            argument=argument,
            limit=self._limit,
        )


class MachineCode:
    """The backend."""

    name = "native"

    def refusal(self, fn: Callable[..., object] | None = None) -> Refusal | None:
        if fn is None:
            return None
        compiled = known(fn)
        if compiled.is_compiled():
            return None
        return Refusal(
            f"`{codec.name_of(fn)}` can't be compiled: {compiled.refusal}",
            "`allcores.native.report(fn)` says what was compiled; what wasn't runs in Python",
        )

    def open(self, options: OpenOptions) -> RungExecutor:
        if options.compiler != "cranelift":
            from .compilers import open_with

            return open_with(options)
        return NativeExecutor(options)


BACKEND = MachineCode()
