"""The worker's main loop: take a batch, unpickle it, run it, answer.

```
   port.next() ──► (function, tag, start, payload)
                      │ CALL            one call           ──► RESULT | ERROR | UNDECODED
                      │ MAP, STARMAP    a chunk of items   ──► RESULTS | APART | UNDECODED
                      │                 (careful: in parts, as the items are done)
                      │ FUNCTION        remember it
                      │ FORGET          forget it
```

Each batch runs in a function of its own, so that when it is over nothing of it is kept:
objects that a task got are gone before the next one is waited for.

This module is preloaded by the fork server and imported by every worker: it imports what a
worker needs and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from .._core import FORGET, FUNCTION, Port
from . import blackbox, bootstrap, codec, given, leash, tags
from .forks import above_stdio, owned_fds
from .retrying import ForItems, Retrying

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .memory import Memory

# Values of these types unpickle without running anybody's code, so a chunk of them can be
# one pickle: no result can spoil its neighbours'.
_PLAIN = frozenset({int, float, str, bytes, bool, complex, type(None)})

# The tags of what the port does by itself.
_QUICK = (tags.CALL, tags.MAP, tags.RESULT, tags.SCALARS)

Answer = tuple[int, codec.Packed]

_failed: list[Port] = []


def main(
    handles: tuple[bootstrap.Handle, ...], spec: bootstrap.Spec, stream: bool, most: int | None
) -> None:
    """Runs a worker until its parent says stop, or is gone; `most` is the limit of its memory.

    The descriptors are the control socket, the black box and, where there is one, the leash.
    """
    control, box, *leashes = [above_stdio(handle.detach()) for handle in handles]
    for fd in leashes:
        leash.put_on(fd)
    bootstrap.enter(spec)
    blackbox.carry(box)
    port = Port(control, stream)
    os.close(control)
    owned_fds.add(port.fileno())
    if spec.log_levels is not None:
        from . import logs

        logs.forward(port, spec.log_levels)
    if initialize(port, spec):
        port.ready()
        serve(port, None if most is None else limited(most))


def limited(most: int) -> Memory:
    """What keeps this worker's memory below `most` bytes."""
    from .memory import Memory

    return Memory(most)


def initialize(port: Port, spec: bootstrap.Spec) -> bool:
    """Runs the initializer, if there is one; whether this worker can take work."""
    try:
        call = spec.initializer()
        if call is not None:
            function, arguments = call
            function(*arguments)
    except BaseException:
        import logging
        import traceback

        logger = logging.getLogger("concurrent.futures")
        logger.critical("Exception in initializer:", exc_info=True)
        port.start_failed(traceback.format_exc().encode("utf-8", "backslashreplace"))
        # Its end tells the parent that this process is through with exiting, logs included.
        _failed.append(port)
        return False
    return True


def serve(port: Port, memory: Memory | None = None) -> None:
    """Answers batches until there are no more. Plain calls are the port's own affair."""
    functions: dict[int | None, codec.LoadedFunction | bytes] = {}
    simple: dict[int | None, Callable[..., Any]] = {}
    given.look_in(functions)
    while True:
        if memory is None:
            told = port.serve(simple, _QUICK, failed, dumped, continued)
        else:
            told = port.next()
        if told is None:
            return
        function, tag, start, payload = told
        if tag == FUNCTION:
            loaded = functions[function] = load(payload)
            if isinstance(loaded, codec.LoadedFunction) and is_simple(loaded):
                simple[function] = loaded.function
            continue
        if tag == FORGET:
            functions.pop(function, None)
            simple.pop(function, None)
            continue
        if memory is not None:
            memory.before_task()
        answer = run(port, functions.get(function), tag, start, payload)
        try:
            port.reply(*answer)
        except OSError as error:
            # The answer does not fit into memory; the news that it doesn't will.
            port.reply(tags.ERROR, codec.dump_exception(error))
        del told, payload, answer
        if memory is not None and memory.is_passed():
            port.retire()


def is_simple(loaded: codec.LoadedFunction) -> bool:
    """Whether a call of it needs nothing done before."""
    return loaded.is_ready and type(loaded.function) is not Retrying


def failed(error: BaseException, function: Callable[..., Any], args: tuple[Any, ...]) -> Answer:
    """The answer for a call that raised."""
    return tags.ERROR, codec.dump_exception(
        error, function_name=codec.name_of(function), argument_repr=codec.argument_text(args)
    )


def dumped(value: object, function: Callable[..., Any], args: tuple[Any, ...]) -> Answer:
    """The answer for a call that returned `value`."""
    try:
        return tags.RESULT, codec.pack_result(value)
    except BaseException as error:
        return failed(error, function, args)


def load(payload: codec.Arrived) -> codec.LoadedFunction | bytes:
    """The function in `payload`, or the exception that unpickling it raised, as bytes."""
    try:
        return codec.load_function(payload or b"")
    except BaseException as error:
        return codec.dump_exception(error)


def run(
    port: Port,
    loaded: codec.LoadedFunction | bytes | None,
    tag: int,
    start: int | None,
    payload: codec.Arrived,
) -> Answer:
    """Answers a batch of any kind."""
    if tag >= tags.IN_CONTEXT:
        from . import context

        try:
            surroundings, payload = context.unwrap(payload)
        except BaseException as error:
            return tags.UNDECODED, codec.dump_exception(error)
        return surroundings.run(run, port, loaded, tag - tags.IN_CONTEXT, start, payload)
    if tag == tags.CALL:
        return call(loaded, payload)
    star = tag == tags.STARMAP
    if start is None:
        return chunk(loaded, payload, star=star)
    return careful_chunk(port, loaded, payload, start, star=star)


def call(loaded: codec.LoadedFunction | bytes | None, payload: codec.Arrived) -> Answer:
    """Makes one call."""
    if isinstance(loaded, bytes):
        return tags.UNDECODED, loaded
    try:
        if loaded is None:
            function, args, kwargs = codec.loads(payload)
        else:
            function = loaded.ready()
            args, kwargs = codec.loads(payload)
    except BaseException as error:
        return tags.UNDECODED, codec.dump_exception(error)
    try:
        if type(function) is Retrying:
            value = function.run((args, kwargs), lambda: codec.loads(payload)[-2:])
        else:
            value = function(*args, **kwargs)
    except BaseException as error:
        return failed(error, function, args)
    return dumped(value, function, args)


class Chunk:
    """A chunk that could be unpickled: what to call, with what, and the first item's index."""

    __slots__ = ("first", "function", "items")

    def __init__(self, function: Callable[..., Any], first: int, items: list[Any]) -> None:
        self.function = function
        self.first = first
        self.items = items


def decode(
    loaded: codec.LoadedFunction | bytes | None, payload: codec.Arrived, start: int, *, star: bool
) -> Chunk | bytes:
    """The chunk; or the exception that says why it can't be had, as bytes."""
    if isinstance(loaded, bytes):
        return loaded
    try:
        if loaded is None:
            raise LookupError("the function of a chunk is not known to this worker")
        function = loaded.ready()
        first, items = codec.loads(payload)
    except BaseException as error:
        return codec.dump_exception(error)
    if type(function) is Retrying:
        function = ForItems(function, lambda: codec.loads(payload)[1], start, star=star)
    return Chunk(function, first, items)


def chunk(
    loaded: codec.LoadedFunction | bytes | None, payload: codec.Arrived, *, star: bool
) -> Answer:
    """Calls the function with each item of a chunk; one failure does not stop the others."""
    what = decode(loaded, payload, 0, star=star)
    if isinstance(what, bytes):
        return tags.UNDECODED, what
    return completed(what, [], {}, star=star)


def continued(
    function: Callable[..., Any],
    payload: codec.Arrived,
    values: list[Any],
    value: Any,
    error: BaseException | None,
) -> Answer:
    """The answer for a chunk whose first items gave `values`, and the next one `value`, unless it
    raised `error`.
    """
    what = Chunk(function, *codec.loads(payload))
    errors = {}
    if error is not None:
        errors[len(values)] = failure(error, what, len(values))
    values.append(value)
    return completed(what, values, errors, star=False)


def completed(what: Chunk, values: list[Any], errors: dict[int, bytes], *, star: bool) -> Answer:
    """The answer for a chunk of which there is something already; runs the rest."""
    function = what.function
    append = values.append
    rest = iter(what.items[len(values) :] if values else what.items)
    while True:
        # An iterator goes on where it was: after a failure the loop is entered anew.
        try:
            if star:
                for item in rest:
                    append(function(*item))
            else:
                for item in rest:
                    append(function(item))
            break
        except BaseException as error:
            position = len(values)
            errors[position] = failure(error, what, position)
            append(None)
    return packed(values, errors, what, 0)


def careful_chunk(
    port: Port,
    loaded: codec.LoadedFunction | bytes | None,
    payload: codec.Arrived,
    start: int,
    *,
    star: bool,
) -> Answer:
    """As `chunk`, from `start` to where the port says; hands over results as it goes, so that
    they are safe whatever becomes of this process.
    """
    what = decode(loaded, payload, start, star=star)
    if isinstance(what, bytes):
        return tags.UNDECODED, what
    function = what.function
    walk = port.walk(what.items)
    values: list[Any] = []
    errors: dict[int, bytes] = {}
    append = values.append
    while True:
        # The walk pauses when a part is due, and goes on when the loop is entered anew.
        try:
            if star:
                for item in walk:
                    append(function(*item))
            else:
                for item in walk:
                    append(function(item))
        except BaseException as error:
            errors[len(values)] = failure(error, what, walk.position)
            append(None)
        answer = packed(values, errors, what, start)
        if walk.is_over:
            return answer
        hand_over(port, answer, len(values))
        start += len(values)
        values.clear()
        errors.clear()


def hand_over(port: Port, part: Answer, count: int) -> None:
    """Gives the results of `count` items to the parent."""
    try:
        port.part(*part)
    except OSError as error:
        # They do not fit into memory; the news that they don't will.
        errors = dict.fromkeys(range(count), codec.dump_exception(error))
        port.part(tags.RESULTS, codec.dumps_result(([None] * count, errors)))


def packed(values: list[Any], errors: dict[int, bytes], what: Chunk, start: int) -> Answer:
    """The answer that holds the results of the items from `start` on."""
    if _PLAIN.issuperset(map(type, values)):
        return tags.RESULTS, codec.pack_result((values, errors))
    pickled: list[Any] = []
    room = codec.MOST_BUFFERS
    for position, value in enumerate(values):
        try:
            one = codec.pack_result(value) if room > 0 else codec.dumps_result(value)
            if isinstance(one, codec.Loose):
                room -= len(one[1])
                pickled.append(one.joined())
            else:
                pickled.append(one)
        except BaseException as error:
            errors[position] = failure(error, what, start + position)
            pickled.append(b"")
    return tags.APART, codec.pack_result((pickled, errors))


def failure(error: BaseException, what: Chunk, position: int) -> bytes:
    """The exception of one item of a chunk, with its note."""
    return codec.dump_exception(
        error,
        function_name=codec.name_of(what.function),
        index=what.first + position,
        argument_repr=codec.argument_text(what.items[position]),
    )
