"""Tasks that use executors, look at their surroundings, and write to logs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, as_completed, wait
from contextvars import ContextVar
from typing import Any

from allcores import share
from allcores.pool import logs
from allcores.pool.threads import VARIABLES
from support.tasks import UserError

REQUEST: ContextVar[Any] = ContextVar("REQUEST", default="none")


def fib_by_submit(pool: Executor, number: int) -> int:
    """Recursive fork-join through one executor."""
    if number < 2:
        return number
    one = pool.submit(fib_by_submit, pool, number - 1)
    other = pool.submit(fib_by_submit, pool, number - 2)
    assert not wait([one, other], timeout=50).not_done
    return one.result() + other.result()


def fib_by_map(pool: Executor, number: int) -> int:
    if number < 2:
        return number
    return sum(pool.map(fib_by_map, [pool, pool], [number - 1, number - 2]))


def give_back(pool: Executor) -> tuple[bool, int, Executor]:
    """The executor of the task on its way home."""
    return isinstance(pool, Executor), os.getpid(), pool


def fail(words: str) -> None:
    raise UserError(words)


def failure_of_inner_call(pool: Executor) -> tuple[bool, str, list[str]]:
    error = pool.submit(fail, "inside").exception()
    assert isinstance(error, UserError)
    return True, str(error), error.__notes__


def states_of_inner_future(pool: Executor) -> tuple[bool, ...]:
    future = pool.submit(abs, -1)
    called: list[Any] = []
    future.add_done_callback(called.append)
    return (
        future.done(),
        not future.cancel(),
        not future.cancelled(),
        not future.running(),
        called == [future],
        next(as_completed([future])) is future,
    )


def taken_by_inner_map(pool: Executor) -> tuple[int, list[int]]:
    """How many items a map without end has taken for its first results."""
    taken = []

    def items() -> Iterator[int]:
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    results = pool.map(abs, items())
    return len([next(results) for _ in range(3)]), taken


def calls_of_unattended_map(pool: Executor) -> list[int]:
    made: list[int] = []
    pool.map(made.append, [1, 2, 3])
    return made


def first_failure_of_inner_map(pool: Executor) -> tuple[list[float], list[str]]:
    results, got = pool.map(one_by, [1, 2, 0, 4]), []
    try:
        for each in results:
            got.append(each)
    except ZeroDivisionError as error:
        return got, error.__notes__
    raise AssertionError("no failure")


def one_by(number: int) -> float:
    return 1 / number


def inner_pool_outlives_shutdown(pool: Executor) -> int:
    with pool:
        pool.submit(abs, -1)
    pool.shutdown(wait=True, cancel_futures=True)
    return pool.submit(abs, -2).result()


def widths(levels: int) -> list[int]:
    """The default number of workers at each level, seen from one leaf after the other."""
    from allcores import ProcessPoolExecutor

    if levels == 0:
        return [1]
    with ProcessPoolExecutor() as pool:
        width: int = pool._max_workers
        below = list(pool.map(widths, [levels - 1] * width, chunksize=1))
    return [leaf for each in below for leaf in each]


def limits() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in VARIABLES}


def limit_of_a_program() -> str:
    """What a program started by a task finds."""
    code = "import os; print(os.environ['ALLCORES_CORES'], os.environ['OMP_NUM_THREADS'])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout


def inner_limits() -> tuple[str | None, str | None]:
    from allcores import ProcessPoolExecutor

    with ProcessPoolExecutor() as pool:
        return os.environ.get("OMP_NUM_THREADS"), pool.submit(limits).result()["OMP_NUM_THREADS"]


def request(*ignored: Any) -> Any:
    return REQUEST.get()


def change_request() -> None:
    REQUEST.set("changed by a task")


class Said:
    """Keeps what is said, instead of the engine's port."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def say(self, payload: bytes) -> None:
        self.payloads.append(payload)


def log_in_worker(levels: logs.Levels) -> list[bytes]:
    """Logs this and that; what the worker would send."""
    said = Said()
    logs.forward(said, levels)
    loud, quiet = logging.getLogger("loud.child"), logging.getLogger("quiet")
    loud.debug("first %s", "argument")
    quiet.info("not to be seen")
    quiet.warning("second", extra={"shape": (2, 3), "lock": threading.Lock()})
    try:
        fail("third")
    except UserError:
        logging.exception("an error")
    return said.payloads


def share_and_submit(executor: Any) -> list[int]:
    """In a worker, to an executor of the parent."""
    shared = share([7])
    return [executor.submit(_first, shared).result(), *executor.map(_first, [shared])]


def _first(values: list[int]) -> int:
    return values[0]
