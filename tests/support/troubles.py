"""Tasks that crash, hang, grow or fail: what the cases of the field are made of."""

from __future__ import annotations

import ctypes
import os
import select
import subprocess
from typing import Any, NoReturn

from support import crashes, tasks
from support.meetings import Place

# Those that end their worker.


def leave_at_5(number: int) -> int:
    if number == 5:
        os._exit(1)
    return number


def dereference_null() -> None:
    crashes.without_a_core_file()
    ctypes.string_at(0)


def dereference_null_at_131(number: int) -> int:
    if number == 131:
        dereference_null()
    return number


def meet_and_die(place: Place) -> NoReturn:
    place.arrive()
    place.wait()
    tasks.die()


def sign(load: bytes) -> tuple[int, bytes]:
    """Something to do for a worker that may be killed any time, and who did it."""
    return os.getpid(), load


# Those that never end by themselves.


def spin(place: Place | None = None) -> NoReturn:
    if place is not None:
        place.arrive()
    while True:
        pass


def sleep(place: Place) -> None:
    place.arrive()
    select.select([], [], [], 1000)


def refuse_to_end(place: Place) -> NoReturn:
    """Only SIGKILL ends it."""
    import signal

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    place.arrive()
    while True:
        try:
            select.select([], [], [], 1000)
        except BaseException:
            continue


def stop_itself(place: Place) -> None:
    import signal

    place.arrive()
    os.kill(os.getpid(), signal.SIGSTOP)


STUCK = {"spins": spin, "sleeps": sleep, "refuses": refuse_to_end, "is stopped": stop_itself}


def start_process_and_sleep(place: Place, kind: str) -> None:
    """Arrives with the id of a process that it has started and that would outlive it."""
    if kind == "orphan":
        started = subprocess.run(
            ["sh", "-c", "sleep 1000 >&- 2>&- & echo $!"], stdout=subprocess.PIPE, check=True
        )
        place.arrive(int(started.stdout))
    else:
        child = subprocess.Popen(["sleep", "1000"], start_new_session=kind == "session leader")
        place.arrive(child.pid)
    select.select([], [], [], 1000)


def open_a_pool_and_spin(place: Place, module: str) -> None:
    """Arrives with the id of a worker of a pool of its own, which is busy."""
    import importlib

    with importlib.import_module(module).ProcessPoolExecutor(1) as inner:
        inner.submit(spin, place).result()


# Those that fail.


def fail_if_odd(number: int) -> int:
    if number % 2:
        raise tasks.UserError(f"{number} is odd")
    return number


def time_out_at_2(number: int) -> int:
    if number == 2:
        raise TimeoutError("the task's own")
    return number


def raise_broken_pool() -> NoReturn:
    from concurrent.futures.process import BrokenProcessPool

    raise BrokenProcessPool("the task's own")


def raise_time_out() -> NoReturn:
    raise TimeoutError("the task's own")


# Those that grow.

_cache: list[bytes] = []


def fill_cache(size: int) -> int:
    """Keeps so many bytes for good; the worker's id."""
    _cache.append(b"x" * size)
    return os.getpid()


def allocate(size: int) -> int:
    return len(bytearray(size))


def allocate_at_5(number: int) -> int:
    return allocate(4 * 2**30) if number == 5 else number


def make(size: int, *ignored: Any) -> bytes:
    return b"x" * size


def make_megabyte(number: int) -> bytes:
    return number.to_bytes(4, "little") * 2**18


def meet_and_make(place: Place, size: int) -> bytes:
    place.arrive()
    place.wait()
    return make(size)


def spin_at_5(number: int) -> int:
    if number == 5:
        spin()
    return number


def are_one(first: object, second: object) -> bool:
    return first is second
