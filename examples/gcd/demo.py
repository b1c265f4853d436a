"""What does the same job cost, done in many ways? Prints two tables and writes a page.

First five scripts run in turn, each a whole program of its own. Then `allcores.compare` runs the
ladder within this one, with the leverage and its verdict, and writes it all to `out/gcd.html`.

Each run is a fresh interpreter, and each script times itself from before its pool exists until its
pool is gone: what a user waits for. The rounds are interleaved, so that a busy moment of the
machine hits all alike. The table goes to stdout, everything else to stderr. Exit code 1 if any
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

from gcd import NUMBERS, gcd

SCRIPTS = {
    "serial": "serial.py",
    "threads": "threads.py",
    "standard processes": "processes.py",
    "allcores": "processes_allcores.py",
    "allcores, native": "native_allcores.py",
}
PAGE = Path(__file__).resolve().parents[2] / "out" / "gcd.html"
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
        description="ten pairs of numbers: plain loop, threads, processes, allcores"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="runs of each way; the median is shown (default: 3)"
    )
    rounds = max(1, parser.parse_args().rounds)

    ways = dict(SCRIPTS)
    if find_spec("allcores") is None:
        print("!!! allcores is NOT INSTALLED: its rows are missing below", file=sys.stderr)
        ways = {way: script for way, script in ways.items() if "allcores" not in way}

    seconds: dict[str, list[float]] = {way: [] for way in ways}
    right: dict[str, bool] = dict.fromkeys(ways, True)
    for number in range(1, rounds + 1):
        for way, script in ways.items():
            print(f"round {number} of {rounds}: {way}", file=sys.stderr)
            took, equal = run(script)
            seconds[way].append(took)
            right[way] &= equal

    show(ways, seconds, right)
    return 0 if all(right.values()) and ladder(rounds) else 1


def show(ways: dict[str, str], seconds: dict[str, list[float]], right: dict[str, bool]) -> None:
    serial = median(seconds["serial"])
    print(f"{'two workers':20} {'seconds':>8} {'speed-up':>9}   all ten results equal math.gcd")
    for way in ways:
        took = median(seconds[way])
        print(f"{way:20} {took:8.3f} {serial / took:8.2f}x   {'yes' if right[way] else 'NO'}")


def ladder(repeats: int) -> bool:
    """Every rung within this process; whether all results are equal, and right."""
    if find_spec("allcores") is None:
        return True
    import allcores

    print("the ladder, within one program", file=sys.stderr)
    found = allcores.compare(gcd, NUMBERS, repeats=repeats, max_workers=2)
    print(f"\n{found}")
    PAGE.parent.mkdir(exist_ok=True)
    found.to_html(PAGE)
    print(f"the page: {PAGE}", file=sys.stderr)
    return found.agree and list(allcores.map(gcd, NUMBERS)) == RIGHT


if __name__ == "__main__":
    sys.exit(main())
