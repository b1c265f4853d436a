"""The worker's main loop: take a batch, unpickle it, run it, answer.

```
   port.next() ──► (function, tag, start, payload)
                      │ CALL            one call           ──► RESULT | ERROR | UNDECODED
                      │ MAP, STARMAP    a chunk of items   ──► RESULTS | APART | UNDECODED
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
from typing import Any

from .._core import FORGET, FUNCTION, Port
from . import bootstrap, codec, tags
from .forks import owned_fds

# Values of these types unpickle without running anybody's code, so a chunk of them can be
# one pickle: no result can spoil its neighbours'.
_PLAIN = frozenset({int, float, str, bytes, bool, complex, type(None)})

Answer = tuple[int, bytes]

_failed: list[Port] = []


def main(handle: bootstrap.Handle, spec: bootstrap.Spec, stream: bool) -> None:
    """Runs a worker until its parent says stop, or is gone."""
    bootstrap.enter(spec)
    fd = handle.detach()
    port = Port(fd, stream)
    os.close(fd)
    owned_fds.add(port.fileno())
    if initialize(port, spec):
        port.ready()
        serve(port)


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


def serve(port: Port) -> None:
    """Answers batches until there are no more."""
    functions: dict[int | None, codec.LoadedFunction | bytes] = {}
    while True:
        told = port.next()
        if told is None:
            return
        function, tag, _, payload = told
        if tag == tags.CALL:
            answer = call(functions.get(function), payload)
        elif tag == FUNCTION:
            functions[function] = load(payload)
            continue
        elif tag == FORGET:
            functions.pop(function, None)
            continue
        else:
            answer = chunk(functions.get(function), payload, star=tag == tags.STARMAP)
        try:
            port.reply(*answer)
        except OSError as error:
            # The answer does not fit into memory; the news that it doesn't will.
            port.reply(tags.ERROR, codec.dump_exception(error))
        del told, payload, answer


def load(payload: bytes) -> codec.LoadedFunction | bytes:
    """The function in `payload`, or the exception that unpickling it raised, as bytes."""
    try:
        return codec.load_function(payload or b"")
    except BaseException as error:
        return codec.dump_exception(error)


def call(loaded: codec.LoadedFunction | bytes | None, payload: bytes) -> Answer:
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
        return tags.RESULT, codec.dumps_result(function(*args, **kwargs))
    except BaseException as error:
        text = codec.argument_text(args)
        return tags.ERROR, codec.dump_exception(
            error, function_name=codec.name_of(function), argument_repr=text
        )


def chunk(loaded: codec.LoadedFunction | bytes | None, payload: bytes, *, star: bool) -> Answer:
    """Calls the function with each item of a chunk; one failure does not stop the others."""
    if isinstance(loaded, bytes):
        return tags.UNDECODED, loaded
    try:
        if loaded is None:
            raise LookupError("the function of a chunk is not known to this worker")
        function = loaded.ready()
        first, items = codec.loads(payload)
    except BaseException as error:
        return tags.UNDECODED, codec.dump_exception(error)
    values: list[Any] = []
    errors: dict[int, bytes] = {}
    append = values.append
    rest = iter(items)
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
            errors[position] = failure(error, function, first, items, position)
            append(None)
    if _PLAIN.issuperset(map(type, values)):
        return tags.RESULTS, codec.dumps_result((values, errors))
    return tags.APART, codec.dumps_result((apart(values, errors, function, first, items), errors))


def apart(
    values: list[Any],
    errors: dict[int, bytes],
    function: Callable[..., Any],
    first: int,
    items: list[Any],
) -> list[bytes]:
    """Each value pickled alone; adds to `errors` where one can't be."""
    pickled = []
    for position, value in enumerate(values):
        try:
            pickled.append(codec.dumps_result(value))
        except BaseException as error:
            errors[position] = failure(error, function, first, items, position)
            pickled.append(b"")
    return pickled


def failure(
    error: BaseException, function: Callable[..., Any], first: int, items: list[Any], position: int
) -> bytes:
    """The exception of one item of a chunk, with its note."""
    return codec.dump_exception(
        error,
        function_name=codec.name_of(function),
        index=first + position,
        argument_repr=codec.argument_text(items[position]),
    )
