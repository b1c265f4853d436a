"""Asks every peer one question, round by round: each round of each peer is a fresh child
interpreter.

Rounds are interleaved (and start with another peer each time), so that noise of the machine hits
all peers alike. No rival idles in the background while one is measured. A peer that fails, returns
a wrong value or exceeds the time limit is recorded as such and not asked again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.child import CLOSE_HUNG, without_paths
from benchmarks.machine import describe
from benchmarks.peers import WORKERS, missing
from benchmarks.question import Question

ROOT = Path(__file__).resolve().parent.parent
COLD_JOBS = {"cold_start": "first", "gcd_cold": "gcd", "pool_rows": "row"}


@dataclass(slots=True)
class Outcome:
    """What one child said."""

    wall_s: float
    values: dict[str, Any]
    failed: str | None


def ask(question: Question, rounds: int, peers: tuple[str, ...], *, trial: bool) -> dict[str, Any]:
    """All rounds; the record that becomes JSON."""
    machine = describe()
    failed: dict[str, str] = {}
    for peer in peers:
        if module := missing(peer):
            failed[peer] = f"{module} is not installed"
            print(
                f"!!! {question.name}: {module} is NOT INSTALLED, {peer} is not measured",
                file=sys.stderr,
            )

    records: list[dict[str, Any]] = []
    started = time.monotonic()
    for number in range(rounds):
        elapsed = time.monotonic() - started
        if (
            number >= question.rounds_at_least
            and elapsed * (number + 1) / number > question.budget_s
        ):
            print(f"{question.name}: no time for another round", file=sys.stderr)
            break
        turn = number % len(peers)
        for peer in peers[turn:] + peers[:turn]:
            if peer in failed:
                continue
            outcome = one_round(question, peer, trial=trial)
            if outcome.failed:
                failed[peer] = outcome.failed
                print(f"!!! {question.name}: {peer}: {outcome.failed}", file=sys.stderr)
            else:
                records.append({"round": number, "peer": peer, **outcome.values})
        print(
            f"{question.name}: round {number + 1} of {rounds}, {time.monotonic() - started:.0f} s",
            file=sys.stderr,
        )
    return {
        "question": question.name,
        "title": question.title,
        "trial": trial,
        "workers": WORKERS,
        "sizes": question.trial_sizes if trial else question.sizes,
        "sizes_of": {} if trial else question.sizes_of,
        "seconds": round(time.monotonic() - started, 1),
        "machine": machine,
        "peers": list(peers),
        "failed": failed,
        "rounds": records,
    }


def one_round(question: Question, peer: str, *, trial: bool) -> Outcome:
    """One child from its start to the end of the last process of its group."""
    with tempfile.TemporaryDirectory() as scratch:
        report, noise = Path(scratch, "report"), Path(scratch, "noise")
        if question.name in COLD_JOBS:
            command = ["benchmarks.cold_child", COLD_JOBS[question.name], peer, str(report)]
        else:
            sizes = json.dumps(question.sizes_for(peer, trial=trial))
            command = ["benchmarks.child", question.name, peer, sizes, str(report)]
        with noise.open("wb") as sink:
            wall_s, status, timed_out = run(
                [sys.executable, "-m", *command], sink.fileno(), question.limit_s
            )
        last_words = noise.read_text(errors="replace").splitlines()[-1:]
        lines = report.read_text().splitlines() if report.exists() else []

    said = {key: value for line in lines for key, value in json.loads(line).items()}
    clean_up(said.get("shared_memory", ()))
    values = said.get("values")
    if values is None:
        why = f"more than {question.limit_s:.0f} s"
        if not timed_out:
            why = ": ".join([f"exit status {status}", *last_words])
        return Outcome(wall_s, {}, without_paths(said.get("failed", why)))
    values["wall_s"] = wall_s
    if timed_out or status != 0:
        values["afterwards"] = (
            "shutdown hung" if timed_out or status == CLOSE_HUNG else f"exit status {status}"
        )
    return Outcome(wall_s, values, None)


def run(command: list[str], sink: int, limit_s: float) -> tuple[float, int, bool]:
    """Wall time, exit status, and whether the limit ended it. Nothing of the child's process
    group survives.
    """
    paths = [str(ROOT / "examples" / "gcd"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    timed_out = threading.Event()
    start = time.perf_counter()
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=sink,
        start_new_session=True,
    )

    def stop() -> None:
        timed_out.set()
        child.kill()

    limit = threading.Timer(limit_s, stop)
    limit.start()
    try:
        status = child.wait()
        wall_s = time.perf_counter() - start
    finally:
        limit.cancel()
        end_group(child.pid)
    return wall_s, status, timed_out.is_set()


def clean_up(names: list[str]) -> None:
    """Removes what a peer with named shared memory left behind when it was killed."""
    for name in names:
        for path in Path("/dev/shm").glob(name.lstrip("/")):
            with suppress(OSError):
                path.unlink()


def end_group(group: int, patience_s: float = 1.0) -> None:
    """Lets helpers (resource trackers, fork servers) leave by themselves, then kills what is
    left.
    """
    end = time.monotonic() + patience_s
    with suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(group, 0)
            time.sleep(0.01)
        os.killpg(group, signal.SIGKILL)
