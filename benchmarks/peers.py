"""Every engine under one small interface, bound to the engine's own methods as directly as
possible.

A peer's name is `engine` or `engine:start-method`. Each one gets two workers and, otherwise, its
defaults: what a user gets who changes nothing. Nothing is imported before a peer is opened, because
cold starts are measured through here.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

WORKERS = 2


class Pool:
    """What a question may ask of a peer; `None` where the peer has no such thing."""

    def __init__(
        self,
        *,
        name: str,
        map: Callable[[Callable[..., Any], Iterable[Any]], Iterable[Any]],
        submit: Callable[..., Any] | None = None,
        result: Callable[..., Any] | None = None,
        map_chunked: Callable[[Callable[..., Any], Iterable[Any], int], Iterable[Any]]
        | None = None,
        close: Callable[[], Any] = lambda: None,
        shared_memory: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.map = map
        self.submit = submit
        self.result = result
        """`result(handle)` or `result(handle, timeout)`."""
        self.map_chunked = map_chunked
        self.close = close
        self.shared_memory = shared_memory
        """Names in /dev/shm that outlive a killed pool."""

    def call(self, fn: Callable[..., Any], arg: Any) -> Any:
        """One task, and its result."""
        if self.submit is None or self.result is None:
            return next(iter(self.map(fn, [arg])))
        return self.result(self.submit(fn, arg))


def open_pool(peer: str, queue_mb: int = 10, workers: int = WORKERS) -> Pool:
    """A pool of two workers, or more. `queue_mb` is for peers whose queue has a fixed size and
    blocks when it is full.
    """
    engine, _, method = peer.partition(":")
    if engine == "zooparallel":
        return _zooparallel(queue_mb, workers)
    return ENGINES[engine](method or None, workers)


def _context(method: str | None) -> Any:
    return import_module("multiprocessing").get_context(method)


def _result(future: Any, timeout: float | None = None) -> Any:
    return future.result(timeout)


def _executor(name: str, executor: Any) -> Pool:
    return Pool(
        name=name,
        submit=executor.submit,
        result=_result,
        map=executor.map,
        map_chunked=lambda fn, items, size: executor.map(fn, items, chunksize=size),
        close=executor.shutdown,
    )


def _stdlib(method: str | None, workers: int) -> Pool:
    futures = import_module("concurrent.futures")
    context = _context(method) if method else None
    return _executor("stdlib", futures.ProcessPoolExecutor(workers, mp_context=context))


def _allcores(method: str | None, workers: int) -> Pool:
    if method == "dask":
        return _allcores_on_dask(workers)
    allcores = import_module("allcores")
    context = _context(method) if method else None
    return _executor("allcores", allcores.ProcessPoolExecutor(workers, mp_context=context))


def _loky(method: str | None, workers: int) -> Pool:
    return _executor("loky", import_module("loky").ProcessPoolExecutor(workers))


def _dask_cluster(workers: int) -> tuple[Any, Callable[[], None]]:
    distributed = import_module("distributed")
    cluster = distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None
    )
    client = distributed.Client(cluster)

    def close() -> None:
        client.close()
        cluster.close()

    return client, close


def _dask(method: str | None, workers: int) -> Pool:
    client, close = _dask_cluster(workers)
    return Pool(
        name="dask",
        submit=lambda fn, *args: client.submit(fn, *args, pure=False),
        result=_result,
        map=lambda fn, items: client.gather(client.map(fn, items, pure=False)),
        close=close,
    )


def _allcores_on_dask(workers: int) -> Pool:
    _, close = _dask_cluster(workers)
    executor = import_module("allcores").Executor("dask", max_workers=workers)

    def shut() -> None:
        executor.shutdown()
        close()

    pool = _executor("allcores:dask", executor)
    pool.close = shut
    return pool


def _threads(method: str | None, workers: int) -> Pool:
    executor = import_module("concurrent.futures").ThreadPoolExecutor(workers)
    pool = _executor("threads", executor)
    pool.map_chunked = None  # it ignores `chunksize`
    return pool


class _Now:
    """A finished task: what `submit` of the serial peer gives."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def result(self, timeout: float | None = None) -> Any:
        return self.value


def _serial(method: str | None, workers: int) -> Pool:
    return Pool(name="serial", submit=lambda fn, *args: _Now(fn(*args)), result=_result, map=map)


def _mp_pool(method: str | None, workers: int) -> Pool:
    pool = _context(method).Pool(workers)

    def close() -> None:
        pool.close()
        pool.join()

    return Pool(
        name="mp-pool",
        submit=lambda fn, *args: pool.apply_async(fn, args),
        result=lambda handle, timeout=None: handle.get(timeout),
        map=pool.map,
        map_chunked=pool.map,
        close=close,
    )


def _mp_pool_one_by_one(method: str | None, workers: int) -> Pool:
    pool = _mp_pool(method, workers)
    chunked = pool.map_chunked
    assert chunked is not None
    pool.name = "mp-pool-one-by-one"
    pool.map = lambda fn, items: chunked(fn, items, 1)
    return pool


def _joblib(method: str | None, workers: int) -> Pool:
    joblib = import_module("joblib")
    parallel = joblib.Parallel(n_jobs=workers).__enter__()
    delayed = joblib.delayed

    def chunked(fn: Callable[..., Any], items: Iterable[Any], size: int) -> Any:
        return joblib.Parallel(n_jobs=workers, batch_size=size)(delayed(fn)(item) for item in items)

    def close() -> None:
        parallel.__exit__(None, None, None)
        import_module("joblib.externals.loky").get_reusable_executor().shutdown()

    return Pool(
        name="joblib",
        map=lambda fn, items: parallel(delayed(fn)(item) for item in items),
        map_chunked=chunked,
        close=close,
    )


def _pebble(method: str | None, workers: int) -> Pool:
    pool = import_module("pebble").ProcessPool(workers, context=_context(method))

    def close() -> None:
        pool.close()
        pool.join()

    return Pool(
        name="pebble",
        submit=lambda fn, *args: pool.schedule(fn, args=args),
        result=_result,
        map=lambda fn, items: pool.map(fn, items).result(),
        map_chunked=lambda fn, items, size: pool.map(fn, items, chunksize=size).result(),
        close=close,
    )


def _mpire(method: str | None, workers: int) -> Pool:
    start = {"start_method": method} if method else {}
    pool = import_module("mpire").WorkerPool(workers, keep_alive=True, **start)

    def mapped(fn: Callable[..., Any], items: Iterable[Any], size: int | None = None) -> Any:
        return pool.map(
            fn, [(item,) for item in items], chunk_size=size
        )  # it would unpack an item that is a tuple

    def close() -> None:
        pool.stop_and_join()

    return Pool(
        name="mpire",
        submit=lambda fn, *args: pool.apply_async(fn, args),
        result=lambda handle, timeout=None: handle.get(timeout),
        map=mapped,
        map_chunked=mapped,
        close=close,
    )


def _zooparallel(queue_mb: int, workers: int) -> Pool:
    pool = import_module("zooparallel").ZooPool(workers, buffer_size_mb=queue_mb)
    return Pool(
        name="zooparallel",
        submit=pool.submit,
        result=_result,
        map=pool.map,
        close=pool.shutdown,
        shared_memory=(pool.core.task_q_name, pool.core.result_q_name),
    )


class _Pipe(Pool):
    """No engine: a process that sends back each byte that it gets. What one task there and back
    costs if nothing is done about it but to wake the other one up.
    """

    def __init__(self) -> None:
        there, ours = os.pipe()
        mine, back = os.pipe()
        self._child = os.fork()
        if not self._child:
            os.close(ours)
            while byte := os.read(there, 1):
                os.write(back, byte)
            os._exit(0)
        os.close(there)
        os.close(back)
        self._ends = ours, mine
        super().__init__(name="pipe", map=map, close=self._end)

    def call(self, fn: Callable[..., Any], arg: Any) -> Any:
        ours, mine = self._ends
        os.write(ours, b"x")
        os.read(mine, 1)
        return fn(arg)

    def _end(self) -> None:
        for end in self._ends:
            os.close(end)
        os.waitpid(self._child, 0)


def _pipe(method: str | None, workers: int) -> Pool:
    return _Pipe()


ENGINES: dict[str, Callable[[str | None, int], Pool]] = {
    "pipe": _pipe,
    "serial": _serial,
    "threads": _threads,
    "stdlib": _stdlib,
    "mp-pool": _mp_pool,
    "mp-pool-one-by-one": _mp_pool_one_by_one,
    "loky": _loky,
    "joblib": _joblib,
    "pebble": _pebble,
    "mpire": _mpire,
    "dask": _dask,
    "allcores": _allcores,
}

MODULES = {
    "loky": "loky",
    "joblib": "joblib",
    "pebble": "pebble",
    "mpire": "mpire",
    "zooparallel": "zooparallel",
    "dask": "distributed",
    "allcores": "allcores",
}
"""What has to be importable for an engine; the others come with Python."""


def missing(peer: str) -> str | None:
    """The module that is not installed, if any."""
    module = MODULES.get(peer.partition(":")[0])
    if module is None:
        return None
    return (
        None
        if module in sys.modules or import_module("importlib.util").find_spec(module)
        else module
    )
