"""`ProcessPoolExecutor`: the standard library's, on the engine of allcores.

The way of a call: `submit` pickles the arguments in the caller's thread and gives the bytes
to the engine (`runtime`), which hands them to a worker process; the `Future` decodes the
answer when somebody asks for it. The signature, the semantics and the exceptions are those
of `concurrent.futures.ProcessPoolExecutor`; what is different by intent:

* unless `mp_context` says otherwise, workers are forked while the process has a single thread,
  and come from a clean fork server else; the script's body never runs in them, and what
  `__main__` defines travels by value;
* a task whose arguments or result can't be unpickled fails alone: the pool lives on;
* arguments are pickled when the task is submitted: a task sees them as they were then;
* `map` without `chunksize` chooses chunks by measured durations, takes items from iterables
  without a length only as results are consumed, and can go on after an exception;
* a Ctrl-C that leaves the `with` block, or ends the program, ends what was running, too;
* a task may use the executor, also the one that runs it: its calls are made in that worker, at
  once (`inside`); an executor that a task makes has as many workers as are its share of the
  cores (`nesting`).
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from multiprocessing.context import BaseContext
from types import TracebackType

from .._core import Shipment, plain_call
from ..settings import Settings
from . import codec, inside, kinship, nesting, tags
from .exits import is_exiting
from .future import Caller, Future
from .runtime import Runtime
from .start import Launcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import ContextVar
    from typing import Any, Literal, NoReturn, ParamSpec, TypeVar

    from . import parking
    from .feed import Meter, Part
    from .options import Options, Terms, View
    from .trace import Trace

    P = ParamSpec("P")
    T = TypeVar("T")


class _Measured(int):
    """A chunk size of 1 that nobody asked for: the engine may choose a better one."""


_MEASURED = _Measured(1)


if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor as StandardExecutor
else:
    StandardExecutor = kinship.standard_executor(Executor)


class ProcessPoolExecutor(StandardExecutor, nesting.Original):
    """Runs calls in worker processes; a drop-in for `concurrent.futures.ProcessPoolExecutor`.

    Args:
        max_workers: how many worker processes at most; None: as many as there are cores for this
            process, which in a worker are its share of those that its parent had.
        mp_context: the multiprocessing context that starts them; None: fork if that is safe, which
            is while the process has a single thread, else a clean fork server.
        initializer: called once in each worker before its first task.
        initargs: its arguments; multiprocessing locks and queues may be among them.
        max_tasks_per_child: a worker is replaced after so many tasks; None: never.
        on_worker_death: what the unexpected end of a worker means. "break", as in the standard
            library: every unfinished future fails with `BrokenProcessPool`, and the pool is not
            usable any more. "replace": the call that was running fails with `WorkerDied`, in a
            chunk of a `map` that item alone; results there are kept, everything else runs
            elsewhere, and the worker is replaced.
        max_worker_memory: bytes. A worker whose resident memory has passed it is replaced between
            two tasks, and a call that needs more gets a `MemoryError`. None: no limit.
        context_vars: context variables whose values go along with each call.
        forward_logs: log records of the workers are handled here, by the loggers of their names.

    Raises:
        ValueError: for a number below 1, or `max_tasks_per_child` with the fork method.
        TypeError: for an initializer that is not callable.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        on_worker_death: Literal["break", "replace"] = "break",
        max_worker_memory: int | None = None,
        context_vars: Sequence[ContextVar[Any]] = (),
        forward_logs: bool = False,
    ) -> None:
        # The base class is there for `isinstance`; none of its machinery is set up.
        if max_workers is None:
            max_workers = nesting.share()
        elif max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        elif sys.platform == "win32" and max_workers > 61:
            raise ValueError("max_workers must be <= 61")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        _check_max_tasks(max_tasks_per_child, mp_context)
        if on_worker_death not in ("break", "replace"):
            raise ValueError(
                f"`on_worker_death` is `{on_worker_death}`\nhint: `break` or `replace`"
            )
        _check_memory(max_worker_memory)
        self._max_workers = max_workers
        self._token = inside.register(self)
        settings = Settings.from_environment()
        launcher = Launcher(
            mp_context,
            initializer=initializer,
            initargs=tuple(initargs),
            may_fork=max_tasks_per_child is None,
            workers=max_workers,
            context_vars=_checked(context_vars),
            forward_logs=forward_logs,
        )
        self._mp_context = launcher.context
        self._runtime = Runtime(
            launcher,
            max_workers=max_workers,
            max_tasks=max_tasks_per_child,
            stream=settings.link == "stream",
            replace_lost=on_worker_death == "replace",
            max_memory=max_worker_memory,
        )
        if launcher.is_undecided and (
            (initializer, max_tasks_per_child, max_worker_memory, on_worker_death)
            == (None, None, None, "break")
            and not (context_vars or forward_logs)
            and settings.keep_idle
        ):
            self._runtime.trace = _new_trace()
        # Whatever is slow about the first worker goes on while the caller prepares its work; a
        # thread of the shelf's would look like one of the user's.
        shelf = _shelf()
        if self._runtime.trace is None or shelf is None or shelf.is_empty():
            if shelf is not None:
                shelf.clear()
            launcher.warm()
        self.closed_runtime: Runtime | None = None
        """What is left of it when its workers are kept for the next one."""
        self._counted: dict[str, int] | None = None
        self._finalizer = weakref.finalize(self, _abandon, self._runtime)
        self._finalizer.atexit = False

    def adopt(self, runtime: Runtime) -> None:
        """Goes on with this runtime."""
        self._finalizer.detach()
        self._runtime = runtime
        self._finalizer = weakref.finalize(self, _abandon, runtime)
        self._finalizer.atexit = False

    def fresh_runtime(self) -> Runtime:
        """Another one for an executor without options."""
        return Runtime(
            Launcher(workers=self._max_workers),
            max_workers=self._max_workers,
            max_tasks=None,
            stream=self._runtime.stream,
        )

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Has `fn(*args, **kwargs)` run in a worker; returns the future of its result.

        An argument that can't be pickled becomes the future's exception.

        Raises:
            RuntimeError: after `shutdown`.
            BrokenProcessPool: after a worker died.
        """
        # The same function as before with plain arguments: nothing else has to be looked at.
        runtime = self._runtime
        recent = runtime.recent
        if recent is not None and recent.function is fn and (recent.is_fixed or recent.is_right()):
            payload = plain_call(args, kwargs, runtime.known)
            if payload is not None:
                try:
                    return runtime.submit_call(recent.caller, recent.tag, tags.CALL, payload, None)
                except RuntimeError:
                    self._check_open()
                    raise
        return self._submit(fn, args, kwargs, None)

    def _submit(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Options | None,
        otherwise: Callable[[], Future[T]] | None = None,
    ) -> Future[T]:
        """`otherwise` is called instead, if the call can't be pickled."""
        runtime = self._runtime
        terms = None
        if options is not None:
            terms = options.terms()
            fn = options.applied_to(fn)
        if not runtime.is_begun or runtime.trace is not None:
            ready = self._get_ready((fn, (args, kwargs), False), terms)
            if ready is None:
                return inside.submit(fn, args, kwargs)
            runtime = ready
        try:
            known = runtime.registered(fn)
            if known is not None:
                function, caller = known.tag, known.caller
                payload = runtime.packed(args, kwargs)
            else:
                function, caller = None, Caller(runtime, codec.name_of(fn))
                payload = runtime.launcher.encoder.pack((fn, args, kwargs))
            tag = tags.CALL
            if runtime.launcher.context_vars and not isinstance(payload, Shipment):
                from . import context

                tag, payload = context.lay_before(runtime.context_values(), tag, payload)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._check_open()
            if otherwise is not None:
                return otherwise()
            codec.note_call(error, codec.name_of(fn), None, codec.argument_text(args))
            failed: Future[T] = Future()
            failed.set_exception(error)
            return failed
        try:
            return runtime.submit_call(caller, function, tag, payload, terms)
        except RuntimeError:
            self._check_open()
            raise

    def map(  # `buffersize` came with 3.14
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = _MEASURED,
        buffersize: int | None = None,
        return_exceptions: bool = False,
        ordered: bool = True,
    ) -> Iterator[T]:
        """The results of `fn` over the items of `iterables`, in order.

        What a call raises is raised in its turn; `next` then goes on with the next item. Who lets
        go of the iterator, as a `for` loop does by an exception, gives up what has not started.

        Iterables that have a length are worked through whether results are taken or not. Of others
        no more items are ahead of the results than a window of `2 * max_workers + 2`, and one more
        with every four results taken, up to 1,024 times that; so an endless one can be left after
        ten. With `chunksize` the window is `2 * max_workers + 2` chunks.

        Args:
            fn: called with one item of each iterable.
            iterables: as for the built-in `map`; the shortest ends it.
            timeout: seconds from now after which `next` raises `TimeoutError`.
            chunksize: items a task; by default chosen by measured durations.
            buffersize: at most so many items whose results were not yet taken; with `chunksize`,
                so many chunks.
            return_exceptions: give what a call raised as its result, instead of raising it.
            ordered: False gives results as they come; those of a task stay together.

        Raises:
            ValueError: for `chunksize` or `buffersize` below 1.
            TypeError: for a `buffersize` that is not an integer.
        """
        return self._map(
            fn,
            iterables,
            timeout=timeout,
            chunksize=None if chunksize is _MEASURED else chunksize,
            buffersize=buffersize,
            return_exceptions=return_exceptions,
            ordered=ordered,
            options=None,
        )

    def _map(
        self,
        fn: Callable[..., T],
        iterables: tuple[Iterable[Any], ...],
        *,
        timeout: float | None,
        chunksize: int | None,
        buffersize: int | None,
        return_exceptions: bool,
        ordered: bool,
        options: Options | None,
        meter: Meter | None = None,
        part: Part | None = None,
    ) -> Iterator[T]:
        if chunksize is not None and chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        if options is not None:
            fn = options.applied_to(fn)
        terms = None if options is None else options.terms()
        possible = None if buffersize is not None else (fn, iterables, True)
        runtime = self._get_ready(possible, terms)
        if runtime is None:
            return inside.Results(
                fn,
                iterables,
                timeout=timeout,
                is_bounded=buffersize is not None,
                keeps_exceptions=return_exceptions,
            )
        self._check_open()
        from .map import start_map

        return start_map(
            runtime,
            fn,
            iterables,
            timeout=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
            max_workers=self._max_workers,
            terms=terms,
            return_exceptions=return_exceptions,
            ordered=ordered,
            meter=meter,
            part=part,
        )

    def options(self, **changes: Any) -> View:
        """A view of this executor whose `submit` and `map` run calls with these options.

        Args:
            timeout: seconds one call may run; then its worker's process tree is killed, the worker
                is replaced, and the call fails with `TaskTimeout`.
            retries: how often a call is made again whose worker died, or that raised what
                `retry_on` names.
            retry_on: exception classes; `TimeoutError` includes `TaskTimeout`.

        Raises:
            TypeError: for an unknown option or one of the wrong type.
            ValueError: for a `timeout` that is not above 0, or `retries` below 0.
        """
        from .options import Options, View

        return View(self, Options().changed(changes))

    def stats(self) -> dict[str, int]:
        """What has happened so far: calls and chunks (`submitted`, `queued`, `sent`, `done`,
        `failed`, `cancelled`, `taken_back`), workers (`workers_ready`, `workers_starting`;
        they were busy with what has ended for `busy_ns`, all together), bytes.

        `bytes_copied` were written, by this process or a worker, for one transfer; `bytes_mapped`
        lay in shared memory, where their reader got them without another copy; `bytes_saved` had
        to be sent and were there already, since the same buffer was sent before.
        """
        if self._counted is not None:
            return dict(self._counted)
        found = self._runtime.stats()
        earlier = self._runtime.after
        if earlier is not None:
            found = {name: count + found[name] for name, count in earlier.stats().items()}
        return found

    def shutdown(
        self,
        wait: bool = True,
        *,
        cancel_futures: bool = False,
        timeout: float | None = None,
        abandon: bool = False,
    ) -> None:
        """Takes no more calls; those submitted are made, or cancelled if not started.

        Args:
            wait: return when all workers have ended; else at once.
            cancel_futures: cancel what has not started.
            timeout: seconds to wait; what is not over then is ended with its workers.
            abandon: end the workers now, whatever they run: what has not started is cancelled,
                what runs fails with `BrokenProcessPool`.
        """
        runtime = self._runtime
        if runtime.is_forked_copy:
            return
        if wait and not abandon and runtime.trace is not None:
            from . import parking

            counted = runtime.stats()
            if parking.offer(self):
                self._counted = {**counted, "workers_ready": 0, "workers_starting": 0}
                return
        shelf = _shelf()
        if shelf is not None:
            shelf.tidy()
        runtime.shut_down(cancel=cancel_futures or abandon)
        if abandon:
            runtime.end()
        if not wait:
            runtime.appoint_notifier()
        elif not runtime.join(timeout):
            runtime.shut_down(cancel=True)
            runtime.end()
            runtime.join()

    def terminate_workers(self) -> None:
        """Ends the workers with SIGTERM and shuts down; what ran or waited has no result."""
        self._end_now(kill=False)

    def kill_workers(self) -> None:
        """Ends the workers with SIGKILL and shuts down; what ran or waited has no result."""
        self._end_now(kill=True)

    def _end_now(self, *, kill: bool) -> None:
        if not self._runtime.is_forked_copy:
            self._runtime.shut_down(cancel=True)
            self._runtime.end_processes(kill=kill)
            self._runtime.appoint_notifier()

    def __enter__(self) -> ProcessPoolExecutor:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_type is not None and issubclass(exc_type, KeyboardInterrupt):
            self.shutdown(wait=True, abandon=True)
        else:
            self.shutdown(wait=True)

    @property
    def _broken(self) -> str | bool:  # type: ignore[override]
        """Why the pool is broken, or False; libraries ask."""
        why = None if self._runtime.is_forked_copy else self._runtime.pool.broken()
        return False if why is None else why[2]

    @property
    def _processes(self) -> dict[int, Any]:  # type: ignore[override]
        """The worker processes by process id; libraries ask."""
        if self._runtime.is_forked_copy:
            return {}
        shelf = _shelf()
        if shelf is not None:
            shelf.look_away(self._runtime)
        processes = list(self._runtime.processes.values())
        return {process.pid: process for process in processes if process.pid is not None}

    def reference(self, *, to_parent: bool) -> tuple[Any, ...]:
        """What a pickle has of it; on the way to the parent, only of one that came from there."""
        if to_parent and not self._runtime.is_forked_copy:
            self.__reduce__()
        return inside.reference(self, self._token)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle {type(self).__name__!r} object\n"
            "hint: a task of an executor can get it, nobody else can"
        )

    def _get_ready(self, call: parking.Call | None, terms: Terms | None) -> Runtime | None:
        """The runtime for this call; None in a worker, where it is made at once."""
        runtime = self._runtime
        possible = None if terms is not None else call
        if not runtime.is_begun:
            if runtime.is_forked_copy:
                inside.check()
                return None
            self._check_open()
            shelf = _shelf()
            if shelf is None:
                runtime.begin()
            else:
                shelf.begin(self, possible)
                runtime = self._runtime
        if runtime.trace is None:
            return runtime
        from . import parking

        return parking.admit(self, possible)

    def _check_open(self) -> None:
        """Raises what submitting now would raise."""
        if is_exiting():
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        if self._runtime.pool.broken() is not None:
            raise self._runtime.broken_error()
        self._runtime.pool.check_open()


def _abandon(runtime: Runtime) -> None:
    if not runtime.is_forked_copy:
        runtime.shut_down(cancel=False)
        runtime.bury_later()


def _checked(context_vars: Sequence[ContextVar[Any]]) -> tuple[ContextVar[Any], ...]:
    if context_vars == ():
        return ()
    from . import context

    return context.check(context_vars)


def _check_memory(limit: int | None) -> None:
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"`max_worker_memory` must be a number of bytes or None, not `{limit!r}`")
    if limit <= 0:
        raise ValueError(f"`max_worker_memory` must be greater than 0, not `{limit}`")


def _check_max_tasks(max_tasks: int | None, context: BaseContext | None) -> None:
    if max_tasks is None:
        return
    if not isinstance(max_tasks, int):
        raise TypeError("max_tasks_per_child must be an integer")
    if max_tasks <= 0:
        raise ValueError("max_tasks_per_child must be >= 1")
    if context is not None and context.get_start_method(allow_none=False) == "fork":
        raise ValueError(
            "max_tasks_per_child is incompatible with the 'fork' multiprocessing start method; "
            "supply a different mp_context"
        )


def _new_trace() -> Trace | None:
    """For an executor whose workers may be kept when it is shut down: not the first one of this
    process, which may well be the only one.
    """
    global _is_first
    if _is_first:
        _is_first = False
        return None
    from . import parking  # noqa: F401  # which the others find from now on
    from .trace import Trace

    return Trace()


_is_first = True


def _shelf() -> Any:
    """`parking`, if this process has needed it yet."""
    return sys.modules.get(_PARKING)


_PARKING = f"{__package__}.parking"

kinship.keep(ProcessPoolExecutor)
