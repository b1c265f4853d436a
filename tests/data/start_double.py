"""A worker without the engine: it answers calls over its control socket, one at a time.

`Worker` is the parent's side. It starts its process by a `Launcher`, as the executor does, and
speaks in lengths and bytes; so the tests of the codec and of the start need no Rust.
"""

from __future__ import annotations

import atexit
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any

from allcores.pool.codec import (
    LoadedFunction,
    dump_exception,
    dumps_result,
    load_exception,
    load_function,
    load_result,
    loads,
)
from allcores.pool.forks import owned_fds
from allcores.pool.start import Launcher

CALL, REGISTER, CALL_REGISTERED, VALUE, ERROR = b"CRAVE"


def serve(handles: Any, spec: Any) -> None:
    from allcores.pool import bootstrap

    bootstrap.enter(spec)
    with socket.socket(fileno=handles[0].detach()) as line:
        initializer = spec.initializer()
        if initializer is not None:
            initializer[0](*initializer[1])
        registered: list[LoadedFunction] = []
        while message := _receive(line):
            kind, data = message[0], message[1:]
            try:
                if kind == REGISTER:
                    registered.append(load_function(data))
                    value: object = len(registered) - 1
                elif kind == CALL:
                    function, args = loads(data)
                    value = function(*args)
                else:
                    value = registered[data[0]].ready()(*loads(data[1:]))
                answer = bytes([VALUE]) + dumps_result(value)
            except BaseException as error:
                answer = bytes([ERROR]) + dump_exception(error, function_name="call")
            _send(line, answer)


def _send(line: socket.socket, data: bytes) -> None:
    line.sendall(len(data).to_bytes(8, "little") + data)


def _receive(line: socket.socket) -> bytes:
    length = _exactly(line, 8)
    return _exactly(line, int.from_bytes(length, "little")) if length else b""


def _exactly(line: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = line.recv(count - len(data))
        if not more:
            return b""
        data += more
    return data


class Worker:
    """One process and the calls to it."""

    def __init__(
        self, context: Any = None, initializer: Callable[..., object] | None = None, *initargs: Any
    ) -> None:
        self.launcher = Launcher(context, initializer=initializer, initargs=initargs)
        self.encoder = self.launcher.encoder
        self.start()

    def start(self) -> None:
        self.line, other = socket.socketpair()
        owned_fds.add(self.line.fileno())
        with other:
            self.process = self.launcher.start(serve, (other.fileno(),))
        atexit.register(self.line.close)  # before multiprocessing waits for the worker
        self.encoder = self.launcher.encoder

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.send(bytes([CALL]) + self.encoder.dumps((function, args)))

    def register(self, payload: bytes) -> int:
        number: int = self.send(bytes([REGISTER]) + payload)
        return number

    def call_registered(self, number: int, *args: Any) -> Any:
        return self.send(bytes([CALL_REGISTERED, number]) + self.encoder.dumps(args))

    def send(self, message: bytes) -> Any:
        _send(self.line, message)
        answer = _receive(self.line)
        if not answer:
            raise EOFError(f"the worker left: {self.process.exitcode}")
        if answer[0] == VALUE:
            return load_result(answer[1:])
        raise load_exception(answer[1:])

    def close(self) -> None:
        owned_fds.discard(self.line.fileno())
        self.line.close()
        self.process.join()
        self.process.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
