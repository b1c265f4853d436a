"""What people run over items, in its usual sizes: the set that `auto` is measured on.

Each takes between some milliseconds and a second or so in a plain loop. A workload is a function,
its items (made anew each time: nobody profits from what is cached), and what it stands for.
"""

from __future__ import annotations

import hashlib
import math
import random
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any


def spin(seconds: float) -> int:
    """Computes in pure Python for about so long, by the clock of this thread."""
    turns = 0
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for _ in range(50):
            turns += 1
    return 1


def gcd(pair: tuple[int, int]) -> int:
    """The largest common divisor, by trying all from above."""
    low = min(pair)
    for candidate in range(low, 0, -1):
        if pair[0] % candidate == 0 and pair[1] % candidate == 0:
            return candidate
    return 1


PAIRS = [
    (1963309, 2265973), (2030677, 3814172), (1551645, 2229620), (2039045, 2020802),
    (1823712, 1924928), (2293129, 1020491), (1281238, 2273782), (3823812, 4237281),
    (3812741, 4729139), (1292391, 2123811),
]  # fmt: skip


def add_one(number: int) -> int:
    return number + 1


def square_root(number: int) -> float:
    return math.sqrt(number)


def word_count(line: str) -> int:
    return len(line.split())


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def deflate(data: bytes) -> int:
    return len(zlib.compress(data, 6))


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def ask(address: tuple[str, int]) -> bytes:
    """One request to a server that takes 10 ms to answer."""
    with socket.create_connection(address) as connection:
        connection.sendall(b"?")
        return connection.recv(16)


@contextmanager
def slow_server() -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.recv(16)
            time.sleep(0.01)
            connection.sendall(b"!")

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        server.join()


def array_sum(array: Any) -> float:
    return float(array.sum())


def array_work(array: Any) -> float:
    import numpy as np

    return float(np.sort(np.sin(array)).std())


def product(size: int) -> float:
    import numpy as np

    ones = np.ones((size, size))
    return float((ones @ ones).trace())


def ones(size: int) -> Any:
    import numpy as np

    return np.ones(size)


def numbers(count: int) -> list[int]:
    """Much comes back of little work."""
    return list(range(count))


def late(number: int) -> int:
    """Items get heavier."""
    return spin(number * 1e-5)


def frame_row(row: tuple[Any, ...]) -> float:
    total = 0.0
    for _ in range(40):
        total += row[1] * row[2] - row[3]
    return total


class Table:
    """A large thing that a closure holds."""

    def __init__(self, size: int) -> None:
        self.values = list(range(size))

    def look(self, number: int) -> int:
        return sum(self.values[number : number + 2_000])


def arrays(count: int, size: int) -> list[Any]:
    import numpy as np

    return [np.random.default_rng(each).random(size) for each in range(count)]


def blobs(count: int, size: int) -> list[bytes]:
    return [random.Random(each).randbytes(size) for each in range(count)]


def rows(count: int) -> Any:
    import pandas as pd

    numbers = range(count)
    return list(pd.DataFrame({"a": numbers, "b": numbers, "c": numbers}).itertuples(name=None))


@dataclass(frozen=True)
class Workload:
    """A function over items."""

    name: str
    fn: Callable[..., Any]
    items: Callable[[], Iterable[Any]]
    needs: str | None = None


def workloads(address: tuple[str, int]) -> list[Workload]:
    """All of them; `address` is a slow server's."""
    lock = threading.Lock()

    def with_a_lock(number: int) -> int:
        with lock:
            return spin(1e-3)

    table = Table(300_000)
    skew = [2e-4] * 190 + [4e-2] * 5
    random.Random(1).shuffle(skew)
    of = Workload
    return [
        of("gcd of ten pairs", gcd, lambda: PAIRS),
        of("gcd of ten small pairs", gcd, lambda: [(a // 20, b // 20) for a, b in PAIRS]),
        of("tiny: n + 1, 100,000", add_one, lambda: range(100_000)),
        of("tiny: sqrt, 100,000", square_root, lambda: range(100_000)),
        of("tiny: n + 1, a generator", add_one, lambda: iter(range(50_000))),
        of("words of lines", word_count, lambda: ["some words of a line"] * 50_000),
        of("10 µs tasks", spin, lambda: [1e-5] * 20_000),
        of("100 µs tasks", spin, lambda: [1e-4] * 3_000),
        of("1 ms tasks", spin, lambda: [1e-3] * 500),
        of("1 ms tasks, a generator", spin, lambda: iter([1e-3] * 500)),
        of("20 ms tasks", spin, lambda: [2e-2] * 30),
        of("few: four of 5 ms", spin, lambda: [5e-3] * 4),
        of("few: two of 400 ms", spin, lambda: [0.4] * 2),
        of("one item of 100 ms", spin, lambda: [0.1]),
        of("10 ms of work in all", spin, lambda: [1e-3] * 10),
        of("sleeps of 5 ms", wait, lambda: [5e-3] * 100),
        of("sleeps of 50 ms, ten", wait, lambda: [5e-2] * 10),
        of("requests to a slow server", ask, lambda: [address] * 60),
        of("sha256 of 4 MB", digest, partial(blobs, 60, 4_000_000)),
        of("sha256 of 64 kB", digest, partial(blobs, 2_000, 64_000)),
        of("zlib of 1 MB", deflate, partial(blobs, 20, 1_000_000)),
        of("numpy: sum of 8 MB", array_sum, partial(arrays, 40, 1_000_000), "numpy"),
        of("numpy: sort of 1.6 MB", array_work, partial(arrays, 40, 200_000), "numpy"),
        of("numpy: BLAS product", product, lambda: [500] * 30, "numpy"),
        of("small argument, 8 MB result", ones, lambda: [1_000_000] * 60, "numpy"),
        of("small argument, list of 100,000", numbers, lambda: [100_000] * 60),
        of("skewed durations", spin, lambda: list(skew)),
        of("durations that grow", late, lambda: range(300)),
        of("durations that shrink", late, lambda: range(300, 0, -1)),
        of("a function that can't be pickled", with_a_lock, lambda: range(200)),
        of("a closure with a large table", table.look, lambda: range(0, 200_000, 20)),
        of("rows of a data frame", frame_row, partial(rows, 50_000), "pandas"),
    ]
