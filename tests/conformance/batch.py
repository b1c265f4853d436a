"""Runs the tests of one class in a process; the rest run in another when a test ends that one.

This process makes itself the one that orphans are handed to (Linux: child subreaper), so that
everything a class left behind, fork servers and grandchildren too, is a child here and can be
waited for, named and ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

CHILD = Path(__file__).with_name("child.py")
GRACE_SECONDS = 5.0
SET_CHILD_SUBREAPER = 36


@dataclass(slots=True)
class Outcome:
    """What became of the tests: test → words, by outcome."""

    passed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    left_over: list[str] = field(default_factory=list)

    def knows(self, test: str) -> bool:
        return test in self.passed or test in self.skipped or test in self.failed


def adopt_orphans() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot become the reaper of orphans")


def run(
    python: str,
    tests: list[str],
    environment: dict[str, str],
    limit: float,
    scratch: Path,
    outcome: Outcome,
) -> None:
    """Runs `tests`, which are of one class, and adds to `outcome`; each of them has an entry
    afterwards."""
    while tests:
        _run_once(python, tests, environment, limit, scratch, outcome)
        # What is unknown still was cut off by the test that ended the process: that one is known,
        # so this loop ends.
        tests = [test for test in tests if not outcome.knows(test)]


def _run_once(
    python: str,
    tests: list[str],
    environment: dict[str, str],
    limit: float,
    scratch: Path,
    outcome: Outcome,
) -> None:
    log, output = scratch / "log", scratch / "output"
    log.write_text("")
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [python, str(CHILD), "run", str(log), str(limit), *tests],
            env=environment,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_interruptible,
        )
    try:
        code = process.wait(limit * (len(tests) + 2))
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    running, ended = None, False
    for line in log.read_text().splitlines():
        record = json.loads(line)
        event, test = record["event"], record["test"]
        if event == "start":
            running = test
        elif event == "end":
            ended = True
        elif event == "skipped all of":
            outcome.skipped.update(
                {each: record["words"] for each in tests if not outcome.knows(each)}
            )
        else:
            getattr(outcome, event)[test] = record["words"]
            running = None
    if code or not ended:
        words = f"the process ended with {code}\n" + output.read_text(errors="replace")[-8000:]
        unknown = [test for test in tests if not outcome.knows(test)]
        outcome.failed[
            running or (unknown[0] if unknown else f"leaving the process after {tests[-1]}")
        ] = words
    elif unknown := [test for test in tests if not outcome.knows(test)]:
        outcome.failed.update(dict.fromkeys(unknown, "did not run"))
    outcome.left_over += [
        f"after {tests[0].rpartition('.')[0]}: {command}" for command in end_orphans()
    ]


def _interruptible() -> None:
    """A runner in the background ignores SIGINT, and so would its children; some tests interrupt
    themselves."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def end_orphans() -> list[str]:
    """Waits for every child of this process; ends those that stay, and returns their command
    lines."""
    deadline, stayed = monotonic() + GRACE_SECONDS, []
    for pid in iter(_first_child, None):
        handle = os.pidfd_open(pid)
        try:
            if not select.select([handle], [], [], max(0.0, deadline - monotonic()))[0]:
                stayed.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip())
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        finally:
            os.close(handle)
    return stayed


def _first_child() -> int | None:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return int(children[0]) if children else None


if not sys.platform.startswith("linux"):
    raise SystemExit("this runner needs Linux: it adopts orphans and waits on process descriptors")
