"""What stands behind an executor: the engine's pool, the processes, the notifier thread.

An executor, its futures and its maps share one runtime. The executor may be dropped while
futures are pending; the runtime lives on until the pool has finished, held by its notifier
thread, which does what the engine can't without Python:

| notice           | what the notifier does                                           |
| ---------------- | ---------------------------------------------------------------- |
| `completed`      | settles and publishes a future that somebody looks into          |
| `workers wanted` | starts worker processes (a worker has used up its tasks)         |
| `worker gone`    | reaps its process                                                |
| `said`           | handles a log record of a worker                                 |
| `finished`       | reaps the rest and ends                                          |

A pool of forks that nobody looks into, and whose workers are not replaced, has nothing to be told
of but its end. It gets a notifier only when that changes, or when nobody waits for its end.
"""

from __future__ import annotations

import _thread
import contextlib
import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from multiprocessing.process import BaseProcess

from .._core import CANCELLED, FAILED, Pool, Shipment, Slot, plain_call
from . import blackbox, codec, exits, leash, tags, worker
from .forks import generation, owned_fds
from .functions import CachedFunction, FunctionCache
from .future import Caller, Future
from .obituary import Life, Lives
from .shares import Shares

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .future import Raw
    from .options import Terms
    from .roles import Feed, Watcher
    from .start import Launcher
    from .trace import Trace


_log = logging.getLogger("allcores")


class Runtime:
    """The living part of one executor."""

    def __init__(
        self,
        launcher: Launcher,
        *,
        max_workers: int,
        max_tasks: int | None,
        stream: bool,
        replace_lost: bool = False,
        max_memory: int | None = None,
    ) -> None:
        self.launcher = launcher
        self.stream = stream
        self.max_memory = max_memory
        self.replaces = replace_lost
        self.pool = Pool(
            max_workers,
            max_tasks_per_worker=max_tasks,
            replace_lost=replace_lost,
            stream=stream,
        )
        self.functions = FunctionCache(launcher.encoder)
        self.shares = Shares(self.pool)
        self.known = self.shares.known
        self.bytes_written = 0
        self.bytes_saved = 0
        self.is_begun = False
        self.recent: CachedFunction | None = None
        """What was asked for last, if calls of it need nothing but their arguments."""
        self.has_begun = False
        self.processes: dict[int, BaseProcess] = {}
        self.feeds: set[Feed] = set()
        self.feeder_threads: set[threading.Thread] = set()
        self._lives = Lives()
        self._watched: dict[int, Watcher] = {}
        self._starting = threading.Lock()
        self._collects = False
        self._notifier: threading.Thread | None = None
        self._is_dismissed = False
        self._needs_notifier = True
        self._workers_stay = not (replace_lost or max_tasks is not None or max_memory is not None)
        # Reentrant, because the garbage collector may run in between.
        self._appointing = threading.RLock()
        self._forks = generation()
        self.trace: Trace | None = None
        """What is known of its workers, if they may be kept when the executor is shut down."""
        self.after: Runtime | None = None
        """The executor's earlier one, which takes no calls any more."""
        self.counted_before: dict[str, int] = {}
        source = owned_fds.add_source(self.pool.control_fds)
        weakref.finalize(self, owned_fds.drop_source, source).atexit = False

    def begin(self) -> None:
        """To be called when the executor is first used."""
        with self._starting:
            if not self.has_begun:
                self.launcher.settle()
                if self.launcher.start_method == "fork":
                    self.pool.start_all_at_once()
                    self._needs_notifier = not self._workers_stay or self.launcher.forward_logs
                self.functions = FunctionCache(self.launcher.encoder)
                self.launcher.encoder.shared_objects = self.shares
                self.has_begun = True
            exits.running.add(self)
            # Once the main thread has ended every call asks whether it still may be made.
            self.is_begun = not exits.main_has_ended()

    # -- batches ------------------------------------------------------------------------

    def submit(
        self,
        function: int | None,
        tag: int,
        count: int,
        payload: codec.Packed,
        terms: Terms | None = None,
    ) -> Slot:
        """Gives a batch to the pool and starts the workers it asks for."""
        shipped = payload if type(payload) is bytes else self.shipped(payload)
        if terms is None:
            slot = self.pool.submit(function, tag, count, shipped)
        else:
            self.expect_replacements()
            slot = self.pool.submit(function, tag, count, shipped, *terms)
        wanted = self.pool.workers_wanted()
        if wanted:
            self.start_workers(wanted)
        return slot

    def context_values(self) -> bytes:
        """What the calls to come are to find in the executor's context variables."""
        variables = self.launcher.context_vars
        if not variables:
            return b""
        from . import context

        return context.take(variables, self.launcher.encoder)

    def submit_call(
        self,
        caller: Caller,
        function: int | None,
        tag: int,
        payload: codec.Packed | Shipment,
        terms: Terms | None,
    ) -> Future[Any]:
        """The same, for one call; its future."""
        shipped = payload if type(payload) is bytes else self.shipped(payload)
        if terms is None:
            future: Future[Any] = _new_slot(Future, self.pool, function, tag, 1, shipped)
        else:
            self.expect_replacements()
            future = _new_slot(Future, self.pool, function, tag, 1, shipped, *terms)
        future._stage = caller
        wanted = self.pool.workers_wanted()
        if wanted:
            self.start_workers(wanted)
        return future

    def packed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> codec.Packed | Shipment:
        """The arguments of a call of a registered function."""
        if self.launcher.context_vars:
            return self.launcher.encoder.pack((args, kwargs))
        payload = plain_call(args, kwargs, self.known)
        if payload is None and self.shares.notice((*args, *kwargs.values())):
            payload = plain_call(args, kwargs, self.known)
        return payload or self.launcher.encoder.pack((args, kwargs))

    def shipped(self, payload: codec.Packed | Shipment) -> bytes | Shipment:
        """What the engine takes; large buffers are in shared memory from now on."""
        if isinstance(payload, (bytes, Shipment)):
            return payload
        shipment = Shipment(*payload)
        self.bytes_written += shipment.written
        self.bytes_saved += shipment.saved
        return shipment

    def register(self, function: codec.Packed) -> int:
        """The number under which the engine has a pickled function from now on."""
        return self.pool.register(self.shipped(function))

    def function_id(self, function: Callable[..., Any]) -> int | None:
        """The number under which the engine has the function; None if it must travel."""
        cached = self.registered(function)
        return None if cached is None else cached.tag

    def registered(self, function: Callable[..., Any]) -> CachedFunction | None:
        """The function as the engine has it; None if it must travel."""
        cached = self.functions.lookup(function)
        if cached is None:
            return None
        if cached.tag is not None:
            if self.is_begun and not self.launcher.context_vars:
                self.recent = cached
            return cached
        cached.caller = Caller(self, codec.name_of(function))
        # Last: whoever sees it sees everything.
        cached.tag = self.pool.register(cached.payload)
        for dropped in self.functions.take_dropped():
            if dropped.tag is not None:
                self.pool.forget(dropped.tag)
        return cached

    def decode(self, raw: Raw, call: str | None) -> tuple[bool, BaseException | None, Any]:
        """`(cancelled, exception, value)` of what a slot held."""
        tag, payload = raw
        if tag == tags.RESULT:
            try:
                return False, None, codec.load_result(payload, function=call)
            except BrokenExecutor as error:
                return False, error, None
        if tag == CANCELLED:
            return True, None, None
        return False, self.error_of(raw, call=call), None

    def error_of(
        self,
        raw: Raw,
        *,
        call: str | None = None,
        index: int | None = None,
        argument: str | None = None,
        limit: float | None = None,
    ) -> BaseException:
        """The exception that an outcome without a value stands for. `argument` is its short text,
        `limit` the seconds that it had.
        """
        tag, payload = raw
        if tag == tags.ERROR:
            return codec.load_exception(payload)
        from . import death

        if tag == tags.UNDECODED:
            return death.undecoded(codec.load_exception(payload), call, index)
        if tag == FAILED:
            kind, number, words, *asked = payload
            if asked:
                # The pickled arguments and the seconds allowed, of a call that a worker ended over.
                limit = asked[1] if limit is None else limit
                if argument is None and asked[0] is not None:
                    from . import preview

                    argument = preview.of_call(asked[0])
            task, life = death.Task(call, index, argument), self._lives.get(number)
            if kind == "timed out":
                return death.timed_out(task, limit, None if life is None else life.pid)
            if kind == "start failed":
                words = (self.pool.start_failure() or b"").decode("utf-8", "replace")
            obituary = None if life is None or kind == "ended" else life.obituary()
            self.appoint_notifier()
            return death.broken(kind, words, obituary, task, alone=self.replaces)
        from concurrent.futures.process import BrokenProcessPool  # whose import takes 3 ms

        return BrokenProcessPool(f"a worker sent an answer of unknown kind `{tag}`")

    def broken_error(self) -> BaseException:
        """Raised by whatever is asked of a broken pool."""
        kind, number, words = self.pool.broken() or ("pool broken", -1, "")
        return self.error_of(
            (FAILED, ("pool broken" if kind == "worker lost" else kind, number, words))
        )

    # -- workers ------------------------------------------------------------------------

    def start_workers(self, wanted: int) -> None:
        """Starts so many worker processes; raises what starting one raises."""
        with self._starting:
            if self.after is not None:
                self.after.pool.rest()  # a fork had better find no thread
            try:
                while wanted:
                    for _ in range(wanted):
                        if not self._start_worker():
                            break
                    wanted = self.pool.workers_wanted()
            finally:
                if self.after is not None:
                    self.after.pool.start_collector()
            if not self._collects:
                self.pool.start_collector()
                self._collects = True
        if self._needs_notifier or self._watched:
            self.appoint_notifier()

    def expect_replacements(self) -> None:
        """Some worker may be ended and replaced."""
        self._needs_notifier = True
        self.appoint_notifier()

    def _start_worker(self) -> bool:
        with owned_fds.guard():
            link = self.pool.open_link()
            if link is None:
                return False
            number, control = link
            owned_fds.add(control)
        lent, held = [control], []
        try:
            with owned_fds.guard():
                held.append(blackbox.make())
                tied = leash.make()
                if tied is not None:
                    lent.append(tied[0])
                    held.append(tied[1])
            fds = (control, held[0], *lent[1:])
            process = self.launcher.start(worker.main, fds, self.stream, self.max_memory)
        except BaseException:
            self.pool.start_failed(number)
            owned_fds.close(held)
            raise
        finally:
            owned_fds.close(lent)
        self._lives[number] = Life(process, held, lambda: self.pool.peak_memory(number))
        self.processes[number] = process
        if process.pid is not None:
            self.pool.worker_started(number, process.pid)
        return True

    # -- the notifier -------------------------------------------------------------------

    def appoint_notifier(self) -> None:
        """Sees to it that there is one, if there is a worker."""
        with self._appointing:
            if self._notifier is not None or not self._collects:
                return
            self.pool.listen()
            self._notifier = threading.Thread(
                target=self._notify, name="allcores-notify", daemon=True
            )
            try:
                self._notifier.start()
            except RuntimeError:
                # At the very end of the interpreter no thread can be started any more; what the
                # notifier would do is then done by `join`.
                self._notifier = None

    def publish_later(self, future: Future[Any]) -> bool:
        """Has the notifier settle `future` when its slot is done; False if it is done."""
        return self.watch(future, future)

    def watch(self, slot: Slot, whom: Watcher) -> bool:
        """Has the notifier settle `whom` when `slot` is done; False if it is done."""
        number = slot.slot_id
        self._watched[number] = whom
        if slot.slot_watch():
            self.appoint_notifier()
            return True
        self._watched.pop(number, None)
        return False

    def _notify(self) -> None:
        if self.pool.broken() is not None:
            # Who ended before there was a notifier was told to nobody, and all are to end.
            self._lives.all_leave()
        lives = self._lives
        while self._heed(lives.patience) or (lives.leaving and not self._is_dismissed):
            lives.collect_leaving()
        if not self._is_dismissed:
            lives.bury_all()
            self._is_over()

    def _heed(self, timeout: float | None) -> bool:
        """Does what the next notice asks for; False when there is none in time, or the last."""
        notice = self.pool.next_notice(timeout)
        if notice is None:
            return False
        kind, number, *words = notice
        if kind == "completed":
            # Watched until it is published: a fork in between must know of it.
            future = self._watched.get(number)
            if future is not None:
                self._settle(future)
                del self._watched[number]
        elif kind == "workers wanted":
            self._replace_workers()
        elif kind == "worker gone":
            self._reap(number)
        elif kind == "said":
            self._log(words[0])
        return kind not in ("finished", "dismissed")

    def _log(self, record: bytes) -> None:
        from . import logs

        logs.handle(record)

    def _settle(self, future: Watcher) -> None:
        try:
            future.settle()
        except BaseException as error:
            _log.exception("the notifier could not decode a result")
            future.fail(error)

    def _replace_workers(self) -> None:
        wanted = self.pool.workers_wanted()
        if wanted:
            try:
                self.start_workers(wanted)
            except BaseException:
                # The pool knows that the start failed and breaks; its futures say so.
                _log.exception("a worker could not be started")

    def _reap(self, number: int) -> None:
        self.processes.pop(number, None)
        self._lives.leave(number)

    # -- between two executors ----------------------------------------------------------

    def is_whole(self) -> bool:
        """Whether every worker that was started is there."""
        lives = tuple(self._lives.values())
        return self.pool.broken() is None and all(
            life.process is not None and life.process.exitcode is None for life in lives
        )

    @property
    def has_threads(self) -> bool:
        """Whether threads of Python are at work for it."""
        return self._notifier is not None or bool(self.feeder_threads)

    def lay_down(self) -> bool:
        """Ends the notifier thread and whatever else is done for an executor; False if there is
        somebody to be told.
        """
        notifier = self._notifier
        if self._watched or notifier is threading.current_thread():
            return False
        if notifier is not None:
            self._is_dismissed = True
            self.pool.dismiss()
            notifier.join()
            self._notifier, self._is_dismissed = None, False
        self.let_calls_ask()
        exits.running.discard(self)
        return True

    def stats(self) -> dict[str, int]:
        """What has happened in this executor."""
        found = self.pool.counts()
        for name, before in self.counted_before.items():
            found[name] -= before
        found["bytes_copied"] += self.bytes_written
        found["bytes_saved"] = self.bytes_saved
        return found

    # -- the end ------------------------------------------------------------------------

    def bury_later(self) -> None:
        """Has the processes collected when they have ended. To be called by finalizers, which may
        run anywhere: it starts a thread without the locks of `threading`.
        """
        if self.after is not None:
            self.after.bury_later()
        if self._notifier is None and self._collects:
            with contextlib.suppress(RuntimeError):
                _thread.start_new_thread(self._bury, ())

    def _bury(self) -> None:
        self.pool.join()
        self._lives.bury_all()
        self._is_over()

    def shut_down(self, *, cancel: bool) -> None:
        """Takes no more batches; what was given to maps is submitted or given up first."""
        for feed in list(self.feeds):
            if cancel:
                feed.give_up()
            else:
                with contextlib.suppress(RuntimeError):
                    feed.submit_rest()
        self.pool.shut_down(cancel)
        if self.after is not None:
            self.after.shut_down(cancel=cancel)

    def end(self) -> None:
        """Ends all workers now with all they have started; what is unfinished fails."""
        for life in list(self._lives.values()):
            life.was_told_to_end = True
        self.pool.end()
        self.end_processes(kill=True)
        if self.after is not None:
            self.after.end()

    def join(self, timeout: float | None = None) -> bool:
        """Waits until all workers and the notifier have ended, at most `timeout` seconds for the
        workers; whether they have.
        """
        try:
            if self.after is not None and not self.after.join(timeout):
                return False
            return self._join(timeout)
        except BaseException:
            self.appoint_notifier()
            raise

    def _join(self, timeout: float | None) -> bool:
        if self._notifier is None:
            # It was too late to start a thread: this one does what there is to do.
            while timeout is None and not self.pool.join(_SLICE_SECONDS):
                while self._heed(0):
                    pass
        if not self.pool.join(timeout):
            return False
        self.join_feeders()
        notifier = self._notifier
        if notifier is None:
            while self._heed(0):
                pass
            self._lives.bury_all()
            self._is_over()
        elif notifier is not threading.current_thread():
            notifier.join()
        return True

    def join_feeders(self) -> None:
        """Waits for the threads that submitted maps: they end when nothing is left to submit."""
        for feeder in list(self.feeder_threads):
            # A Ctrl-C may have come while it was being started; it ends by itself then.
            with contextlib.suppress(RuntimeError):
                feeder.join()

    def _is_over(self) -> None:
        self._collects = False  # so that its finalizer starts no thread to wait for this
        # Locks and queues among them have names to give back, whoever keeps the executor.
        self.launcher.release()
        self.pool.let_go()
        self.processes.clear()
        exits.running.discard(self)

    def let_calls_ask(self) -> None:
        """The main thread has ended: every call asks from now on whether it still may be made."""
        self.is_begun = False
        self.recent = None

    def on_child(self, children: set[Any]) -> None:
        """In a forked child: the workers are not its `children`, and whoever asks this for anything
        is told that it is not usable here.
        """
        children.difference_update(life.process for life in self._lives.values())
        self.let_calls_ask()
        for future in self._watched.values():
            future.on_child()
        self._watched.clear()

    @property
    def is_forked_copy(self) -> bool:
        """Whether this is the copy that a forked child has: nothing can be done with it."""
        return self._forks != generation()

    def end_processes(self, *, kill: bool) -> None:
        """Signals every worker process that was started and has not ended."""
        if self.after is not None:
            self.after.end_processes(kill=kill)
        for life in list(self._lives.values()):
            life.end(kill=kill)


_new_slot: Callable[..., Any] = Slot.__new__

_SLICE_SECONDS = 0.05
