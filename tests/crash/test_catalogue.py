"""Every way to end {a signal, `os._exit`, an exception, SystemExit}, at every place of a task's way
there and back.

The expectations are those of CPython's `test_deadlock`, extended to the whole square.  Pickling an
argument and unpickling a result happen in the parent, so dying there is the parent's death: those
run in a process of their own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest
from support import processes, scripts, tasks
from support.implementations import START_METHODS, Implementation

ALL_ENDS = ("dies", "leaves", "raises", "exits")
IN_THE_WORKER: dict[str, Callable[[str], tuple[Any, ...]]] = {
    "argument unpickling": lambda end: (tasks.identity, tasks.EndsWhenUnpickled(end)),
    "call": lambda end: (tasks.ends, end),
    "result pickling": lambda end: (tasks.make_ending_when_pickled, end),
}
ERRORS: dict[str, type[BaseException]] = {"raises": tasks.UserError, "exits": SystemExit}


def error_of(pool: Any, *call: Any) -> BaseException:
    """What the task ends with; a SystemExit that `submit` itself raises counts the same."""
    try:
        future = pool.submit(*call)
    except SystemExit as raised:
        return raised
    error = future.exception(timeout=50)
    assert isinstance(error, BaseException), f"returned {future.result()}"
    return error


def is_usable(pool: Any) -> bool:
    try:
        return bool(pool.submit(tasks.add_one, 1).result(timeout=50) == 2)
    except BrokenProcessPool:
        return False


@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize("end", ALL_ENDS)
@pytest.mark.parametrize("place", IN_THE_WORKER)
def test_worker_ends(
    implementation: Implementation, link: str, start_method: str, place: str, end: str
) -> None:
    with implementation.pool(start_method) as pool:
        error = error_of(pool, *IN_THE_WORKER[place](end))
        dead = end in ("dies", "leaves")
        if dead or place == "argument unpickling":
            assert isinstance(error, BrokenProcessPool)
        else:
            assert isinstance(error, ERRORS[end])
            assert not isinstance(error, BrokenProcessPool)
        survives = not isinstance(error, BrokenProcessPool) or (
            not dead and implementation.differs("one lost payload breaks no pool")
        )
        assert is_usable(pool) == survives
        assert bool(pool._broken) != survives


@pytest.mark.parametrize("start_method", START_METHODS)
def test_argument_that_raises_when_pickled_fails_only_its_future(
    implementation: Implementation, start_method: str
) -> None:
    with implementation.pool(start_method) as pool:
        assert isinstance(
            error_of(pool, tasks.identity, tasks.EndsWhenPickled("raises")), tasks.UserError
        )
        assert is_usable(pool)


@pytest.mark.ours_only("interpreter exits are errors of one task")
def test_argument_that_exits_when_pickled_fails_only_its_future(
    implementation: Implementation,
) -> None:
    with implementation.pool() as pool:
        assert isinstance(
            error_of(pool, tasks.identity, tasks.EndsWhenPickled("exits")), SystemExit
        )
        assert is_usable(pool)


@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize("end", ["raises", "exits"])
def test_result_that_can_not_be_unpickled(
    implementation: Implementation, start_method: str, end: str
) -> None:
    with implementation.pool(start_method) as pool:
        error = error_of(pool, tasks.make_ending_when_unpickled, end)
        assert isinstance(error, BrokenProcessPool)
        assert is_usable(pool) == implementation.differs("one lost payload breaks no pool")


@pytest.mark.parametrize(("end", "code"), [("dies", -9), ("leaves", 7)])
@pytest.mark.parametrize("place", ["argument pickling", "result unpickling"])
def test_parent_that_ends_takes_its_workers_along(
    implementation: Implementation, place: str, end: str, code: int
) -> None:
    call = {
        "argument pickling": f"tasks.identity, tasks.EndsWhenPickled({end!r})",
        "result unpickling": f"tasks.make_ending_when_unpickled, {end!r}",
    }[place]
    script = f"""
        from support import tasks
        from {implementation.module.__name__} import ProcessPoolExecutor

        if __name__ == "__main__":
            pool = ProcessPoolExecutor(2)
            pool.submit(tasks.add_one, 1).result()
            pool.submit({call}).result()
        """
    before = processes.descendants(os.getpid())
    result = scripts.run_file(script)
    assert result.code == code, result.words
    if not implementation.differs("workers follow their parent"):
        processes.kill(processes.descendants(os.getpid()) - before)


def test_work_of_a_worker_that_dies_is_lost_and_nothing_hangs(
    implementation: Implementation, link: str
) -> None:
    with implementation.pool(max_workers=2) as pool:
        futures = [pool.submit(tasks.add_one, number) for number in range(100)]
        futures.append(pool.submit(tasks.die))
        # From the moment the worker's death is known, `submit` itself refuses.
        with contextlib.suppress(BrokenProcessPool):
            for number in range(100):
                futures.append(pool.submit(tasks.add_one, number))
        outcomes = [future.exception(timeout=50) for future in futures]
    assert isinstance(outcomes[100], BrokenProcessPool)
    assert all(error is None or isinstance(error, BrokenProcessPool) for error in outcomes)
    with pytest.raises((BrokenProcessPool, RuntimeError)):
        pool.submit(tasks.add_one, 1)


def test_big_payloads_of_a_dying_worker_do_not_hang(
    implementation: Implementation, link: str
) -> None:
    data = b"a" * 4_000_000
    with implementation.pool() as pool, pytest.raises(BrokenProcessPool):
        list(pool.map(tasks.die_with, [data] * 10, timeout=50))


def test_random_kills_lose_nothing_but_what_the_dead_had(
    implementation: Implementation, link: str, rng: Any
) -> None:
    for _ in range(5):
        with implementation.pool(max_workers=2) as pool:
            victim = pool.submit(tasks.worker_pid).result(timeout=50)
            at = rng.randrange(200)
            futures = []
            for number in range(200):
                call = (tasks.kill, victim) if number == at else (tasks.add_one, number)
                try:
                    futures.append(pool.submit(*call))
                except BrokenProcessPool:
                    assert number > at
                    break
            for number, future in enumerate(futures):
                error = future.exception(timeout=50)
                assert (
                    isinstance(error, BrokenProcessPool)
                    or number == at
                    or future.result() == number + 1
                )
