"""One task of a thousand kills its worker: what else is lost?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.peers import Pool, open_pool
from benchmarks.question import PROCESSES, Column, Question, Sizes, Values, check
from benchmarks.tasks import add1, one_dies

PATIENCE_S = 3.0
"""A task is given up if for so long no result at all has come."""


def measure(pool: Pool, sizes: Sizes) -> Values:
    """The task in the middle sends SIGKILL to itself."""
    tasks = sizes["tasks"]
    numbers = [-1 if i == tasks // 2 else i for i in range(tasks)]
    if pool.submit is None or pool.result is None:
        crashed, lost = _by_map(pool, numbers)
    else:
        crashed, lost = _by_submit(pool.submit, pool.result, numbers)

    start = time.perf_counter()
    trouble = _works(pool)
    if trouble:
        fresh = open_pool(pool.name)
        check(_works(fresh) is None, "a new pool")
        fresh.close()
    return {
        "lost": lost,
        "crashed": crashed,
        "same_pool": trouble or "works",
        "again_ms": (time.perf_counter() - start) * 1e3,
    }


def _by_submit(
    submit: Callable[..., Any], result: Callable[..., Any], numbers: list[int]
) -> tuple[str, int]:
    """What the future of the crashing task says, and how many others have no result."""
    handles: list[Any] = []
    for number in numbers:
        try:
            handles.append(submit(one_dies, number))
        except Exception as error:
            handles.append(error)

    crashed, lost = "", 0
    deadline = time.monotonic() + PATIENCE_S
    for number, handle in zip(numbers, handles, strict=True):
        try:
            if isinstance(handle, Exception):
                raise handle
            value = result(handle, max(0.0, deadline - time.monotonic()))
            says = "a value"
            check(value == number + 1, "one_dies")
            deadline = time.monotonic() + PATIENCE_S
        except Exception as error:
            says = "hangs" if type(error).__name__ == "TimeoutError" else type(error).__name__
            if says == "WrongResultError":
                raise
            if number >= 0:
                lost += 1
            if says != "hangs":
                deadline = time.monotonic() + PATIENCE_S
        if number < 0:
            crashed = says
    return crashed, lost


def _by_map(pool: Pool, numbers: list[int]) -> tuple[str, int]:
    """A `map` that raises gives nothing."""
    try:
        list(pool.map(one_dies, numbers))
    except Exception as error:
        return type(error).__name__, len(numbers) - 1
    return "a value", 0


def _works(pool: Pool) -> str | None:
    """What happens to eight more tasks, if not eight right results."""
    try:
        if pool.submit is None or pool.result is None:
            results = list(pool.map(add1, range(8)))
        else:
            handles = [pool.submit(add1, i) for i in range(8)]
            results = [pool.result(handle, PATIENCE_S) for handle in handles]
    except Exception as error:
        return "hangs" if type(error).__name__ == "TimeoutError" else type(error).__name__
    return None if results == list(range(1, 9)) else "wrong results"


QUESTION = Question(
    name="crash",
    title="One task of 1,000 kills its worker",
    how=(
        "1,000 tasks of half a millisecond, one in the middle sends SIGKILL to its own process. "
        "Lost: results of the other 999 that never came. Then eight more tasks, on the same pool "
        "if it still works, else on a new one."
    ),
    columns=(
        Column("lost", "others lost, of 999"),
        Column("crashed", "the future of the crashing task", "neither"),
        Column("same_pool", "the pool afterwards", "neither"),
        Column("again_ms", "ms to the next 8 results"),
    ),
    peers=PROCESSES,
    sizes={"tasks": 1_000},
    trial_sizes={"tasks": 100},
    rounds=2,
    rounds_at_least=2,
    limit_s=40.0,
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
