"""Python values to bytes and back, at the edge of the engine.

Both directions try the C pickler first, by reference, with the reducers that `multiprocessing`
registers (so that connections and sockets travel as they do with the standard library). What it
refuses goes through cloudpickle. On the way to a worker there is one more reason for the slow way:
the bytes mention `__main__`, which in a worker is an empty module, so what the script or notebook
defined has to go along (`main_module`). On the way back a mention of `__main__` is right as it is:
the parent has the original, and `isinstance` holds.

Decoding is `loads` for both. Exceptions have a module of their own (`failures`).
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Mapping
from itertools import starmap

from .._core import names_main
from . import definitions
from .apart import MOST_BUFFERS, Arrived, Loose, Packed, loads, opened, packed
from .failures import argument_text, dump_exception, load_exception, name_of, note_call
from .given import SHARED_MARK, NotAskedForError
from .pickling import (
    REFUSALS,
    dumps_result,
    mentions_main,
    pack_result,
    second_try,
    write,
    write_apart,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .main_module import MainSender
    from .shares import Shares

__all__ = [
    "MOST_BUFFERS",
    "Arrived",
    "Encoder",
    "LoadedFunction",
    "Loose",
    "Packed",
    "argument_text",
    "dump_exception",
    "dumps_result",
    "load_exception",
    "load_function",
    "load_result",
    "load_results",
    "loads",
    "name_of",
    "note_call",
    "pack_result",
]  # fmt: skip


class Encoder:
    """Bytes for workers. One per executor: it remembers what it has pickled of `__main__`.

    `main_is_shared` is for workers that are forks of this process: they have its `__main__`, so
    only what was defined or rebound after the first fork (`freeze_main`) goes along.
    """

    def __init__(self, *, main_is_shared: bool = False) -> None:
        self._shared = definitions.SharedMain() if main_is_shared else None
        self._sender: MainSender | None = None
        self.shared_objects: Shares | None = None
        """The executor's, once there is one."""

    @property
    def sender(self) -> MainSender:
        """What pickles by value; made when first needed, because that imports cloudpickle."""
        sender = self._sender
        if sender is None:
            from .main_module import MainSender

            sender = self._sender = MainSender(self._shared)
        return sender

    def freeze_main(self) -> None:
        """To be called just before the first worker is forked: what `__main__` holds now, the
        workers will have.
        """
        if self._shared is not None:
            self._shared.freeze()

    def shares(self, contents: Mapping[str, object]) -> bool:
        """Whether workers have each of these values under its name in their `__main__`."""
        shared = self._shared
        return shared is not None and all(starmap(shared.has, contents.items()))

    def dumps_reference(self, function: object) -> bytes:
        """The bytes for what workers find under its name."""
        return b"".join(write(function))

    def dumps(self, value: object) -> bytes:
        """The bytes from which `loads` in a worker makes `value`."""
        # The common case spelled out: a call costs as much as the search.
        try:
            chunks = write(value)
        except REFUSALS:
            return second_try(self.sender.dumps, value)
        if len(chunks) == 1:
            chunk = chunks[0]
            return self.sender.dumps(value) if names_main(chunk) else chunk
        return self.sender.dumps(value) if mentions_main(chunks) else b"".join(chunks)

    def pack(self, value: object) -> Packed:
        """As `dumps`, large buffers beside it: to be handed on before anybody changes them."""
        shares = self.shared_objects
        try:
            if shares is None or not shares.is_used:
                return self._pack(value)
        except NotAskedForError:
            if shares is None:
                raise
        with shares.asked() as needs:
            found = self._pack(value)
        if not needs:
            return found
        loose = found if isinstance(found, Loose) else Loose([found], [])
        return loose.needing(needs)

    def _pack(self, value: object) -> Packed:
        try:
            loose = write_apart(value)
        except NotAskedForError:
            raise
        except REFUSALS:
            return second_try(self.sender.pack, value)
        chunks, buffers, _ = loose
        if len(chunks) == 1 and not buffers:
            chunk: bytes = chunks[0]
            return self.sender.pack(value) if names_main(chunk) else chunk
        return self.sender.pack(value) if mentions_main(chunks) else packed(loose)


class LoadedFunction:
    """A registered function in a worker, together with what it needs in `__main__`.

    `ready()` gives the callable. Between two calls an older or newer version of the functions it
    uses may have been installed for another task; then they are put back first.
    """

    __slots__ = ("_tables", "_version", "function")

    def __init__(self, function: Callable[..., Any], tables: tuple[Any, ...], version: int) -> None:
        self.function = function
        self._tables = tables
        self._version = version

    @property
    def is_ready(self) -> bool:
        """Whether it needs nothing in `__main__`."""
        return not self._tables

    def ready(self) -> Callable[..., Any]:
        if self._tables and self._version != definitions.version():
            self._version = definitions.restore(self._tables)
        return self.function


def load_function(data: Arrived) -> LoadedFunction:
    """What `FunctionCache` registered, or `Shares`, in the worker."""
    stream, buffers = opened(data)
    if stream[: len(SHARED_MARK)] == SHARED_MARK:
        stream = memoryview(stream)[len(SHARED_MARK) :]
        buffers = [memoryview(buffer).toreadonly() for buffer in buffers]
    with definitions.recording() as tables:
        function = pickle.loads(stream, buffers=buffers)
    return LoadedFunction(function, tuple(tables), definitions.version())


def load_result(
    data: Arrived | tuple[bytes, list[Any]],
    *,
    function: str | None = None,
    index: int | None = None,
) -> Any:
    """The value of `dumps_result`, in the parent; a failure is a `TransportError` for that task.

    Only a Ctrl-C, which reaches the main thread alone, passes as it is: nothing is consumed, the
    caller may try again.
    """
    # A `MemoryError` of this step is no fault of the bytes, and nothing has been consumed.
    stream, buffers = opened(data)
    try:
        return pickle.loads(stream, buffers=buffers)
    except BaseException as error:
        if (
            isinstance(error, KeyboardInterrupt)
            and threading.current_thread() is threading.main_thread()
        ):
            raise
        from ..errors import transport_error

        raise transport_error(error, what="the result", function=function, index=index) from error


def load_results(data: Arrived, count: int) -> tuple[list[Any], dict[int, bytes]]:
    """What a worker says of `count` items of a chunk: a value for each and, by position, the
    exceptions. Raises for bytes that say something else.
    """
    values, errors = loads(data)
    if type(values) is not list or len(values) != count:
        raise ValueError(f"these are not the results of {count} items")
    for position, error in errors.items():
        if type(position) is not int or not 0 <= position < count or type(error) is not bytes:
            raise ValueError(f"an item without a place has failed: `{position}`")
    return values, errors
