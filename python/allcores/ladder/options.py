"""What a call, a map, or an executor of the ladder was asked for.

`CallOptions` go with a call or a map, `OpenOptions` with an executor. A rung that can't do what
they ask refuses (`backends.base`); none ignores it, but for `chunksize`, which is a hint where
nothing is sent.

`retries` counts, on every rung, for what `retry_on` names, by default any `Exception`. (With
`ProcessPoolExecutor.options` it counts for dead workers alone until `retry_on` says more; on
rungs where no worker can die that would mean nothing.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ParamSpec, TypeVar

    from ..pool.feed import Part
    from ..pool.options import Options
    from .progress import Meter

    P = ParamSpec("P")
    T = TypeVar("T")


Kinds = tuple[type[BaseException], ...]

ANY_EXCEPTION: Kinds = (Exception,)
"""What is tried again unless `retry_on` says otherwise."""


class OpenOptions:
    """How an executor shall be made.

    Attributes:
        max_workers: how many calls at most run at the same time; None: the share of the cores.
        initializer: called once in each worker before its first call.
        initargs: its arguments.
        context_vars: context variables whose values go along where they do not by themselves.
        forward_logs: log records of worker processes are handled in this one.
        compiler: who compiles on the rung of machine code (`native.compilers`).
    """

    __slots__ = (
        "compiler",
        "context_vars",
        "forward_logs",
        "initargs",
        "initializer",
        "max_workers",
    )

    def __init__(
        self,
        *,
        max_workers: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        context_vars: Sequence[ContextVar[Any]] = (),
        forward_logs: bool = True,
        compiler: str = "cranelift",
    ) -> None:
        """Raises `TypeError` or `ValueError` for what can't be meant."""
        if max_workers is not None and max_workers < 1:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        for each in context_vars:
            if not isinstance(each, ContextVar):
                raise TypeError(f"`context_vars` must hold context variables, not `{each!r}`")
        self.max_workers = max_workers
        self.initializer = initializer
        self.initargs = tuple(initargs)
        self.context_vars = tuple(context_vars)
        self.forward_logs = forward_logs
        self.compiler = compiler

    def changed(self, **changes: Any) -> OpenOptions:
        """These options with some changed. Raises `TypeError` or `ValueError` for a bad one."""
        return OpenOptions(**{**{name: getattr(self, name) for name in self.__slots__}, **changes})

    def check_compiler(self, backend: str) -> None:
        """Raises `ValueError` for a compiler that nobody knows, or a backend that has none."""
        if self.compiler == "cranelift":
            return
        from ..native import compilers

        compilers.checked(self.compiler)
        if backend != "native":
            raise ValueError(
                f"backend `{backend}` compiles nothing, and `compiler` is `{self.compiler}`\n"
                f"hint: backend='native', compiler='{self.compiler}'"
            )


class CallOptions:
    """How a call, or the items of a map, shall be run. Not to be changed: `changed` makes others.

    Attributes:
        timeout: seconds one call may run, from its start.
        retries: how often a call is made again that raised what `retry_on` names.
        retry_on: exception classes; `TimeoutError` includes a `timeout` that has passed,
            `WorkerDied` the end of its process.
        chunksize: items a task; None: by measured durations.
        buffersize: at most so many tasks of a map whose results were not yet taken.
        ordered: results come in the order of the items.
        return_exceptions: what a call raised is given as its result.
        within: seconds after which asking a map for the next result raises `TimeoutError`.
        part: that the items are the rest of a map.
        meter: told how many items have been finished.
    """

    __slots__ = (
        "buffersize",
        "chunksize",
        "meter",
        "ordered",
        "part",
        "retries",
        "retry_on",
        "return_exceptions",
        "timeout",
        "within",
    )

    def __init__(
        self,
        *,
        timeout: float | None = None,
        retries: int = 0,
        retry_on: type[BaseException] | Kinds = ANY_EXCEPTION,
        chunksize: int | None = None,
        buffersize: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        within: float | None = None,
        part: Part | None = None,
        meter: Meter | None = None,
    ) -> None:
        """Raises `TypeError` or `ValueError` for what can't be meant."""
        if chunksize is not None and chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        self.timeout = timeout
        self.retries = retries
        self.retry_on = (retry_on,) if isinstance(retry_on, type) else tuple(retry_on)
        self.chunksize = chunksize
        self.buffersize = buffersize
        self.ordered = ordered
        self.return_exceptions = return_exceptions
        self.within = within
        self.part = part
        self.meter = meter
        if timeout is not None or retries != 0 or self.retry_on != ANY_EXCEPTION:
            self.of_process_pool()  # which checks them

    def __repr__(self) -> str:
        words = [f"{name}={getattr(self, name)!r}" for name in ("timeout", "retries")]
        return f"options({', '.join(words)})"

    def changed(self, **changes: Any) -> CallOptions:
        """These options with some changed. Raises `TypeError` or `ValueError` for a bad one."""
        return CallOptions(**{**{name: getattr(self, name) for name in self.__slots__}, **changes})

    def of_process_pool(self) -> Options | None:
        """What of them `ProcessPoolExecutor.options` takes; None when there is nothing."""
        if self.timeout is None and self.retries == 0 and self.retry_on == ANY_EXCEPTION:
            return None
        from ..pool.options import Options

        given = {"timeout": self.timeout, "retries": self.retries, "retry_on": self.retry_on}
        return Options().changed(given)

    def applied_to(self, fn: Callable[P, T]) -> Callable[P, T]:
        """`fn`, or what calls it again after the exceptions to retry on."""
        if self.retries and self.retry_on:
            from ..pool.retrying import Retrying

            return Retrying(fn, self.retries, self.retry_on)
        return fn


PLAIN = CallOptions()
"""Nothing was asked for."""
