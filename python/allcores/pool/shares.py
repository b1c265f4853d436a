"""Objects that are sent once to each worker, however many tasks they are passed to.

`share(obj)` (`sharing`) says so of any object: it is pickled at once, and every worker unpickles
it once, when the first task comes that was passed it. `Shares` are those that one executor has told
its engine of. The engine has them as registered values, like functions; what a task's bytes hold is
a number (`given.value_of`).

A large array of numpy that nobody may write to is shared without being asked for: it can be told
by its identity. Any other buffer may have changed since it was sent last, so it is compared (and
written again where it has changed; `allcores_shm`'s `parcel`).
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from .._core import Known, Shipment
from . import given
from .apart import Loose
from .given import SHARED_MARK, NotAskedForError
from .pickling import write_apart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generic, TypeVar

    from .._core import Pool

    T = TypeVar("T")
else:
    T = None

    class Generic:
        """What `typing`'s would be, whose import costs every program some milliseconds."""

        __slots__ = ()

        def __class_getitem__(cls, _item):
            return cls


_CONSTANT_FROM = 1 << 18  # smaller arrays are quickly copied


def as_shared(packed: Loose) -> Shipment:
    """The pickle of an object as it goes to workers that are to share it."""
    return Shipment([SHARED_MARK, *packed[0]], packed[1])


class Shared(Generic[T]):
    """A handle on a shared object; a task that is passed it gets the object.

    Made by `allcores.share`. Workers let go of the object some time after the last handle has gone.
    """

    __slots__ = ("__weakref__", "shipment", "value")

    def __init__(self, value: T, shipment: Shipment) -> None:
        self.value = value
        """The object, in this process."""
        self.shipment = shipment

    def __reduce__(self) -> tuple[Any, ...]:
        shares = _asking.shares
        if shares is None:
            raise NotAskedForError(
                "a shared object can't be pickled\n"
                "hint: pass it to `submit` or `map`, as an argument or in a `functools.partial`"
            )
        return given.value_of, (shares.number_of(self),)

    def __repr__(self) -> str:
        return f"<shared {type(self.value).__name__}>"


def unshared(value: Any) -> Any:
    """The object that a handle stands for; anything else as it is."""
    return value.value if type(value) is Shared else value


class _Asking(threading.local):
    """Whose numbers the pickle uses that this thread is making, and which it has needed so far."""

    def __init__(self) -> None:
        self.shares: Shares | None = None
        self.needs: list[int] = []


_asking = _Asking()


class Shares:
    """What one executor's workers are given once, by number."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._numbers: weakref.WeakKeyDictionary[Shared[Any], int] = weakref.WeakKeyDictionary()
        self._constants: dict[int, tuple[weakref.ref[Any], Shared[Any]]] = {}
        self.is_used = False
        """Whether anything was shared: then whatever is pickled may have a part in it."""
        self.known = Known()
        """The same, for those who look at nothing but an object's identity."""

    def number_of(self, shared: Shared[Any]) -> int:
        """Its number; whatever is being pickled needs it."""
        number = self._enter(shared)
        _asking.needs.append(number)
        return number

    def _enter(self, shared: Shared[Any]) -> int:
        self.is_used = True
        number = self._numbers.get(shared)
        if number is None:
            number = self._numbers[shared] = self._pool.register(shared.shipment)
            self.known.enter(shared, number)
            end = weakref.finalize(shared, _forget, weakref.ref(self), id(shared), number)
            end.atexit = False
        return number

    def forget(self, address: int, number: int) -> None:
        """The handle that was there has gone."""
        self.known.discard(address)
        with suppress(RuntimeError):  # of a forked child
            self._pool.forget(number)

    @contextmanager
    def asked(self) -> Iterator[list[int]]:
        """What is pickled in here uses these numbers; gives those that it needs."""
        needs: list[int] = []
        before = _asking.shares, _asking.needs
        _asking.shares, _asking.needs = self, needs
        try:
            yield needs
        finally:
            _asking.shares, _asking.needs = before

    def notice(self, values: Iterable[Any]) -> bool:
        """Shares what of `values` is large and never changes; whether there is any such value."""
        numpy = sys.modules.get("numpy")
        if numpy is None:
            return False
        found = False
        for value in values:
            if type(value) is numpy.ndarray and value.nbytes >= _CONSTANT_FROM:
                bases = _bases_of_constant(value, numpy.ndarray)
                if bases is not None:
                    self._share_constant(value, bases)
                    found = True
        return found

    def _share_constant(self, array: Any, bases: tuple[Any, ...]) -> None:
        address = id(array)
        known = self._constants.get(address)
        if known is None or known[0]() is not array:

            def gone(_: object) -> None:
                self.known.discard(address)
                self._constants.pop(address, None)

            # The array is the user's to let go of.
            shared: Shared[None] = Shared(None, as_shared(write_apart(array)))
            self._constants[address] = weakref.ref(array, gone), shared
            self.known.enter(array, self._enter(shared), bases)


def _forget(shares: weakref.ref[Shares], address: int, number: int) -> None:
    found = shares()
    if found is not None:
        found.forget(address, number)


def _bases_of_constant(array: Any, kind: type[Any]) -> tuple[Any, ...] | None:
    """The arrays whose memory it shows, if nobody may write to that; else None."""
    chain: list[Any] = []
    part: Any = array
    while type(part) is kind:
        if part.flags.writeable:
            return None
        chain.append(part)
        part = part.base
    # Another owner of the memory might write there, save `bytes`.
    return tuple(chain[1:]) if part is None or type(part) is bytes else None
