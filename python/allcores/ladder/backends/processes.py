"""The rung of processes: `ProcessPoolExecutor`, whose calls can be stopped and may crash.

Here a lost worker costs the call that it ran, and nothing else (`on_worker_death="replace"`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ...pool.executor import ProcessPoolExecutor
from .. import here
from ..options import PLAIN
from .base import Refusal, RungExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any, TypeVar

    from ..options import CallOptions, OpenOptions

    T = TypeVar("T")


class ProcessesExecutor(RungExecutor):
    """Runs calls in worker processes."""

    name = "processes"

    def __init__(self, options: OpenOptions) -> None:
        self.max_workers = options.max_workers or here.share()
        self.pool = ProcessPoolExecutor(
            self.max_workers,
            initializer=options.initializer,
            initargs=options.initargs,
            on_worker_death="replace",
            context_vars=options.context_vars,
            forward_logs=options.forward_logs,
        )

    def submit_call(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions | None,
    ) -> Future[T]:
        if options is None:
            return self.pool.submit(fn, *args, **kwargs)
        return self.pool._submit(fn, args, kwargs, options.of_process_pool())

    def submit_or(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions | None,
        otherwise: Callable[[], Future[T]],
    ) -> Future[T]:
        """As `submit_call`; what can't be pickled goes `otherwise`."""
        terms = None if options is None else options.of_process_pool()
        instead: Any = otherwise
        return self.pool._submit(fn, args, kwargs, terms, instead)

    def map(  # type: ignore[override]
        self, fn: Callable[..., T], *iterables: Iterable[Any], options: CallOptions = PLAIN
    ) -> Iterator[T]:
        return self.pool._map(
            fn,
            iterables,
            timeout=options.within,
            chunksize=options.chunksize,
            buffersize=options.buffersize,
            return_exceptions=options.return_exceptions,
            ordered=options.ordered,
            options=options.of_process_pool(),
            meter=options.meter,
            part=options.part,
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def abandon(self) -> None:
        self.pool.shutdown(wait=False, abandon=True)

    def stats(self) -> dict[str, int]:
        return self.pool.stats()


class Processes:
    """The backend."""

    name = "processes"

    def refusal(self, fn: Callable[..., object] | None = None) -> Refusal | None:
        return None

    def open(self, options: OpenOptions) -> ProcessesExecutor:
        return ProcessesExecutor(options)


BACKEND = Processes()
