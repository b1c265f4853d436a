"""`allcores run --backend native`: Python reads and writes records, the function is compiled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from support import scripts
from support.commands import Folder

NUMERIC = """
    import sys

    def collatz(n):
        steps = 0
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            steps += 1
        return steps

    def halves(a, b):
        if b < 0:
            raise ValueError("below zero")
        return a / 2, [b] * 2, a * b

    def endless(n):
        while n:
            pass
        return n

    def says(n):
        print(n)

    print("imported", file=sys.stderr, flush=True)
"""


@pytest.fixture
def numeric(folder: Folder) -> Folder:
    folder.write("numeric.py", NUMERIC)
    return folder


RUN = ("--backend", "native", "-o", "out.jsonl")


def test_results_are_those_of_python(numeric: Folder) -> None:
    numeric.json_lines("in.jsonl", range(1, 1000))
    assert numeric.run("run", "numeric:collatz", "in.jsonl", *RUN).code == 0
    ended = numeric.run(
        "run", "numeric:collatz", "in.jsonl", "-o", "serial.jsonl", "--backend", "serial"
    )
    assert ended.code == 0
    assert numeric.text("out.jsonl") == numeric.text("serial.jsonl")


def test_arguments_are_unpacked_and_failures_listed(numeric: Folder) -> None:
    numeric.json_lines("in.jsonl", [[3, 0.5], [1, -1], [10**30, 2]])
    ended = numeric.run("run", "numeric:halves", "in.jsonl", *RUN, "--args", "unpack")
    assert ended.code == 1
    assert numeric.values("out.jsonl") == [
        [1.5, [0.5, 0.5], 1.5],
        [5e29, [2, 2], 2 * 10**30],
    ]
    [failed] = numeric.values("out.jsonl.errors.jsonl")
    assert (failed["index"], failed["type"], failed["message"]) == (1, "ValueError", "below zero")


def test_limit_stops_a_call_and_the_others_go_on(numeric: Folder) -> None:
    numeric.json_lines("in.jsonl", [0, 3, 0])
    ended = numeric.run("run", "numeric:endless", "in.jsonl", *RUN, "--timeout", "0.2")
    assert ended.code == 1
    assert numeric.values("out.jsonl") == [0, 0]
    [failed] = numeric.values("out.jsonl.errors.jsonl")
    assert (failed["index"], failed["type"]) == (1, "TaskTimeout")


def test_limit_of_a_function_that_runs_in_python_is_refused(numeric: Folder) -> None:
    numeric.json_lines("in.jsonl", [1])
    ended = numeric.run("run", "numeric:says", "in.jsonl", *RUN, "--timeout", "1")
    assert ended.code == 2
    assert "could not be kept on backend `native`: the function runs in Python" in ended.said


def threads(process: int) -> list[str]:
    """Their names: one watches as long as machine code runs."""
    found = []
    for path in Path(f"/proc/{process}/task").glob("*/comm"):
        with suppress(OSError):  # it has ended
            found.append(path.read_text().strip())
    return found


def test_ctrl_c_ends_machine_code(numeric: Folder) -> None:
    numeric.json_lines("in.jsonl", [0, 1, 2, 3])
    with subprocess.Popen(
        [sys.executable, "-m", "allcores", "run", "numeric:endless", "in.jsonl", *RUN],
        cwd=numeric.path,
        stderr=subprocess.PIPE,
        text=True,
        env=scripts.environment(),
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "imported\n"
        while Path("/proc/self/task").exists() and "allcores-watch" not in threads(process.pid):
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130, said
    assert said.startswith("allcores: interrupted")
