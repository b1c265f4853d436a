"""Programs that the test watches, interrupts and kills while they run, as a terminal does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import processes, scripts


class Program:
    """A running program, in a session and process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes], words: Path) -> None:
        self._process = process
        self._words = words
        self.pid = process.pid

    def interrupt(self) -> None:
        """What Ctrl-C does: SIGINT to all processes of the group."""
        os.killpg(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """Kills the program itself, nobody else."""
        self._process.kill()

    def finish(self) -> scripts.Result:
        """Waits for its end: the exit code, and all that it and its workers wrote."""
        code = self._process.wait(scripts.LIMIT_SECONDS)
        return scripts.Result(code, self._words.read_text(errors="replace"))


@contextmanager
def started(source: str, folder: Path) -> Iterator[Program]:
    """A program that runs `source`; what is left of it at the end is killed."""
    script, words = folder / "program.py", folder / "words"
    script.write_text(textwrap.dedent(source))
    with words.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=scripts.environment(),
            start_new_session=True,
        )
    try:
        yield Program(process, words)
    finally:
        if process.poll() is None:
            processes.kill([*processes.descendants(process.pid), process.pid])
            process.wait()
