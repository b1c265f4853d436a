"""Runs a program as users do: a file, `-c`, standard input, an interactive session, a notebook's
kernel.

Each is a new interpreter that finds the tests' `support` and the packages that this interpreter
sees.
"""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from support import processes

LIMIT_SECONDS = 50.0
TESTS = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    words: str


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    paths = [str(TESTS), *(path for path in sys.path if path.endswith(("python", "site-packages")))]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**inherited, "PYTHONPATH": os.pathsep.join(paths), **(more or {})}


def run(arguments: list[str], given: str = "", more: Mapping[str, str] | None = None) -> Result:
    """The exit code, and everything the program and its workers wrote."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as source:
        source.write(given.encode())
        source.seek(0)
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=source,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(more),
        )
        try:
            code = process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            processes.kill([*processes.descendants(process.pid), process.pid])
            process.wait()
            code = -1000
        output.seek(0)
        return Result(code, output.read().decode(errors="replace"))


def run_file(source: str, more: Mapping[str, str] | None = None) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program.py")
        path.write_text(textwrap.dedent(source))
        return run([str(path)], more=more)


def run_command(source: str, more: Mapping[str, str] | None = None) -> Result:
    return run(["-c", textwrap.dedent(source)], more=more)


def run_stdin(source: str, more: Mapping[str, str] | None = None) -> Result:
    return run(["-"], textwrap.dedent(source), more=more)


def run_notebook(source: str, more: Mapping[str, str] | None = None) -> Result:
    """Cells, separated by blank lines, in the shell that Jupyter's kernel runs, else in the
    standard console."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cells.txt")
        path.write_text(textwrap.dedent(source))
        return run(["-m", "support.kernel", str(path)], more={**(more or {}), "IPYTHONDIR": folder})


def run_interactively(source: str, more: Mapping[str, str] | None = None) -> Result:
    """Feeds the lines to `python -i` over a terminal; a blank line ends a block, as when it is
    typed."""
    controller, terminal = pty.openpty()
    extra = {"TERM": "dumb", "PYTHON_BASIC_REPL": "1", **(more or {})}
    process = subprocess.Popen(
        [sys.executable, "-i", "-q"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment(extra),
        start_new_session=True,
    )
    os.close(terminal)
    handle = os.pidfd_open(process.pid)
    words, unsaid, deadline = (
        b"",
        (textwrap.dedent(source).strip() + "\n\nexit()\n").encode(),
        monotonic() + LIMIT_SECONDS,
    )
    try:
        while monotonic() < deadline:
            readable, writable, _ = select.select(
                [controller, handle], [controller] if unsaid else [], [], LIMIT_SECONDS
            )
            if controller in readable:
                try:
                    words += os.read(controller, 65536)
                except OSError:  # the terminal's other side is closed
                    break
            elif handle in readable:
                break
            elif writable:
                line, _, unsaid = unsaid.partition(b"\n")
                os.write(controller, line + b"\n")
    finally:
        if not select.select([handle], [], [], max(0.0, deadline - monotonic()))[0]:
            processes.kill([*processes.descendants(process.pid), process.pid])
        os.close(handle)
        os.close(controller)
    return Result(process.wait(), words.decode(errors="replace").replace("\r\n", "\n"))
