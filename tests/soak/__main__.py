"""Loads pools of every kind while their workers are killed, and accounts for every task.

    python -m soak --minutes 5                   # the folder `tests` must be on PYTHONPATH
    python -m soak --seed 42 --round 17 --times 50

Exit code 1 if anything was lost, wrong, left over or hung.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from support import processes

HANG_SECONDS = 60.0
UNFIT_TO_GO_ON = 3
"""The exit code of a player that has told of what it can't go on after."""
ENDLESS = 1 << 31
LAST_WORDS_SECONDS = 5.0
SHOWN = 20


@dataclass(slots=True)
class Account:
    """All rounds together."""

    seed: str
    rounds: int = 0
    tasks: int = 0
    lost: int = 0
    killed: int = 0
    died: int = 0
    stopped: int = 0
    started_again: int = 0
    left: int = 0
    hangs: int = 0
    crashes: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, told: dict[str, Any]) -> None:
        self.rounds += 1
        for name in ("tasks", "lost", "killed", "died", "stopped", "started_again", "left"):
            setattr(self, name, getattr(self, name) + told[name])
        self.outcomes.update(told["outcomes"])
        for each in told["violations"]:
            self.accuse(told["round"], f"{each}\n    {told['plan']}")

    def accuse(self, number: int, what: str) -> None:
        violation = f"round {number}: {what}"
        self.violations.append(violation)
        if len(self.violations) <= SHOWN:
            print(f"{violation}\n    again: --seed {self.seed} --round {number}", flush=True)

    @property
    def is_good(self) -> bool:
        return self.tasks > 0 and not self.violations


class Player:
    """A process that plays rounds from `first` to before `last`, seen from outside."""

    def __init__(self, seed: str, first: int, last: int, until: float) -> None:
        self.current = first
        self._heard, told = os.pipe()
        self._words = b""
        numbers = map(str, (first, last, until, told))
        command = [sys.executable, "-m", "soak.player", seed, *numbers]
        self._process = subprocess.Popen(command, pass_fds=[told])
        os.close(told)

    def hear(self, account: Account) -> int:
        """Listens until the process ends, or hangs; its exit code."""
        while select.select([self._heard], [], [], HANG_SECONDS)[0]:
            data = os.read(self._heard, 1 << 20)
            if not data:
                return self._process.wait()
            self._take(account, data)
        account.hangs += 1
        account.accuse(self.current, f"nothing went on for {HANG_SECONDS:g} s")
        self._show_stacks()
        return UNFIT_TO_GO_ON

    def _take(self, account: Account, data: bytes) -> None:
        *lines, self._words = (self._words + data).split(b"\n")
        for line in filter(None, lines):
            told = json.loads(line)
            self.current = told["round"]
            if "tasks" in told:
                account.add(told)

    def _show_stacks(self) -> None:
        """faulthandler shows the player's stacks when it aborts; of the others, what they wait
        for."""
        for pid in sorted(processes.descendants(self._process.pid)):
            where = Path(f"/proc/{pid}/wchan")
            words = where.read_text() if where.exists() else ""
            print(f"    process {pid} {processes.command_line(pid)[:60]} waits in {words}")
        self._process.send_signal(signal.SIGABRT)
        self._process.wait()

    def end(self) -> None:
        """Ends it and everything it started."""
        left = processes.descendants(self._process.pid)
        processes.kill([self._process.pid] if self._process.poll() is None else [])
        self._process.wait()
        processes.wait_until_gone(left, LAST_WORDS_SECONDS)
        processes.kill(left & _ours())
        os.close(self._heard)


def _ours() -> set[int]:
    return processes.descendants(os.getpid())


def run(seed: str, seconds: float, only: int | None, times: int) -> Account:
    """Plays rounds until the time is up; or one round, some times."""
    account = Account(seed)
    until = monotonic() + seconds if only is None else float("inf")
    number = played = 0
    while monotonic() < until and (only is None or played < times):
        player = Player(seed, number, ENDLESS, until) if only is None else one(seed, only)
        try:
            code = player.hear(account)
        finally:
            player.end()
        if code not in (0, UNFIT_TO_GO_ON):
            account.crashes += 1
            account.accuse(player.current, f"the playing process ended with `{code}`")
        number, played = player.current + 1, played + 1
    return account


def one(seed: str, number: int) -> Player:
    """A process that plays just this round."""
    return Player(seed, number, number + 1, float("inf"))


def report(account: Account, seconds: float) -> str:
    killed = account.killed + account.died
    outcomes = ", ".join(f"{count} {name}" for name, count in account.outcomes.most_common())
    rows = {
        "rounds": f"{account.rounds} in {seconds:.0f} s",
        "tasks run": f"{account.tasks} ({outcomes})",
        "workers killed": f"{killed} ({account.killed} from outside, {account.died} by their task)",
        "tasks stopped": account.stopped,
        "items run again": f"{account.started_again} (had ended, result not handed over)",
        "tasks lost": account.lost,
        "hangs": account.hangs,
        "crashes": account.crashes,
        "left over": f"{account.left} (processes, descriptors, mappings, threads, /dev/shm)",
        "violations": len(account.violations),
        "seed": account.seed,
    }
    return "\n".join(f"{name:16}{value}" for name, value in rows.items())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, help="instead of --minutes")
    parser.add_argument("--seed", default=None, help="repeats the decisions of an earlier run")
    parser.add_argument("--round", type=int, default=None, help="plays only this round")
    parser.add_argument("--times", type=int, default=1, help="how often, with --round")
    parser.add_argument("--json", type=Path, default=None, help="writes the account there")
    options = parser.parse_args()
    seed = options.seed or str(random.SystemRandom().randrange(2**32))
    seconds = options.seconds if options.seconds is not None else options.minutes * 60
    print(f"soak: seed {seed}", flush=True)
    started = monotonic()
    account = run(seed, seconds, options.round, options.times)
    took = monotonic() - started
    print(report(account, took))
    if options.json is not None:
        fields = {name: getattr(account, name) for name in Account.__slots__}
        options.json.write_text(json.dumps({**fields, "seconds": took}, indent=1) + "\n")
    return 0 if account.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
