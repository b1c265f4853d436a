"""Plays rounds in one process and tells of them on a pipe, a line of JSON each.

    {"round": 7}                  it begins
    (empty lines)                 something went on
    {"round": 7, "tasks": ...}    its account

It ends after the round in which its time is up. A task without an outcome leaves the process in an
unknown state: it shows its stacks, tells, and ends.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import gc
import json
import os
import sys
import warnings
from collections.abc import Iterable
from time import monotonic

from support import leaks, processes

from soak import plan as plans
from soak.game import Game
from soak.ledger import Ledger
from soak.verdict import judge

UNFIT_TO_GO_ON = 3


def play_round(seed: str, number: int, told: int) -> bool:
    """Plays one round and tells of it; whether this process can go on."""
    say(told, {"round": number})
    before = leaks.Holdings.now()
    ledger = Ledger()
    try:
        plan = plans.make(seed, number, ledger.path)
        game = Game(plan, ledger, lambda: _beat(told))
        game.play()
        _beat(told)
        workers = {record.pid for record in ledger.read_on()}
        # Who still runs may still write.
        processes.wait_until_gone(workers & processes.descendants(os.getpid()), 10.0)
        verdict = judge(plan, game.entries, ledger.read_on(), game.killed)
    finally:
        ledger.close()
    if verdict.lost:
        faulthandler.dump_traceback(all_threads=True)
    del game
    gc.collect()
    left = leaks.left_over_since(before)
    # Not `asdict`, which in Python 3.11 makes a `Counter` of pairs.
    account = {each.name: getattr(verdict, each.name) for each in dataclasses.fields(verdict)}
    account["violations"] += [f"left over: {each}" for each in left]
    say(told, {"round": number, "plan": _summary(plan), "left": len(left), **account})
    return not verdict.lost and not left


def _summary(plan: plans.Plan) -> str:
    return f"{plan.pool}, ending {plan.ending!r}, {'early' if plan.early else 'late'}"


def say(told: int, what: dict[str, object]) -> None:
    _write(told, json.dumps(what).encode() + b"\n")


def _beat(told: int) -> None:
    _write(told, b"\n")


def _write(told: int, data: bytes) -> None:
    while data:
        data = data[os.write(told, data) :]


def main(seed: str, rounds: Iterable[int], until: float, told: int) -> int:
    faulthandler.enable()
    # A worker that crashes has a black box of its own, or says nothing.
    os.register_at_fork(after_in_child=faulthandler.disable)
    leaks.adopt_orphans()
    # Forking with threads is what this is about.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    for number in rounds:
        if monotonic() > until:
            break
        if not play_round(seed, number, told):
            return UNFIT_TO_GO_ON
    return 0


if __name__ == "__main__":
    _, seed_, first, last, until_, told_ = sys.argv
    sys.exit(main(seed_, range(int(first), int(last)), float(until_), int(told_)))
