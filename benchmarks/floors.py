"""What does this machine ask for the parts of which every answer is made?

No engine can be below these: bytes have to be pickled, copied once and read, somebody has to be
woken up, a process has to be made. Each floor stands beside the question that it is the floor of.
It is measured alone and warm, so a real engine, which does several of these things for a task, can
come near some of them only.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from benchmarks.peers import WORKERS, Pool
from benchmarks.question import Column, Question, Sizes, Values
from benchmarks.report import OURS, Answer, figure, load
from benchmarks.tasks import lognormal_seconds

LENGTHS = {"8 KB": 8 << 10, "1 MB": 1 << 20, "64 MB": 64 << 20}


def _same(value: float) -> float:
    return value


@dataclass(frozen=True, slots=True)
class Floor:
    """One figure, and the question and column in which we stand over it."""

    key: str
    words: str
    question: str
    column: str
    ours: Callable[[float], float] = _same
    """Our figure in the floor's unit."""
    better: str = "less"


def _per_task_us(rate: float) -> float:
    return 1e6 / rate


FLOORS = (
    Floor(
        "call_us",
        "pickling a call and its result, both ways, µs",
        "tiny_submit",
        "tasks_per_s",
        _per_task_us,
    ),
    Floor("pipe_us", "a byte through a pipe and back, µs", "latency", "p50_us"),
    Floor("socket_us", "a byte through a socket and back, µs", "latency", "p50_us"),
    Floor(
        "number_us",
        "pickling a number of a list and its result, both ways, µs",
        "tiny_map",
        "default",
        _per_task_us,
    ),
    Floor(
        "greedy",
        "unequal tasks, each in its turn to the first free worker at no cost, over ideal",
        "skewed",
        "over_ideal",
    ),
    *(
        Floor(
            f"{work} {label}",
            f"{words} {label}, GB/s",
            "payload",
            f"bytes {label} in",
            _same,
            "more",
        )
        for work, words in (
            ("copy", "one copy into warm memory of"),
            ("pickle", "pickling and unpickling bytes of"),
        )
        for label in LENGTHS
    ),
    Floor("fork_ms", "a fork of a small process that exits, ms", "cold_start", "result_ms"),
    Floor("start_s", "the interpreter's own start and end, s", "cold_start", "wall_s"),
)


def measure(pool: Pool, sizes: Sizes) -> Values:
    """Everything once, as a median of many; `pool` has no part in it."""
    many = sizes["many"]
    durations = lognormal_seconds(200, 1.5, 2.4)
    numbers = list(range(10_000))
    values: Values = {
        "call_us": _seconds(lambda: _pickled(_pickled(((1,), {}))[0]), many) * 1e6,
        "number_us": _seconds(lambda: _pickled(_pickled(numbers)), 20) / len(numbers) * 1e6,
        "pipe_us": _trip(_pipes, many) * 1e6,
        "socket_us": _trip(_sockets, many) * 1e6,
        "greedy": greedy(durations) / max(sum(durations) / WORKERS, *durations),
        "fork_ms": _seconds(_fork, 20) * 1e3,
        "start_s": _seconds(_start, sizes["starts"]),
    }
    for label, length in LENGTHS.items():
        data, room = os.urandom(length), memoryview(bytearray(length))
        repeats = max(min(many, (256 << 20) // length), 5)
        values[f"copy {label}"] = length / _seconds(partial(_copy, data, room), repeats) / 1e9
        values[f"pickle {label}"] = length / _seconds(partial(_pickled, data), repeats) / 1e9
    return values


def greedy(durations: list[float]) -> float:
    """When the last task ends if each starts, in order, on the worker that is free first."""
    free_at = [0.0] * WORKERS
    for seconds in durations:
        first = free_at.index(min(free_at))
        free_at[first] += seconds
    return max(free_at)


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """The median, after one that does not count."""
    work()
    took = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return median(took)


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value, 5))


def _copy(data: bytes, room: memoryview) -> None:
    room[:] = data


def _fork() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def _start() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def _pipes() -> tuple[int, int, int, int]:
    there, ours = os.pipe()
    mine, back = os.pipe()
    return ours, mine, there, back


def _sockets() -> tuple[int, int, int, int]:
    ours, theirs = (end.detach() for end in socket.socketpair())
    return ours, ours, theirs, theirs


def _trip(made: Callable[[], tuple[int, int, int, int]], trips: int) -> float:
    """A byte to a process that sends it back."""
    write_end, read_end, there, back = made()
    child = os.fork()
    if not child:
        os.close(write_end)
        while byte := os.read(there, 1):
            os.write(back, byte)
        os._exit(0)
    for end in {there, back}:
        os.close(end)

    def trip() -> None:
        os.write(write_end, b"x")
        os.read(read_end, 1)

    took = _seconds(trip, trips)
    for end in {write_end, read_end}:
        os.close(end)
    os.waitpid(child, 0)
    return took


def show(answer: Answer) -> str:
    """One line a floor: what it is, where it counts, and how far above it we stand."""
    lines = [
        answer.question.how,
        "",
        "| floor | | question | allcores there | times the floor |",
        "| --- | ---: | --- | ---: | ---: |",
    ]
    (rounds,) = answer.rounds.values()
    for floor in FLOORS:
        found = median(values[floor.key] for values in rounds)
        asked = load(floor.question)
        raw = asked.median(OURS, floor.column) if asked else None
        ours = floor.ours(raw) if raw else None
        times = ours and (found / ours if floor.better == "more" else ours / found)
        shown = (figure(ours), figure(times)) if ours and times else ("-", "-")
        lines.append(
            f"| {floor.words} | {figure(found)} | `{floor.question}` | {' | '.join(shown)} |"
        )
    return "\n".join([*lines, "", f"{len(rounds)} rounds, {answer.record['seconds']:.0f} s."])


QUESTION = Question(
    name="floors",
    title="Floors",
    how=(
        "What no engine can be below on this machine, each measured alone, beside our figure where "
        "it counts. Times the floor: 1 is all that can be had; where a copy or a pickle is the "
        "floor the task's own reading comes on top, and below 1 we do without that part."
    ),
    columns=tuple(Column(floor.key, floor.words, "neither") for floor in FLOORS),
    peers=("serial",),
    sizes={"many": 2_000, "starts": 15},
    trial_sizes={"many": 50, "starts": 2},
    rounds=3,
    measure=measure,
    show=show,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
