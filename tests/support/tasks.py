"""What the tests send to workers: everything here is importable by name, as the standard library
needs it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn


def identity(value: Any) -> Any:
    return value


def add_one(number: int) -> int:
    return number + 1


def worker_pid(*ignored: Any) -> int:
    return os.getpid()


def reciprocal(number: float) -> float:
    return 1 / number


def build(kind: Callable[[], Any]) -> Any:
    """Returns a value made in the worker: for results that are to misbehave on their way back."""
    return kind()


class UserError(Exception):
    """What the tests' own objects raise."""


# How a task or a payload can end: the four kinds of the crash catalogue.


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def die_with(data: object) -> NoReturn:
    assert data
    die()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def leave() -> NoReturn:
    os._exit(7)


def fail() -> NoReturn:
    raise UserError("as asked")


def leave_in_peace() -> NoReturn:
    """Ends the process with the exit code of success."""
    os._exit(0)


def system_exit() -> NoReturn:
    sys.exit(3)


ENDS: dict[str, Callable[[], NoReturn]] = {
    "dies": die,
    "leaves": leave,
    "raises": fail,
    "exits": system_exit,
}


class EndsWhenPickled:
    def __init__(self, end: str) -> None:
        self.end = end

    def __reduce__(self) -> Any:
        ENDS[self.end]()


class EndsWhenUnpickled:
    def __init__(self, end: str) -> None:
        self.end = end

    def __reduce__(self) -> Any:
        return ENDS[self.end], ()


def ends(end: str) -> None:
    ENDS[end]()


def make_ending_when_pickled(end: str) -> EndsWhenPickled:
    return EndsWhenPickled(end)


def make_ending_when_unpickled(end: str) -> EndsWhenUnpickled:
    return EndsWhenUnpickled(end)


# Exceptions that pickle loses or refuses.


class NeedsArguments(Exception):
    """Its `args` do not fit its own constructor, so that unpickling it fails."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"code {code}: {reason}")
        self.code = code


class HoldsALock(Exception):
    """Pickle refuses it."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.executor = ThreadPoolExecutor(1)


def raise_needs_arguments() -> NoReturn:
    raise NeedsArguments(42, "no reason")


def raise_holds_a_lock() -> NoReturn:
    raise HoldsALock("held")


class RefusesState:
    def __init__(self) -> None:
        self.value = 1

    def __getstate__(self) -> NoReturn:
        raise UserError("__getstate__ refused")


class RefusesReduce:
    def __reduce__(self) -> NoReturn:
        raise UserError("__reduce__ refused")


class RefusesRestoring:
    def __init__(self) -> None:
        self.value = 1

    def __setstate__(self, state: object) -> NoReturn:
        raise UserError("__setstate__ refused")


def make_refusing_restoring() -> RefusesRestoring:
    return RefusesRestoring()


def make_lock_holder() -> Any:
    import threading

    return threading.Lock()


def close_stdout_and_print(words: str) -> None:
    sys.stdout.close()
    print(words)


def print_and_return(words: str) -> str:
    print(words)
    return words


def print_flushed(words: str) -> str:
    print(words, flush=True)
    return words


def close_descriptor_of_stdout(value: Any) -> Any:
    os.close(1)
    return value


def nested_sum(module: str, numbers: list[int]) -> int:
    """Opens a pool of the same implementation inside a task."""
    import importlib

    with importlib.import_module(module).ProcessPoolExecutor(2) as inner:
        return sum(inner.map(add_one, numbers))


def refuse_to_start() -> NoReturn:
    raise UserError("the initializer refuses")


remembered: Any = None


def remember(value: Any) -> None:
    global remembered
    remembered = value


def recall() -> Any:
    return remembered


def wait_for(event: Any) -> str:
    """Waits for a multiprocessing event: a task that runs for as long as the test wants."""
    return "set" if event.wait(50) else "never set"


def say_and_wait_for(started: Any, event: Any) -> str:
    started.set()
    return wait_for(event)


class ReprFails:
    def __repr__(self) -> str:
        raise UserError("no words")


def in_a_pool(module: str, function: Callable[[], Any]) -> Any:
    """The result of a call that a pool inside a task makes."""
    import importlib

    with importlib.import_module(module).ProcessPoolExecutor(1) as inner:
        return inner.submit(function).result(timeout=50)


def nested_depth(module: str, levels: int) -> list[int]:
    """The pids of a pool in a pool in a pool."""
    import importlib

    if levels == 1:
        return [os.getpid()]
    with importlib.import_module(module).ProcessPoolExecutor(1) as inner:
        return [os.getpid(), *inner.submit(nested_depth, module, levels - 1).result(timeout=50)]


def keywords(**given: Any) -> dict[str, Any]:
    return given


def who_am_i() -> tuple[str, int | None, int]:
    process, parent = multiprocessing.current_process(), multiprocessing.parent_process()
    return process.name, parent.pid if parent else None, os.getpid()


def put_in_remembered_queue(value: Any) -> None:
    queue, lock = remembered
    with lock:
        queue.put(value)


def wait_for_remembered() -> str:
    return wait_for(remembered)
