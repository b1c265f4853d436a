"""Runs the command `allcores` as users do, in a folder of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import scripts

MODULE = """
import json, os, sys

def same(value):
    return value

def double(value):
    return value * 2

def upper(text):
    return text.upper()

def add(a, b):
    return a + b

def odd(value):
    if value % 2 == 0:
        raise ValueError(f"{value} is even")
    return value

def loud(value):
    print("printed", value)
    os.write(1, b"written\\n")
    return value

number = 7

async def later(value):
    return value
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command has ended."""

    code: int
    out: str
    said: str


class Folder:
    """A folder with a module `work`, in which commands are run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("work.py", MODULE)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.path / name
        if isinstance(content, str):
            content = textwrap.dedent(content).encode(errors="surrogatepass")
        path.write_bytes(content)
        return path

    def json_lines(self, name: str, values: Iterable[object]) -> Path:
        return self.write(name, "".join(f"{json.dumps(value)}\n" for value in values))

    def values(self, name: str) -> list[Any]:
        return [json.loads(line) for line in (self.path / name).read_text().splitlines()]

    def text(self, name: str) -> str:
        return (self.path / name).read_text()

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    def names(self) -> list[str]:
        """What is there beside the module."""
        hidden = ("work.py", "__pycache__")
        return sorted(each.name for each in self.path.iterdir() if each.name not in hidden)

    def run(
        self,
        *arguments: str,
        given: bytes = b"",
        before: str = "",
        behind: str = "",
    ) -> Ended:
        """Runs `allcores` with these arguments, through a shell if something is `before` or
        `behind` it.
        """
        command = [sys.executable, "-m", "allcores", *arguments]
        if before or behind:
            command = ["bash", "-c", f'{before} "$@" {behind}', "bash", *command]
        ended = subprocess.run(
            command,
            cwd=self.path,
            input=given,
            capture_output=True,
            timeout=scripts.LIMIT_SECONDS,
            env=scripts.environment(),
            check=False,
        )
        return Ended(ended.returncode, ended.stdout.decode(), self.shown(ended.stderr.decode()))

    def shown(self, words: str) -> str:
        """Words without what differs from machine to machine."""
        words = words.replace(str(self.path), "HERE")
        return words.replace(sys.executable, "PYTHON").replace(Path(sys.executable).name, "python")
