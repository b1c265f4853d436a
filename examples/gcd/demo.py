"""Runs the four scripts in turn and prints one table: what does the same job cost, done in four
ways?

Each run is a fresh interpreter, and each script times itself from before its pool exists until its
pool is gone: what a user waits for. The rounds are interleaved, so that a busy moment of the
machine hits all four alike. The table goes to stdout, everything else to stderr. Exit code 1 if any
result is wrong or a script fails.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from gcd import NUMBERS

SCRIPTS = {
    "serial": "serial.py",
    "threads": "threads.py",
    "standard processes": "processes.py",
    "allcores": "processes_allcores.py",
}
RIGHT = [math.gcd(a, b) for a, b in NUMBERS]


def run(script: str) -> tuple[float, bool]:
    """Seconds of one run, and whether all ten results are right."""
    path = Path(__file__).with_name(script)
    done = subprocess.run(
        [sys.executable, str(path)], stdout=subprocess.PIPE, text=True, timeout=120, check=True
    )
    seconds, results = done.stdout.splitlines()
    return float(seconds), json.loads(results) == RIGHT


def main() -> int:
    parser = argparse.ArgumentParser(
        description="ten pairs of numbers: serial, threads, standard processes, allcores"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="runs of each way; the median is shown (default: 3)"
    )
    rounds = max(1, parser.parse_args().rounds)

    ways = dict(SCRIPTS)
    if find_spec("allcores") is None:
        print("!!! allcores is NOT INSTALLED: its row is missing from this table", file=sys.stderr)
        del ways["allcores"]

    seconds: dict[str, list[float]] = {way: [] for way in ways}
    right: dict[str, bool] = dict.fromkeys(ways, True)
    for number in range(1, rounds + 1):
        for way, script in ways.items():
            print(f"round {number} of {rounds}: {way}", file=sys.stderr)
            took, equal = run(script)
            seconds[way].append(took)
            right[way] &= equal

    serial = median(seconds["serial"])
    print(f"{'two workers':20} {'seconds':>8} {'speed-up':>9}   all ten results equal math.gcd")
    for way in ways:
        took = median(seconds[way])
        print(f"{way:20} {took:8.3f} {serial / took:8.2f}x   {'yes' if right[way] else 'NO'}")
    return 0 if all(right.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
