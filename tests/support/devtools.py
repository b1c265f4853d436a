"""A page in a headless Chromium, spoken to over its DevTools pipe.

Messages are JSON, each ended by a NUL: commands have a number, which their answers repeat; whatever
else comes is an event. A wait ends with the event that it waits for, or with the browser.
"""

from __future__ import annotations

import base64
import json
import os
import select
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

BOUND_SECONDS = 30.0

# The browser reads from descriptor 3 and writes to descriptor 4.
TAKE_PIPES = """
import os, sys
reading, writing, program, *arguments = sys.argv[1:]
for number, other in ((3, int(reading)), (4, int(writing))):
    os.dup2(other, number)
os.execv(program, [program, *arguments])
"""
PLAIN = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


class Chromium(Protocol):
    """What there is to be started (`support.browser`)."""

    @property
    def program(self) -> Path: ...

    @property
    def environment(self) -> dict[str, str]: ...


class Page:
    """One page, and what the browser has told of it.

    Attributes:
        complaints: the console's warnings and errors, exceptions, and whatever else the browser had
            logged.
        requests: all addresses that were asked for.
    """

    def __init__(self, chromium: Chromium, home: Path, *, width: int, height: int) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._width, self._height = width, height
        self._seen: set[str] = set()
        self._unread = b""
        self._number = 0
        self._session: str | None = None
        low = [os.pipe(), os.pipe()]
        # Both are above what the program wants them to be.
        (theirs_in, ours_out), (ours_in, theirs_out) = (
            tuple(map(_above_four, each)) for each in low
        )
        self._reading, self._writing = ours_in, ours_out
        command = [sys.executable, "-ISc", TAKE_PIPES, str(theirs_in), str(theirs_out)]
        options = (*PLAIN, "--remote-debugging-pipe", f"--user-data-dir={home}", "about:blank")
        self._process = subprocess.Popen(
            [*command, str(chromium.program), *options],
            pass_fds=(theirs_in, theirs_out),
            env={**os.environ, "HOME": str(home), **chromium.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)

    def __enter__(self) -> Self:
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.resize(self._width, self._height)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._session = None
        try:
            if exc_type is None:
                self.ask("Browser.close")
            else:
                self._process.kill()
        finally:
            try:
                self._process.wait(BOUND_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise
            finally:
                os.close(self._reading)
                os.close(self._writing)

    def open(self, path: Path) -> None:
        """Loads a file to its end."""
        self._seen.discard("Page.loadEventFired")
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while "Page.loadEventFired" not in self._seen:
            self._on_event(self._read())

    def resize(self, width: int, height: int) -> None:
        """Lays the page out anew."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """What the reader has set: `light` or `dark`."""
        self.ask(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise ValueError(f"`{expression}`: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """A PNG of the whole page."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one command."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            came = self._read()
            if came.get("id") == self._number:
                if "error" in came:
                    raise ValueError(f"`{method}`: {came['error']}")
                answer: dict[str, Any] = came["result"]
                return answer
            self._on_event(came)

    def _on_event(self, event: dict[str, Any]) -> None:
        method, told = event.get("method", ""), event.get("params", {})
        self._seen.add(method)
        if method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(f"{told['type']}: {told['args']}")
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(f"exception: {told['exceptionDetails']}")
        elif method == "Log.entryAdded":
            self.complaints.append(f"{told['entry']['level']}: {told['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            if not select.select([self._reading], [], [], BOUND_SECONDS)[0]:
                raise TimeoutError("the browser said nothing")
            more = os.read(self._reading, 1 << 20)
            if not more:
                raise EOFError(f"the browser has ended with {self._process.wait(BOUND_SECONDS)}")
            self._unread += more
        message, _, self._unread = self._unread.partition(b"\0")
        came: dict[str, Any] = json.loads(message)
        return came


def _above_four(descriptor: int) -> int:
    """The same pipe's end, under a number that is not wanted for something else."""
    spare = [descriptor]
    while spare[-1] <= 4:
        spare.append(os.dup(spare[-1]))
    for each in spare[:-1]:
        os.close(each)
    return spare[-1]


def pixels(png: bytes) -> list[bytes]:
    """The colours of all pixels of a PNG of eight bits a channel, by row."""
    at, packed, width, channels = 8, b"", 0, 0
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        chunk = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, _, depth, colours = struct.unpack_from(">IIBB", chunk)
            channels = {2: 3, 6: 4}[colours]
            assert depth == 8
        elif kind == b"IDAT":
            packed += chunk
        at += 12 + length
    raw, stride = zlib.decompress(packed), width * channels
    found, above = [], bytearray(stride)
    for start in range(0, len(raw), stride + 1):
        above = _unfiltered(
            raw[start], bytearray(raw[start + 1 : start + 1 + stride]), above, channels
        )
        found += [bytes(above[x : x + channels]) for x in range(0, stride, channels)]
    return found


def _unfiltered(kind: int, row: bytearray, above: bytearray, channels: int) -> bytearray:
    for x in range(len(row)) if kind else ():
        left = row[x - channels] if x >= channels else 0
        corner = above[x - channels] if x >= channels else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = above[x]
        elif kind == 3:
            guess = (left + above[x]) // 2
        else:
            guess = min(
                (left, above[x], corner), key=lambda each: abs(left + above[x] - corner - each)
            )
        row[x] = (row[x] + guess) & 255
    return row
