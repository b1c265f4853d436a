"""The future of an allcores executor: cheap until somebody looks inside.

It is a `concurrent.futures.Future` in two tiers. The first holds nothing but a *slot* of
the engine: `result`, `exception`, `done`, `cancel` and `running` talk to that. The second
is the standard future with its condition, state and waiters. `wait`, `as_completed`,
`asyncio.wrap_future` and callbacks reach into those attributes; the first who does
*inflates* the future: the attributes come into being with the state of that instant, and
from then on the pool's notifier thread publishes the completion, exactly once, under the
condition, as the standard pool's manager thread does.

The state stays frozen between inflating and publishing because `wait` counts pending
futures first and adds its waiter afterwards: a state that changed by itself in between
would be counted twice.

A future made by hand (`Future()`) is a standard future and nothing else.

| `_outcome`                  | tier                                                         |
| --------------------------- | ------------------------------------------------------------ |
| None                        | first; what is to come will be in the slot                   |
| `(state, exception, value)` | first, settled: the outcome is decoded, the slot let go      |
| `_INFLATED`                 | second; while there is a slot, the completion is to come     |

The first tier lives in `__slots__` alone: a waiting future has no dictionary.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import _base
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .forks import owned_fds

if TYPE_CHECKING:
    from allcores._core import Slot

T = TypeVar("T")
Raw = tuple[int, Any]

# What of a standard future comes into being when it is inflated.
_SECOND_TIER = frozenset(
    {"_condition", "_state", "_result", "_exception", "_waiters", "_done_callbacks"}
)

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


class Owner(Protocol):
    """Whoever made the future: knows how to decode and how to publish it."""

    def decode(self, raw: Raw, call: str | None) -> tuple[bool, BaseException | None, Any]:
        """`(cancelled, exception, value)` of what the slot held; `call` is the function's name."""

    def publish_later(self, future: Future[Any], slot: Slot) -> bool:
        """Sees to it that `future` is settled when `slot` is done; False if it is done."""


class _Kept:
    """An outcome that was taken from its slot and could not be decoded, to be tried again."""

    __slots__ = ("_raw",)
    id = -1

    def __init__(self, raw: Raw) -> None:
        self._raw: Raw | None = raw

    def take(self) -> Raw | None:
        raw, self._raw = self._raw, None
        return raw

    def done(self) -> bool:
        return True

    def wait(self, timeout: float | None = None) -> bool:
        return True

    def running(self) -> bool:
        return False

    cancel = stop = watch = running


_Settled = tuple[str, BaseException | None, Any]
_INFLATED: Any = "inflated"


class Future(_base.Future[T]):
    """The result of a call that may not have been made yet.

    Everything `concurrent.futures.Future` has, with its meaning.
    """

    __slots__ = ("_call", "_outcome", "_owner", "_slot")

    _slot: Slot | _Kept | None
    _owner: Owner | None
    _call: str | None
    _outcome: _Settled | None

    def __init__(self) -> None:
        super().__init__()
        self._slot = self._owner = self._call = None
        self._outcome = _INFLATED

    @classmethod
    def from_slot(cls, slot: Slot, owner: Owner, call: str | None = None) -> Future[T]:
        """The future of what `slot` stands for."""
        future = cls.__new__(cls)
        future._slot = slot
        future._owner = owner
        future._call = call
        future._outcome = None
        return future

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
        if self._outcome is _INFLATED:
            return super().done()
        slot = self._slot
        return slot is None or slot.done()

    def running(self) -> bool:
        """Whether a worker is running the call now."""
        slot = self._slot
        if slot is not None:
            return slot.running()
        return self._outcome is _INFLATED and super().running()

    def cancelled(self) -> bool:
        """Whether the call was cancelled."""
        slot = self._slot
        if slot is not None and self._outcome is None:
            if not slot.done():
                return False
            self.settle()
        outcome = self._outcome
        if outcome is None or outcome is _INFLATED:
            return super().cancelled()
        return outcome[0] != _base.FINISHED

    def cancel(self, *, running: bool = False) -> bool:
        """Keeps the call from being made; False when it has started or is over.

        With `running`, a call that has started is stopped: its worker's whole process tree is
        killed and the worker replaced; no other call is touched. False when it is over.
        """
        slot = self._slot
        if slot is not None and (slot.stop() if running else slot.cancel()):
            self.settle()
            return True
        if slot is None and self._outcome is _INFLATED:
            return super().cancel()
        return self.cancelled()

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """Has `fn` called with the future when it has ended, in the context of this call.

        What a callback raises is logged and else ignored.
        """
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
            slot, owner = self._slot, self._owner
            if slot is None or owner is None:
                return
            raw = slot.take()
            if raw is not None:
                break
            self._wait_until_settled(slot)
        try:
            cancelled, error, value = owner.decode(raw, self._call)
        except BaseException:
            # An interrupt in the middle of unpickling: the outcome is not lost.
            self._slot = _Kept(raw)
            _tell_the_late()
            raise
        with _inflating:
            inflated = self._outcome is _INFLATED
            if not inflated:
                state = _base.CANCELLED_AND_NOTIFIED if cancelled else _base.FINISHED
                self._outcome = (state, error, value)
                self._slot = self._owner = None
        if inflated:
            self._publish(cancelled, error, value)
        _tell_the_late()

    def fail(self, error: BaseException) -> None:
        """Publishes `error`, since the outcome can't be decoded: somebody waits for an end."""
        if self._slot is not None and self._outcome is _INFLATED:
            self._publish(False, error, None)
            _tell_the_late()

    def on_child(self) -> None:
        """In a forked child nobody will publish it: back to the first tier, which refuses."""
        if self._slot is not None:
            for name in _SECOND_TIER:
                self.__dict__.pop(name, None)
            self._outcome = None

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
        self._slot = self._owner = None

    def _wait_until_settled(self, slot: Slot | _Kept) -> None:
        global _late
        with _settled:
            # Raised before looking; who settles looks at it after settling.
            _late += 1
            try:
                while self._slot is slot:
                    _settled.wait()
            finally:
                _late -= 1

    def _await(self, timeout: float | None) -> _Settled | None:
        """Waits in the first tier for the decoded outcome.

        None: this future is in the second tier, ask the standard methods.
        Raises `TimeoutError`.
        """
        if self._outcome is None:
            slot = self._slot
            if slot is not None:
                if not slot.wait(timeout):
                    raise TimeoutError
                self.settle()
        outcome = self._outcome
        return None if outcome is _INFLATED else outcome

    def __getattr__(self, name: str) -> Any:
        if name not in _SECOND_TIER:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=self)
        self._inflate()
        return self.__dict__[name]

    def _inflate(self) -> None:
        while self._outcome is not _INFLATED:
            with _inflating:
                slot: Any = self._slot
                owner = self._owner
                if slot is None or (owner is not None and owner.publish_later(self, slot)):
                    self._install(slot)
                    return
            self.settle()

    def _install(self, slot: Slot | _Kept | None) -> None:
        outcome = self._outcome
        if outcome is _INFLATED:
            return
        if outcome is None:
            is_running = slot is not None and slot.running()
            outcome = (_base.RUNNING if is_running else _base.PENDING, None, None)
        state = self.__dict__
        state["_state"], state["_exception"], state["_result"] = outcome
        state["_waiters"] = []
        state["_done_callbacks"] = []
        state["_condition"] = threading.Condition()
        # Last: whoever sees it sees everything.
        self._outcome = _INFLATED
