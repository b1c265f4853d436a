"""Every engine under one small interface, each by its best documented way.

What an engine does not offer raises `NotOffered`, which becomes `n/a` in the table. Nothing is
imported before an engine is opened: scenarios are also about the first start.
"""

from __future__ import annotations

import concurrent.futures
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

WORKERS = 2


class NotOffered(Exception):
    """The engine has no such thing; the text says which."""


MODULES = {"allcores": "allcores", "loky": "loky", "pebble": "pebble", "mpire": "mpire"}
"""What has to be importable for an engine; the standard library comes with Python."""


class Engine:
    """A pool. Handles are the engine's own futures; only the engine looks into them."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    # -- calls ---------------------------------------------------------------------------------

    def submit(self, fn: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        if timeout is not None:
            raise NotOffered("no time limit for a task")
        return self.pool.submit(fn, *args)

    def map(
        self, fn: Callable[..., Any], items: Iterable[Any], chunksize: int | None = None
    ) -> Iterator[Any]:
        return iter(self.pool.map(fn, items, **_chunks(chunksize)))

    def map_ahead(self, fn: Callable[..., Any], items: Iterable[Any], ahead: int) -> Iterator[Any]:
        """`map` that runs ahead of its consumer by so much only, where that can be said."""
        return self.map(fn, items, 1)

    def outcomes(self, fn: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        """What `map` gives, exceptions among it, for as long as it gives something."""
        return _outcomes(self.map(fn, items))

    # -- handles -------------------------------------------------------------------------------

    def wait(self, handle: Any, seconds: float) -> bool:
        """Has it ended within that time?"""
        return not concurrent.futures.wait([handle], seconds).not_done

    def error(self, handle: Any) -> BaseException | None:
        """Of a handle that has ended."""
        try:
            error: BaseException | None = handle.exception(0)
        except concurrent.futures.CancelledError as cancelled:
            return cancelled
        return error

    def value(self, handle: Any) -> Any:
        return handle.result(0)

    def cancel(self, handle: Any) -> None:
        """Before it has started."""
        handle.cancel()

    def cancel_running(self, handle: Any) -> None:
        raise NotOffered("no way to cancel one running task")

    def when_done(self, handle: Any, callback: Callable[[Any], None]) -> None:
        handle.add_done_callback(callback)

    # -- the end -------------------------------------------------------------------------------

    def shutdown(self, *, wait: bool = True, cancel: bool = False) -> None:
        self.pool.shutdown(wait=wait, cancel_futures=cancel)

    def stop_now(self) -> None:
        """Ends the workers, whatever they run."""
        raise NotOffered("no way to stop busy workers")

    def stop_within(self, seconds: float) -> None:
        """Waits so long for what runs, then ends it."""
        self.stop_now()

    def leave(self) -> None:
        """Lets go of a pool with a task that never ends, so that the program may exit."""
        self.stop_now()

    def drop(self) -> None:
        """Forgets the pool without a word."""
        self.pool = None
        gc.collect()


class Stdlib(Engine):
    """`concurrent.futures.ProcessPoolExecutor`."""

    def __init__(self, workers: int | None, method: str | None, recycle: int | None) -> None:
        futures = import_module("concurrent.futures")
        options = {} if recycle is None else {"max_tasks_per_child": recycle}
        context = None if method is None else _context(method)
        super().__init__(futures.ProcessPoolExecutor(workers, mp_context=context, **options))

    def map_ahead(self, fn: Callable[..., Any], items: Iterable[Any], ahead: int) -> Iterator[Any]:
        bound = {"buffersize": ahead} if sys.version_info >= (3, 14) else {}
        return iter(self.pool.map(fn, items, **bound))

    def stop_now(self) -> None:
        if not hasattr(self.pool, "kill_workers"):
            raise NotOffered("no way to stop busy workers before 3.14")
        self.pool.kill_workers()

    def leave(self) -> None:
        if hasattr(self.pool, "kill_workers"):
            self.pool.kill_workers()
        else:
            self.pool.shutdown(wait=False, cancel_futures=True)


class Allcores(Engine):
    """`allcores.ProcessPoolExecutor`, with the replace policy where a case is about losses."""

    def __init__(
        self, workers: int | None, method: str | None, recycle: int | None, **more: Any
    ) -> None:
        context = None if method is None else _context(method)
        super().__init__(
            import_module("allcores").ProcessPoolExecutor(
                workers, mp_context=context, max_tasks_per_child=recycle, **more
            )
        )

    def submit(self, fn: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        pool = self.pool if timeout is None else self.pool.options(timeout=timeout)
        return pool.submit(fn, *args)

    def map_ahead(self, fn: Callable[..., Any], items: Iterable[Any], ahead: int) -> Iterator[Any]:
        return iter(self.pool.map(fn, items, chunksize=1, buffersize=ahead))

    def outcomes(self, fn: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return list(self.pool.map(fn, items, return_exceptions=True))

    def cancel_running(self, handle: Any) -> None:
        handle.cancel(running=True)

    def stop_now(self) -> None:
        self.pool.kill_workers()

    def stop_within(self, seconds: float) -> None:
        self.pool.shutdown(timeout=seconds)

    def leave(self) -> None:
        self.pool.shutdown(wait=False, abandon=True)


class Loky(Engine):
    """`loky.get_reusable_executor`."""

    def __init__(self, workers: int | None, method: str | None, recycle: int | None) -> None:
        if recycle is not None:
            raise NotOffered("workers are not recycled")
        if method == "forkserver":
            raise NotOffered("has a start method of its own")
        super().__init__(import_module("loky").get_reusable_executor(workers))

    def shutdown(self, *, wait: bool = True, cancel: bool = False) -> None:
        self.pool.shutdown(wait=wait, kill_workers=cancel)

    def stop_now(self) -> None:
        self.pool.shutdown(wait=True, kill_workers=True)

    def leave(self) -> None:
        self.pool.shutdown(wait=False, kill_workers=True)


class Pebble(Engine):
    """`pebble.ProcessPool`."""

    def __init__(self, workers: int | None, method: str | None, recycle: int | None) -> None:
        super().__init__(
            import_module("pebble").ProcessPool(
                workers or os.cpu_count(), max_tasks=recycle or 0, context=_context(method)
            )
        )

    def submit(self, fn: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        return self.pool.schedule(fn, args=args, timeout=timeout)

    def map(
        self, fn: Callable[..., Any], items: Iterable[Any], chunksize: int | None = None
    ) -> Iterator[Any]:
        return iter(self.pool.map(fn, items, **_chunks(chunksize)).result())

    def cancel_running(self, handle: Any) -> None:
        handle.cancel()

    def shutdown(self, *, wait: bool = True, cancel: bool = False) -> None:
        self.pool.stop() if cancel else self.pool.close()
        if wait:
            self.pool.join()

    def stop_now(self) -> None:
        self.pool.stop()
        self.pool.join()

    def stop_within(self, seconds: float) -> None:
        self.pool.close()
        with suppress(concurrent.futures.TimeoutError, TimeoutError):
            self.pool.join(timeout=seconds)
            return
        self.stop_now()


class Mpire(Engine):
    """`mpire.WorkerPool` that keeps its workers, and lets them have children."""

    def __init__(
        self,
        workers: int | None,
        method: str | None,
        recycle: int | None,
        by_value: bool = False,
    ) -> None:
        start = {} if method is None else {"start_method": method}
        self.recycle = {} if recycle is None else {"worker_lifespan": recycle}
        super().__init__(
            import_module("mpire").WorkerPool(
                workers, keep_alive=True, daemon=False, use_dill=by_value, **start
            )
        )

    def submit(self, fn: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        if self.recycle:
            raise NotOffered("workers are recycled by `map` alone")
        return self.pool.apply_async(fn, args, task_timeout=timeout)

    def map(
        self, fn: Callable[..., Any], items: Iterable[Any], chunksize: int | None = None
    ) -> Iterator[Any]:
        chunks = {} if chunksize is None else {"chunk_size": chunksize}
        rows: Iterable[Any] = ((item,) for item in items)  # it would unpack an item that is a tuple
        if hasattr(items, "__len__"):
            chunks["iterable_len"] = len(items)  # type: ignore[arg-type]
        return iter(self.pool.imap(fn, rows, **chunks, **self.recycle))

    def map_ahead(self, fn: Callable[..., Any], items: Iterable[Any], ahead: int) -> Iterator[Any]:
        rows = ((item,) for item in items)
        return iter(self.pool.imap(fn, rows, chunk_size=1, max_tasks_active=ahead))

    def outcomes(self, fn: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        """One by one: a chunk would lose all its results."""
        return _outcomes(self.map(fn, items, 1))

    def wait(self, handle: Any, seconds: float) -> bool:
        handle.wait(seconds)
        return bool(handle.ready())

    def error(self, handle: Any) -> BaseException | None:
        try:
            handle.get(0)
        except BaseException as error:
            return error
        return None

    def value(self, handle: Any) -> Any:
        return handle.get(0)

    def cancel(self, handle: Any) -> None:
        raise NotOffered("no way to cancel a task")

    def when_done(self, handle: Any, callback: Callable[[Any], None]) -> None:
        raise NotOffered("callbacks only at submission")

    def shutdown(self, *, wait: bool = True, cancel: bool = False) -> None:
        if cancel:
            self.pool.terminate()
        elif wait:
            self.pool.stop_and_join()
        else:
            raise NotOffered("no shutdown without waiting")

    def stop_now(self) -> None:
        self.pool.terminate()


ENGINES: dict[str, Callable[..., Engine]] = {
    "allcores": Allcores,
    "stdlib": Stdlib,
    "loky": Loky,
    "pebble": Pebble,
    "mpire": Mpire,
}


def open_engine(
    name: str,
    workers: int | None = WORKERS,
    *,
    method: str | None = None,
    recycle: int | None = None,
    by_value: bool = False,
    **only_allcores: Any,
) -> Engine:
    """A pool.

    Args:
        name: of the engine.
        workers: None: the engine's default.
        method: the start method.
        recycle: calls after which a worker is replaced.
        by_value: functions are pickled by value, where that has to be asked for.
        only_allcores: unknown to the others, and passed to allcores alone.
    """
    more = only_allcores if name == "allcores" else {}
    if by_value and name == "mpire":
        more = {"by_value": True}
    return ENGINES[name](workers, method, recycle, **more)


def worker_pids(engine: Engine, workers: int = WORKERS, patience: float = 10.0) -> list[int]:
    """Asks the workers themselves, until so many have answered or the time is over."""
    from benchmarks.cases.tasks import slow_pid

    seen: set[int] = set()
    end = time.monotonic() + patience
    while len(seen) < workers and time.monotonic() < end:
        handles = [engine.submit(slow_pid, 0.05) for _ in range(2 * workers)]
        for handle in handles:
            if engine.wait(handle, patience):
                seen.add(engine.value(handle))
    return sorted(seen)


def kill(pid: int) -> None:
    """As the kernel does when memory is out."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _outcomes(iterator: Iterator[Any]) -> list[Any]:
    results: list[Any] = []
    while True:
        try:
            results.append(next(iterator))
        except StopIteration:
            return results
        except Exception as error:
            results.append(error)


def _chunks(size: int | None) -> dict[str, int]:
    return {} if size is None else {"chunksize": size}


def _context(method: str | None) -> Any:
    return import_module("multiprocessing").get_context(method)
