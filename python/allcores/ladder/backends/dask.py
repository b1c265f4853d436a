"""The rung of a cluster: Dask's. We write no network protocol of our own.

Which cluster, is Dask's way of saying it: the client that the program has made
(`distributed.Client(address)`), else the scheduler that its configuration names
(`DASK_SCHEDULER_ADDRESS`), else one of worker processes on this machine, which lives as long as the
executor and needs `if __name__ == "__main__":` in scripts, as Dask does.

Calls go in chunks, which `away` runs there, so allcores must be installed on the workers. Dask's
own rules hold for its workers: a running call can't be stopped; results that lay on a lost worker
are computed again; and what that worker was to run is run again as often as the scheduler's
`allowed-failures` says (one that we make: never), and then fails with `WorkerDied`.
"""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from ...errors import WorkerDied
from .. import here
from .base import Refusal
from .elsewhere import ElsewhereExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..options import OpenOptions

LARGE_FUNCTION = 64 * 1024
"""From so many bytes on a function goes to each worker once, not with each chunk."""
MOST_LARGE_FUNCTIONS = 16


class DaskExecutor(ElsewhereExecutor):
    """Runs calls on a Dask cluster."""

    aim_ns = 100_000_000
    """Handing a chunk over and fetching its results takes Dask some milliseconds: with half of
    this, 100 calls of 20 ms took 4% longer than Dask's own `map`, with this 2% less."""
    why_no_timeout = "Dask can't stop a running call"

    def __init__(self, options: OpenOptions) -> None:
        if options.initializer is not None:
            raise NotImplementedError(
                "`initializer` could not be kept on backend `dask`: the cluster has its workers "
                "already\nhint: give the client a `distributed.WorkerPlugin`"
            )
        self._client, self._owned = _client(options.max_workers)
        cores = sum(self._client.nthreads().values())
        pool = _Pool(self._client)
        super().__init__("dask", pool, options.max_workers or max(cores, 1), options)
        self._large: dict[bytes, Any] = {}

    def before_sending(self, function: bytes) -> Any:
        if len(function) < LARGE_FUNCTION:
            return function
        found = self._large.get(function)
        if found is None:
            if len(self._large) >= MOST_LARGE_FUNCTIONS:
                self._large.clear()
            found = self._client.scatter(function, broadcast=True, hash=False)
            self._large[function] = found
        return found

    def lost(self, error: BaseException | None) -> BaseException | None:
        if not isinstance(error, _dask("distributed").KilledWorker):
            return None
        address = error.last_worker.address
        return WorkerDied(
            f"the Dask worker at `{address}` ended while it held this call\n"
            "hint: its log, or that of its batch job, may say why"
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            self._close()
        elif self._owned:
            threading.Thread(target=self._close, name="allcores-dask").start()

    def _close(self) -> None:
        """Ends what was made for this executor, when all calls have ended."""
        owned, self._owned = self._owned, []
        self._pool.shutdown()
        self._large.clear()
        for each in owned:
            each.close()


class _Pool(concurrent.futures.Executor):
    """A client as an executor. Dask does not say whether a call has started, so each counts as
    running at once, and none can be cancelled singly: it might run twice, or be said not to run.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._under_way: dict[concurrent.futures.Future[Any], Any] = {}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        theirs = self._client.submit(fn, *args, pure=False, **kwargs)
        ours: concurrent.futures.Future[Any] = concurrent.futures.Future()
        ours.set_running_or_notify_cancel()
        self._under_way[ours] = theirs
        ours.add_done_callback(self._under_way.pop)
        self._client.loop.add_callback(self._settle, ours, theirs)
        return ours

    async def _settle(self, ours: concurrent.futures.Future[Any], theirs: Any) -> None:
        try:
            # Not by `get_executor`: it takes a result for an error if its worker is lost meanwhile.
            (value,) = await self._client.gather([theirs], asynchronous=True)
        except BaseException as error:
            ours.set_exception(error)
        else:
            ours.set_result(value)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        under_way = dict(self._under_way)
        if cancel_futures and under_way:
            self._client.cancel(list(under_way.values()))
        if wait:
            concurrent.futures.wait(under_way)


def _client(max_workers: int | None) -> tuple[Any, list[Any]]:
    """The client to use, and what must be closed with the executor."""
    distributed, config = _dask("distributed"), _dask("dask.config")
    try:
        return distributed.Client.current(), []
    except ValueError:
        pass  # nobody has made one
    if config.get("scheduler-address", None):
        client = distributed.Client(set_as_default=False)
        return client, [client]
    with config.set({"distributed.scheduler.allowed-failures": 0}):
        cluster = distributed.LocalCluster(
            n_workers=max_workers or here.share(),
            threads_per_worker=1,
            dashboard_address=None,
        )
    client = distributed.Client(cluster, set_as_default=False)
    return client, [client, cluster]


def _dask(module: str) -> Any:
    """A module of a package that need not be there, and has few types."""
    return import_module(module)


class Dask:
    """The backend."""

    name = "dask"

    def refusal(self, fn: Callable[..., object] | None = None) -> Refusal | None:
        if find_spec("distributed") is not None:
            return None
        return Refusal("the package `distributed` is not installed", "pip install distributed")

    def open(self, options: OpenOptions) -> DaskExecutor:
        return DaskExecutor(options)


BACKEND = Dask()
