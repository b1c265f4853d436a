"""The two implementations that every behavioural test runs on: the standard library, which is the
oracle, and allcores."""

from __future__ import annotations

import importlib
import multiprocessing
from dataclasses import dataclass
from types import ModuleType
from typing import Any

# "default" passes no `mp_context`: it is what most users get.
START_METHODS = ("default", "fork", "forkserver", "spawn")

# Where allcores means to differ from the standard library, and why; a test that meets one names it
DIFFERENCES = {
    "one lost payload breaks no pool": (
        "an argument or result that can not be unpickled fails its own future, with an exception "
        "that also is a BrokenProcessPool; the standard pool breaks and loses all other work"
    ),
    "interpreter exits are errors of one task": (
        "SystemExit while an argument is pickled is that task's error; it ends the standard pool's "
        "feeder thread, and the future never ends"
    ),
    "workers follow their parent": (
        "workers end when their parent was killed; the standard library's stay "
        "(python/cpython#111873)"
    ),
    "a start is safe beside threads": (
        "a default pool does not fork a process that has threads, so nothing warns of it"
    ),
    "fork servers have what the script imported": (
        "a fork server imports what `__main__` has imported, once for all workers; the standard "
        "library's means to, and does not (python/cpython#137996)"
    ),
    "deaths tell their story": (
        "what a dead worker leaves says how it ended, with how much memory, and its last stack"
    ),
    "functions travel by value": (
        "lambdas, closures and everything of `__main__` work; the standard library's pickle refuses"
    ),
    "errors name the argument": (
        "a note on the exception says which function and which argument failed"
    ),
    "forked copies refuse": (
        "a pool used in a child that the user forked raises; the standard pool's threads are gone "
        "there, and its future never ends"
    ),
    "a result can be asked for again": (
        "a result that could not be unpickled for want of memory is not lost: asking again may "
        "succeed"
    ),
    "more keywords": (
        "keywords whose defaults are the standard behaviour: `on_worker_death`, "
        "`return_exceptions`, `shutdown(timeout=)` and others"
    ),
    "executors work inside tasks": (
        "a task may use the executor that runs it: the calls are made there and then; with the "
        "standard library it can't get hold of it, or waits for ever"
    ),
    "pools share the cores": (
        "the workers of a pool divide the cores of the process that made it, for pools and for the "
        "threads of numerical libraries; the standard library's know nothing of each other"
    ),
    "contexts travel": (
        "context variables and log records cross into workers and back if asked to, and callbacks "
        "run in the context in which they were added"
    ),
    "a lost worker costs one task": (
        "a pool made with `on_worker_death='replace'` loses only what the dead worker was running; "
        "the standard pool breaks"
    ),
    "every future has an error of its own": (
        "futures that a broken pool fails share no exception object (python/cpython#101267)"
    ),
    "recycling strands nothing": (
        "`max_tasks_per_child` works however the pool ends; the standard pool can hang "
        "(python/cpython#115634, #119592, #152967)"
    ),
    "shutdown bears what does not pickle": (
        "`shutdown(cancel_futures=True)` returns though tasks can not be pickled; the standard one "
        "can hang (python/cpython#116685)"
    ),
    "running tasks can be stopped": (
        "`cancel(running=True)` and `options(timeout=)` end a task that runs, with the processes "
        "that it has started; in the standard library nothing does"
    ),
    "bounded shutdown": (
        "`shutdown(timeout=)` and `shutdown(abandon=True)` end tasks that are stuck; the standard "
        "`shutdown` and the interpreter's exit wait for them"
    ),
    "maps go on after an exception": (
        "`next` gives the results after one that raised, and `return_exceptions=True` gives the "
        "exceptions as results; the standard iterator is over"
    ),
    "maps give results as they come": (
        "`map(ordered=False)` gives what is ready; the standard one waits for the next in order"
    ),
    "one executor for all": (
        "`Executor` can be made, and runs calls on any rung; the standard one is abstract"
    ),
    "dropped maps warn": "a map that is dropped before its end warns that items were not run",
    "results come in crowds": "tiny results are sent and heard of many at a time",
    "maps are lazy": (
        "`map` takes items as results are consumed; the standard one takes all at once"
    ),
    "workers have a memory limit": "`max_worker_memory`; the standard library has none",
    "waiting tasks are small": "the engine keeps less than 300 bytes for each",
    "large results use pages again": (
        "where results of a megabyte arrive, the C library keeps memory for some of them; "
        "otherwise it gets new pages from the system for each"
    ),
    "Ctrl-C ends what runs": (
        "a Ctrl-C that leaves the `with` block or the program ends running tasks, quietly; in the "
        "standard library each worker shows a traceback of its own"
    ),
    "pools outlive the main thread": (
        "other threads can use pools after the main thread's end; the standard library refuses "
        "(python/cpython#148280)"
    ),
    "buffersize everywhere": "`map(buffersize=)` works everywhere; there it does from 3.14 on",
    "kill and terminate everywhere": (
        "`terminate_workers` and `kill_workers` exist everywhere; there they do from 3.14 on"
    ),
}


@dataclass(frozen=True, slots=True)
class Implementation:
    """One module that offers the names of `concurrent.futures`."""

    name: str
    module: ModuleType

    @classmethod
    def load(cls, name: str) -> Implementation:
        return cls(name, importlib.import_module({"stdlib": "concurrent.futures"}.get(name, name)))

    def differs(self, difference: str) -> bool:
        """Whether this implementation has that intended difference from the standard library."""
        return difference in DIFFERENCES and self.name == "allcores"

    def pool(
        self, start_method: str = "default", max_workers: int | None = 2, **options: Any
    ) -> Any:
        if start_method != "default" and "mp_context" not in options:
            options["mp_context"] = multiprocessing.get_context(start_method)
        return self.module.ProcessPoolExecutor(max_workers, **options)
