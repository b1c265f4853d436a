"""What a scenario is, and the words in which it says what it saw.

A scenario opens the engine through its `Bench`, does what the report describes, and returns a
verdict: `holds`, or in a few words what was observed instead. It waits with patience: only what
hangs or is off by orders of magnitude fails.
"""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.cases import processes, tasks
from benchmarks.cases.engines import WORKERS, Engine, open_engine

HOLDS = "holds"
PATIENCE_S = 5.0
ROOT = Path(__file__).resolve().parent.parent.parent


class Bench:
    """One run of one scenario: an engine by name, a folder, the way to open a pool."""

    def __init__(self, engine: str, scratch: Path, *, replaces: bool) -> None:
        self.engine = engine
        self.scratch = scratch
        self.replaces = replaces
        self.counts: dict[str, float] = {}
        """What the raw results keep besides the verdict."""

    def open(self, workers: int | None = WORKERS, **options: Any) -> Engine:
        policy = {"on_worker_death": "replace"} if self.replaces else {}
        return open_engine(self.engine, workers, **{**policy, **options})

    def program(self, name: str, *arguments: str) -> Program:
        """One of `programs.py` as a process with a session of its own."""
        return Program(
            ["-m", "benchmarks.cases.programs", name, self.engine, str(self.scratch), *arguments]
        )


class Program:
    """An interpreter that a scenario starts and looks at from outside."""

    def __init__(self, arguments: list[str], stdin: str | None = None) -> None:
        self.mark = uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, processes.PART: self.mark},
            cwd=ROOT,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.output = self.errors = ""
        self.stdin = stdin

    def ends(self, seconds: float) -> bool:
        """Waits; reads what it said."""
        try:
            self.output, self.errors = self.process.communicate(self.stdin, seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def first_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def left(self) -> list[int]:
        """What lives of it and of all that it started."""
        return processes.marked(processes.PART, self.mark)

    def leaves_nothing(self, seconds: float) -> bool:
        return processes.until(lambda: not self.left(), seconds, 0.05)

    def last_words(self) -> str:
        """The type of the exception that ended it."""
        lines = [line for line in self.errors.splitlines() if line and line[0].isalpha()]
        return lines[-1].partition(":")[0].rpartition(".")[2][:40] if lines else "nothing said"


class Findings:
    """What is against `holds`."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def expect(self, condition: object, words: str) -> None:
        if not condition and words not in self.words:
            self.words.append(words)

    def verdict(self) -> str:
        return ", ".join(self.words) or HOLDS


@dataclass(slots=True)
class Settled:
    """How a number of handles have ended."""

    values: dict[int, Any] = field(default_factory=dict)
    errors: dict[int, BaseException] = field(default_factory=dict)
    hanging: list[int] = field(default_factory=list)

    def missing(self, wanted: Iterable[int]) -> int:
        return sum(index not in self.values for index in wanted)


def settle(engine: Engine, handles: list[Any], patience: float = PATIENCE_S) -> Settled:
    """Waits until nothing has come for that long. An exception instead of a handle counts."""
    settled = Settled()
    end = time.monotonic() + patience
    for index, handle in enumerate(handles):
        if isinstance(handle, BaseException):
            settled.errors[index] = handle
            continue
        if not engine.wait(handle, max(0.0, end - time.monotonic())):
            settled.hanging.append(index)
            continue
        if not settled.hanging:
            end = time.monotonic() + patience
        error = engine.error(handle)
        if error is not None:
            settled.errors[index] = error
        else:
            try:
                settled.values[index] = engine.value(handle)
            except BaseException as late:
                settled.errors[index] = late
    return settled


def submit_all(engine: Engine, calls: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Handles, or what `submit` raised instead."""
    handles: list[Any] = []
    for call in calls:
        try:
            handles.append(engine.submit(*call))
        except Exception as error:
            handles.append(error)
    return handles


def trouble(engine: Engine, patience: float = PATIENCE_S) -> str:
    """What is wrong with a pool: empty if it computes."""
    for attempt in range(2):
        calls = [(tasks.add_one, i) for i in range(8)]
        settled = settle(engine, submit_all(engine, calls), patience)
        if settled.hanging:
            return "then the pool hangs"
        if not settled.errors:
            return "loses calls of the next second" if attempt else ""
        time.sleep(1)
    return "breaks the pool"


def check_lives(found: Findings, engine: Engine) -> None:
    words = trouble(engine)
    found.expect(not words, words)


def ended(call: Callable[[], object], seconds: float = PATIENCE_S) -> tuple[bool, Any]:
    """Runs it in a thread, in this context. Has it ended in time, and with what? Errors count."""
    result: list[Any] = []

    def run() -> None:
        try:
            result.append(call())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=copy_context().run, args=[run], daemon=True)
    thread.start()
    thread.join(seconds)
    return (True, result[0]) if result else (False, None)


def name_of(error: object) -> str:
    return type(error).__name__


def is_cancelled(error: BaseException) -> bool:
    return isinstance(error, concurrent.futures.CancelledError)


def chain(error: BaseException | None) -> list[BaseException]:
    """An exception and what it came from."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def close(engine: Engine) -> None:
    """At the end of a scenario, without interest in how."""
    with suppress(Exception):
        ended(lambda: engine.shutdown(cancel=True), 2)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A case, what is done, and how it is judged."""

    case: str
    title: str
    run: Callable[[Bench], str]
    replaces: bool = False
    """allcores runs with `on_worker_death="replace"`."""
    limit_s: float = 20.0


SCENARIOS: dict[str, Scenario] = {}


def case(
    number: str, title: str, *, replaces: bool = False, limit_s: float = 20.0
) -> Callable[[Callable[[Bench], str]], Callable[[Bench], str]]:
    """Enters a function as the scenario of that case."""

    def enter(run: Callable[[Bench], str]) -> Callable[[Bench], str]:
        assert number not in SCENARIOS
        SCENARIOS[number] = Scenario(number, title, run, replaces, limit_s)
        return run

    return enter
