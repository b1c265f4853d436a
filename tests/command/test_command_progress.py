"""What a terminal shows, and that nothing else does."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

from support import scripts
from support.commands import Folder


def on_terminal(folder: Folder, *arguments: str) -> tuple[int, str]:
    """The exit code, and what a terminal gets that is standard error."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "allcores", *arguments],
        cwd=folder.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=scripts.environment(),
    )
    os.close(theirs)
    shown = b""
    try:
        while some := os.read(ours, 1 << 16):
            shown += some
    except OSError:  # nobody holds the other end any more
        pass
    finally:
        os.close(ours)
    return process.wait(scripts.LIMIT_SECONDS), shown.decode()


SLOW = """
    import time

    def fn(value):
        time.sleep(0.02)
        if value == 3: raise ValueError("three")
        return value
"""


def test_terminal_shows_items_rate_failures_and_the_time_left(folder: Folder) -> None:
    folder.write("slow.py", SLOW)
    folder.json_lines("in.jsonl", range(60))
    code, shown = on_terminal(
        folder, "run", "slow:fn", "in.jsonl", "-o", "out.jsonl", "--limit", "60", "-j", "1"
    )
    assert code == 1
    line = r"\r\d+ of 60 items · \d+ % · [\d.]+/s · 1 failed · \d+:\d\d left\x1b\[K"
    assert re.search(line, shown)
    assert re.search(r"\r\x1b\[K60 items, in \d+:\d\d, [\d.]+/s, 1 failed\r\n", shown)
    assert "line 4 of `in.jsonl`: ValueError: three" in shown


def test_quiet_run_shows_nothing_on_a_terminal(folder: Folder) -> None:
    folder.json_lines("in.jsonl", range(3))
    assert on_terminal(folder, "run", "work:same", "in.jsonl", "--quiet") == (0, "")
