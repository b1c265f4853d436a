"""What does the same job cost, done in many ways? Prints two tables and writes a page.

First six scripts run in turn, each a whole program of its own. Then `allcores.compare` runs the
ladder within this one, with the leverage and its verdict, and writes it all to `out/gcd.html`.

Each run is a fresh interpreter. Each script times itself from before its pool exists until its pool
is gone, and is timed as a whole, from the start of Python to its end. The rounds are interleaved,
so that a busy moment of the machine hits all alike; before them Numba's script runs once, which
fills its disk cache. The table goes to stdout, everything else to stderr. Exit code 1 if any result
is wrong or a script fails.
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
from time import perf_counter

from gcd import NUMBERS, gcd

SCRIPTS = {
    "serial": "serial.py",
    "threads": "threads.py",
    "standard processes": "processes.py",
    "allcores": "processes_allcores.py",
    "Numba, disk cache warm": "threads_numba.py",
    "allcores, native": "native_allcores.py",
}
NEEDS = {"allcores": "allcores", "Numba": "numba"}
NATIVE, POOL, NUMBA = "allcores, native", "standard processes", "Numba, disk cache warm"
PAGE = Path(__file__).resolve().parents[2] / "out" / "gcd.html"
WARM_RUNS = 15
RIGHT = [math.gcd(a, b) for a, b in NUMBERS]


class Times:
    """What the runs of one script took.

    Attributes:
        own: seconds by its own clock, from before its pool exists until the pool is gone.
        whole: seconds from the start of Python to its end.
        right: whether all results were.
    """

    def __init__(self) -> None:
        self.own: list[float] = []
        self.whole: list[float] = []
        self.right = True

    def run(self, script: str) -> None:
        path = Path(__file__).with_name(script)
        begun = perf_counter()
        done = subprocess.run(
            [sys.executable, str(path)], stdout=subprocess.PIPE, text=True, timeout=120, check=True
        )
        self.whole.append(perf_counter() - begun)
        seconds, results = done.stdout.splitlines()
        self.own.append(float(seconds))
        self.right &= json.loads(results) == RIGHT


def main() -> int:
    parser = argparse.ArgumentParser(
        description="ten pairs of numbers: plain loop, threads, processes, allcores"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="runs of each way; the median is shown (default: 3)"
    )
    rounds = max(1, parser.parse_args().rounds)

    ways = dict(SCRIPTS)
    for name, package in NEEDS.items():
        if find_spec(package) is None:
            print(f"!!! {package} is NOT INSTALLED: its rows are missing below", file=sys.stderr)
            ways = {way: script for way, script in ways.items() if name not in way}
    if NUMBA in ways:
        print("a first run of Numba's, which fills its disk cache", file=sys.stderr)
        Times().run(ways[NUMBA])

    times = {way: Times() for way in ways}
    for number in range(1, rounds + 1):
        for way, script in ways.items():
            print(f"round {number} of {rounds}: {way}", file=sys.stderr)
            times[way].run(script)

    show(times)
    return 0 if all(each.right for each in times.values()) and ladder(rounds) else 1


def show(times: dict[str, Times]) -> None:
    serial = median(times["serial"].own)
    heads = f"{'seconds':>8} {'speed-up':>9} {'whole script':>13}"
    print(f"{'two workers':23} {heads}   all ten results equal math.gcd")
    for way, each in times.items():
        own, whole = median(each.own), median(each.whole)
        right = "yes" if each.right else "NO"
        print(f"{way:23} {own:8.3f} {serial / own:8.2f}x {whole:13.3f}   {right}")
    for other in (POOL, NUMBA):
        if {NATIVE, other} <= times.keys():
            share = median(times[NATIVE].whole) / median(times[other].whole)
            print(f"the whole script of `{NATIVE}` takes {share:.2f} of that of `{other}`")


def warm(serial: float) -> bool:
    """The compiled function once it is compiled; whether its results are right."""
    import allcores

    compiled = allcores.native(gcd)
    compiled.map(NUMBERS, threads=2)
    seconds = []
    for _ in range(WARM_RUNS):
        begun = perf_counter()
        results = compiled.map(NUMBERS, threads=2)
        seconds.append(perf_counter() - begun)
    took = median(seconds)
    print(f"\n`allcores.native(gcd).map`, warm: {took:.4f} s, {serial / took:.1f} times serial")
    return results == RIGHT


def ladder(repeats: int) -> bool:
    """Every rung within this process; whether all results are equal, and right."""
    if find_spec("allcores") is None:
        return True
    import allcores

    print("the ladder, within one program", file=sys.stderr)
    found = allcores.compare(gcd, NUMBERS, repeats=repeats, max_workers=2)
    is_right = warm(found.rows[0].median or 0.0)
    print(f"\n{found}")
    PAGE.parent.mkdir(exist_ok=True)
    found.to_html(PAGE)
    print(f"the page: {PAGE}", file=sys.stderr)
    return is_right and found.agree and list(allcores.map(gcd, NUMBERS)) == RIGHT


if __name__ == "__main__":
    sys.exit(main())
