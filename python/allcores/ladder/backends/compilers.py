"""The native rung with another compiler than ours, for whoever asks for it by name.

`numba`: threads, whose calls are functions compiled by Numba with the interpreter's lock released;
a sample of the results is compared with CPython's. `cython`: processes, whose calls are functions
of a module compiled by Cython.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ...native import compilers
from .. import here
from ..options import PLAIN
from .base import Refusal, RungExecutor, refuse_timeout
from .processes import ProcessesExecutor
from .threads import ThreadsExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any, TypeVar

    from ..options import CallOptions, OpenOptions

    T = TypeVar("T")


class _Kept:
    """Each function is compiled once an executor."""

    def __init__(self, compile_it: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._compile = compile_it
        self._known: dict[Any, Callable[..., Any]] = {}

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        try:
            found = self._known.get(fn)
            if found is None:
                found = self._known[fn] = self._compile(fn)
        except TypeError:  # it can't be a key
            return self._compile(fn)
        return found


class NumbaExecutor(ThreadsExecutor):
    """Runs calls compiled by Numba in threads."""

    name = "native"

    def __init__(self, options: OpenOptions) -> None:
        from ...native.numba_compiler import NumbaFunction

        super().__init__(options.changed(max_workers=options.max_workers or here.share()))
        self._compiled = _Kept(NumbaFunction)

    def submit_call(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions | None,
    ) -> Future[T]:
        return super().submit_call(self._compiled(fn), args, kwargs, options)

    def map(  # type: ignore[override]
        self, fn: Callable[..., T], *iterables: Iterable[Any], options: CallOptions = PLAIN
    ) -> Iterator[T]:
        return super().map(self._compiled(fn), *iterables, options=options)

    def check(self, options: CallOptions) -> None:
        if options.timeout is not None:
            refuse_timeout(self.name, "code compiled by Numba can't be stopped")


class CythonExecutor(ProcessesExecutor):
    """Runs calls compiled by Cython in worker processes."""

    name = "native"

    def __init__(self, options: OpenOptions) -> None:
        from ...native import cython_compiler

        super().__init__(options)
        self._compiled = _Kept(cython_compiler.compiled)

    def submit_call(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions | None,
    ) -> Future[T]:
        return super().submit_call(self._compiled(fn), args, kwargs, options)

    def map(  # type: ignore[override]
        self, fn: Callable[..., T], *iterables: Iterable[Any], options: CallOptions = PLAIN
    ) -> Iterator[T]:
        return super().map(self._compiled(fn), *iterables, options=options)


_EXECUTORS: dict[str, Callable[[OpenOptions], RungExecutor]] = {
    "numba": NumbaExecutor,
    "cython": CythonExecutor,
}


def open_with(options: OpenOptions) -> RungExecutor:
    """An executor for `options.compiler`. Raises `NotImplementedError` if it isn't installed."""
    name = options.compiler
    package = compilers.missing(name)
    if package is not None:
        raise Refusal(
            f"compiler `{name}` is not installed", f"`pip install 'allcores[{name}]'`"
        ).error("native")
    return _EXECUTORS[name](options)
