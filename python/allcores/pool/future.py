"""The future of an allcores executor: cheap until somebody looks inside.

It is a `concurrent.futures.Future` in two tiers. The first is nothing but a *slot* of the
engine: `result`, `exception`, `done`, `cancel` and `running` talk to that. The second is
the standard future with its condition, state and waiters. `wait`, `as_completed`,
`asyncio.wrap_future` and callbacks reach into those attributes; the first who does
*inflates* the future: the attributes come into being with the state of that instant, and
from then on the pool's notifier thread publishes the completion, exactly once, under the
condition, as the standard pool's manager thread does.

The state stays frozen between inflating and publishing because `wait` counts pending
futures first and adds its waiter afterwards: a state that changed by itself in between
would be counted twice.

A future made by hand (`Future()`) is a standard future and nothing else.

| `_stage`                    | tier                                                         |
| --------------------------- | ------------------------------------------------------------ |
| a `Caller`                  | first; what is to come will be in the slot                   |
| a `_Kept`                   | first; what has come could not be decoded yet                |
| `(state, exception, value)` | first, settled: the outcome is decoded                       |
| `_INFLATED`                 | second; while it has a `_source`, the completion is to come  |

The first tier has one attribute and no dictionary: a waiting future is as small as it can be.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import _base

from .._core import Slot
from . import tags
from .forks import owned_fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol, TypeVar

    from allcores._core import Pool

    T = TypeVar("T")
    Raw = tuple[int, Any]

    class Owner(Protocol):
        """Whoever made the future: knows how to decode and how to publish it."""

        pool: Pool

        def decode(self, raw: Raw, call: str | None) -> tuple[bool, BaseException | None, Any]:
            """`(cancelled, exception, value)` of what the slot held; `call` names the function."""

        def expect_replacements(self) -> None:
            """Some worker may be ended and replaced."""

        def publish_later(self, future: Future[Any]) -> bool:
            """Sees to it that `future` is settled when its slot is done; False if it is done."""

    _Settled = tuple[str, BaseException | None, Any]

# What of a standard future comes into being when it is inflated.
_SECOND_TIER = ("_condition", "_state", "_result", "_exception", "_waiters", "_done_callbacks")

# Inflating is rare and short and runs no foreign code; one lock for all futures keeps each
# of them small. Reentrant, because the garbage collector may run in between.
_inflating = threading.RLock()

# Two threads may ask for the same outcome at once; the one who is late waits here.
_settled = threading.Condition()
_late = 0


def _tell_the_late() -> None:
    if _late:
        with _settled:
            _settled.notify_all()


def _renew_locks() -> None:
    """In a forked child: threads that are not there may have held them."""
    global _inflating, _settled, _late
    _inflating = threading.RLock()
    _settled = threading.Condition()
    _late = 0


owned_fds.on_child(_renew_locks)


class Caller:
    """Who waits for a call of which function; one for all calls of it."""

    __slots__ = ("name", "owner", "pool")

    def __init__(self, owner: Owner, name: str | None) -> None:
        self.owner = owner
        self.pool = owner.pool
        self.name = name

    def take(self, future: Future[Any]) -> Raw | None:
        """What has come, once."""
        return future.slot_take()


class _Kept:
    """An outcome that was taken from its slot and could not be decoded, to be tried again."""

    __slots__ = ("_raw", "name", "owner")

    def __init__(self, raw: Raw, caller: _Source) -> None:
        self._raw: Raw | None = raw
        self.owner: Owner = caller.owner
        self.name: str | None = caller.name

    def take(self, future: Future[Any]) -> Raw | None:
        raw, self._raw = self._raw, None
        return raw


_Source = Caller | _Kept

_INFLATED: Any = "inflated"


class _Inflating:
    """Stands for an attribute of the second tier until the future is inflated; then the future's
    own goes before it. (A `__getattr__` would make each look at any attribute slow.)
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, future: Future[Any] | None, kind: type) -> Any:
        if future is None:
            raise AttributeError(f"type object {kind.__name__!r} has no attribute {self.name!r}")
        future._inflate()
        return future.__dict__[self.name]


class Future(Slot, _base.Future["T"]):
    """The result of a call that may not have been made yet.

    Everything `concurrent.futures.Future` has, with its meaning.
    """

    __slots__ = ("_stage",)

    _stage: _Source | _Settled
    _source: _Source | None

    def __init__(self) -> None:
        self.__dict__ = {}  # as `_install` says
        super().__init__()
        self._stage = _INFLATED
        self._source = None

    def result(self, timeout: float | None = None) -> T:
        """The call's result; waits for it at most `timeout` seconds.

        Raises what the call raised, `CancelledError`, or `TimeoutError`.
        """
        outcome = self._await(timeout)
        if outcome is None:
            return super().result(timeout)
        state, error, value = outcome
        if state != _base.FINISHED:
            raise _base.CancelledError
        if error is None:
            return value  # type: ignore[no-any-return]
        try:
            raise error
        finally:
            # No cycle from the exception through its traceback to this frame.
            del self, error, outcome

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the call raised, or None; waits for it at most `timeout` seconds.

        Raises `CancelledError` or `TimeoutError`.
        """
        outcome = self._await(timeout)
        if outcome is None:
            return super().exception(timeout)
        state, error, _ = outcome
        if state != _base.FINISHED:
            raise _base.CancelledError
        return error

    def done(self) -> bool:
        """Whether the call has ended or was cancelled."""
        stage = self._stage
        if type(stage) is Caller:
            return self.slot_done()
        return stage is not _INFLATED or super().done()

    def running(self) -> bool:
        """Whether a worker is running the call now."""
        source = self._awaited()
        if source is not None:
            return type(source) is Caller and self.slot_running(source.pool)
        return self._stage is _INFLATED and super().running()

    def cancelled(self) -> bool:
        """Whether the call was cancelled."""
        if type(self._stage) is Caller:
            if not self.slot_done():
                return False
            self.settle()
        outcome = self._outcome()
        return super().cancelled() if outcome is None else outcome[0] != _base.FINISHED

    def cancel(self, *, running: bool = False) -> bool:
        """Keeps the call from being made; False when it has started or is over.

        With `running`, a call that has started is stopped: its worker's whole process tree is
        killed and the worker replaced; no other call is touched. False when it is over.
        """
        source = self._awaited()
        if type(source) is Caller:
            if running:
                source.owner.expect_replacements()
                is_over = self.slot_stop(source.pool)
            else:
                is_over = self.slot_cancel(source.pool)
            if is_over:
                self.settle()
                return True
        if source is None and self._stage is _INFLATED:
            return super().cancel()
        return self.cancelled()

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """Has `fn` called with the future when it has ended, in the context of this call.

        What a callback raises is logged and else ignored.
        """
        from contextvars import copy_context  # not needed by most programs

        run: Callable[..., object] = copy_context().run
        super().add_done_callback(functools.partial(run, fn))

    def __repr__(self) -> str:
        try:
            return super().__repr__()
        except RuntimeError:
            return f"<{type(self).__name__} at {id(self):#x} of another process>"

    def settle(self) -> None:
        """Decodes the outcome of a slot that is done and, if inflated, publishes it."""
        while True:
            source = self._awaited()
            if source is None:
                return
            raw = source.take(self)
            if raw is not None:
                break
            self._wait_until_settled(source)
        try:
            cancelled, error, value = source.owner.decode(raw, source.name)
        except BaseException:
            # An interrupt in the middle of unpickling: the outcome is not lost.
            kept = _Kept(raw, source)
            with _inflating:
                if self._stage is _INFLATED:
                    self._source = kept
                else:
                    self._stage = kept
            _tell_the_late()
            raise
        with _inflating:
            inflated = self._stage is _INFLATED
            if self._awaited() is source and not inflated:
                state = _base.CANCELLED_AND_NOTIFIED if cancelled else _base.FINISHED
                self._stage = (state, error, value)
        if inflated:
            self._publish(cancelled, error, value)
        _tell_the_late()

    def fail(self, error: BaseException) -> None:
        """Publishes `error`, since the outcome can't be decoded: somebody waits for an end."""
        if self._stage is _INFLATED and self._source is not None:
            self._publish(False, error, None)
            _tell_the_late()

    def on_child(self) -> None:
        """In a forked child nobody will publish it: back to the first tier, which refuses."""
        if self._stage is _INFLATED and self._source is not None:
            source = self._source
            for name in (*_SECOND_TIER, "_source"):
                self.__dict__.pop(name, None)
            self._stage = source

    def _awaited(self) -> _Source | None:
        """Where the outcome is to come from; None once there is one."""
        stage = self._stage
        if stage is _INFLATED:
            return self._source
        return None if type(stage) is tuple else stage  # type: ignore[return-value]

    def _outcome(self) -> _Settled | None:
        """The outcome, decoded; None in the second tier."""
        stage = self._stage
        return stage if type(stage) is tuple else None

    def _publish(self, cancelled: bool, error: BaseException | None, value: Any) -> None:
        if cancelled:
            with self._condition:
                # A call that was stopped may have been seen running.
                if self._state == _base.RUNNING:
                    self._state = _base.PENDING
            super().cancel()
            self.set_running_or_notify_cancel()
        elif error is not None:
            self.set_exception(error)
        else:
            self.set_result(value)
        self._source = None

    def _wait_until_settled(self, source: _Source) -> None:
        global _late
        with _settled:
            # Raised before looking; who settles looks at it after settling.
            _late += 1
            try:
                while self._awaited() is source:
                    _settled.wait()
            finally:
                _late -= 1

    def _await(self, timeout: float | None) -> _Settled | None:
        """Waits in the first tier for the decoded outcome.

        None: this future is in the second tier, ask the standard methods.
        Raises `TimeoutError`.
        """
        stage = self._stage
        if type(stage) is not tuple and stage is not _INFLATED:
            if type(stage) is Caller:
                if not self.slot_wait(stage.pool, timeout):
                    raise TimeoutError
                # What is looked at stays in the slot until it is kept here: an interrupt between
                # the two loses nothing.
                settled = self.slot_settled(tags.RESULT, _base.FINISHED)
                if settled is not None:
                    with _inflating:
                        if self._stage is stage:
                            self._stage = settled
                    if self._stage is settled:
                        self.slot_clear()
                        return settled
            self.settle()
        return self._outcome()

    def _inflate(self) -> None:
        while self._stage is not _INFLATED:
            with _inflating:
                source = self._awaited()
                if source is None or (type(source) is Caller and source.owner.publish_later(self)):
                    self._install(source)
                    return
            self.settle()

    def _install(self, source: _Source | None) -> None:
        stage = self._stage
        if stage is _INFLATED:
            return
        if type(stage) is Caller:
            is_running = self.slot_running(stage.pool)
            outcome = (_base.RUNNING if is_running else _base.PENDING, None, None)
        else:
            outcome = stage  # type: ignore[assignment]
        # A dictionary of its own: objects of a class have room for what any of them was given, so
        # one that is inflated in its place would make each future of the first tier twice as large.
        own = self.__dict__
        state: dict[str, Any] = {
            "_state": outcome[0],
            "_exception": outcome[1],
            "_result": outcome[2],
            "_waiters": [],
            "_done_callbacks": [],
            "_condition": threading.Condition(),
            "_source": source,
        }
        self.__dict__ = state
        state.update(own)
        # Last: whoever sees it sees everything.
        self._stage = _INFLATED


for _name in _SECOND_TIER:
    setattr(Future, _name, _Inflating(_name))
