"""Builds the port of `gcd` to C four times, and compares what it gains on each rung.

With SWIG and with pybind11, each with the interpreter's lock released in its calls and with it
held. Prints a table: where the lock is released threads gain, where it is held only processes do,
and `auto` finds out which by measuring. All results are compared with `math.gcd`. The table goes to
stdout, everything else to stderr. Exit code 1 if a result is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from pathlib import Path

from build import build, modules

import allcores

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gcd"))

from gcd import NUMBERS

RUNGS = ("serial", "threads", "processes", "auto")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="c_extension", description="gcd in C, by SWIG and pybind11, on each rung of the ladder"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (default: 3)")
    parser.add_argument(
        "--times", type=int, default=12, help="how often the ten pairs are computed (default: 12)"
    )
    given = parser.parse_args()

    print("building (some seconds, the first time)", file=sys.stderr)
    sys.path.insert(0, str(build()))
    pairs = NUMBERS * max(1, given.times)
    right = [math.gcd(*pair) for pair in pairs]
    print(f"{'two workers':22} {'serial':>9} {'threads':>15} {'processes':>15} {'auto':>15}")
    is_right = True
    for name in modules():
        print(f"running {name}", file=sys.stderr)
        gcd = importlib.import_module(name).gcd
        found = allcores.compare(gcd, pairs, RUNGS, repeats=max(1, given.repeats), max_workers=2)
        is_right &= found.agree and list(map(gcd, pairs)) == right
        seconds = [row.median or math.nan for row in found.rows]
        cells = [f"{each:.3f} s {seconds[0] / each:5.2f}x" for each in seconds[1:]]
        print(f"{name:22} {seconds[0]:7.3f} s " + " ".join(f"{cell:>15}" for cell in cells))
        print(f"{'':22} auto: {found.rows[-1].chosen}")
        advice = allcores.explain(gcd, pairs, max_workers=2)
        print(f"{'':22} explain: {advice.verdict.rung if advice.verdict else 'nothing'}")
    print(f"all results equal math.gcd: {'yes' if is_right else 'NO'}")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
