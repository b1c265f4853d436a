"""Compares compiled functions with CPython: value, type, sign of zero, exception.

    PYTHONPATH=tests python -m native.differences --executions 1000000 --seed 7

prints each difference as a program and its arguments, and the count of executions; the exit code
is 1 if there was a difference. Executions are made in parts, each with a seed that follows from the
given one, in as many processes as there are cores: the programs are the same on all machines.
"""

from __future__ import annotations

import argparse
import linecache
import math
import multiprocessing
import random
import sys
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import allcores
from native import programs
from native.programs import Function

ARGUMENTS = 25
PART = 50_000


def canonical(value: object) -> object:
    """Something that is equal just when Python's users can't tell the values apart."""
    if type(value) is float:
        return ("float", "nan" if math.isnan(value) else value.hex())
    if type(value) is tuple:
        return ("tuple", *map(canonical, value))
    if type(value) is int:
        return ("int", hex(value))
    return (type(value).__name__, repr(value))


def outcome(function: Function, arguments: tuple[Any, ...]) -> object:
    try:
        return canonical(function(*arguments))
    except RecursionError:
        raise
    except Exception as error:
        return ("raised", type(error).__name__, str(error))


class Tally:
    """What was compared so far."""

    def __init__(self) -> None:
        self.executions = 0
        self.programs = 0
        self.refused: Counter[str] = Counter()
        self.items = 0
        self.left: Counter[str] = Counter()
        self.differences: list[str] = []

    def add(self, other: Tally) -> None:
        """Counts what another has compared."""
        self.executions += other.executions
        self.programs += other.programs
        self.items += other.items
        self.refused.update(other.refused)
        self.left.update(other.left)
        self.differences += other.differences

    def __str__(self) -> str:
        return (
            f"{self.executions} executions of {self.programs} programs,"
            f" {self.refused.total()} refused, {self.items} run as machine code,"
            f" {self.left.total()} of them left to Python, {len(self.differences)} differences"
        )


def compare(tally: Tally, text: str, items: list[tuple[Any, ...]], name: str) -> None:
    """Runs `f` of the program both ways for each of the arguments."""
    function = programs.made(text, name)["f"]
    compiled = allcores.native(function)
    fine, values = [], []
    for arguments in items:
        expected = outcome(function, arguments)
        actual = outcome(compiled, arguments)
        tally.executions += 1
        if expected != actual:
            tally.differences.append(f"{text}\nf{arguments!r}: {actual}, not {expected}")
        elif not (isinstance(expected, tuple) and expected[0] == "raised"):
            fine.append(arguments)
            values.append(expected)
    if fine:
        together = [canonical(each) for each in compiled.map(fine)]
        if together != values:
            tally.differences.append(f"{text}\nmap of {fine}: {together}, not {values}")
    report = allcores.native.report(compiled)
    tally.programs += 1
    if report.refusal is not None:
        tally.refused[report.refusal.reason.name] += 1
    tally.items += report.items
    tally.left.update(report.left)
    linecache.cache.pop(name, None)


def run(seed: int | str, executions: int) -> Tally:
    """Compares until there were as many executions."""
    tally = Tally()
    rng = random.Random(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while tally.executions < executions and len(tally.differences) < 5:
            text, kinds = programs.Writer(rng).program()
            items = [
                tuple(programs.argument(rng, kind) for kind in kinds) for _ in range(ARGUMENTS)
            ]
            compare(tally, text, items, f"<program {tally.programs}>")
    return tally


def run_in_parts(seed: int, executions: int) -> Tally:
    """Compares on all cores until there were as many executions."""
    sizes = [PART] * (executions // PART)
    if executions % PART:
        sizes.append(executions % PART)
    seeds = [f"{seed}, part {number}" for number in range(len(sizes))]
    tally = Tally()
    # A process for each part: what is wrong in one must not be the fault of an earlier one.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=context, max_tasks_per_child=1) as pool:
        for part in pool.map(run, seeds, sizes):
            tally.add(part)
            print(tally, flush=True)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed: {options.seed}", flush=True)
    tally = run_in_parts(options.seed, options.executions)
    print(*tally.differences, sep="\n\n")
    print(tally, dict(tally.left), dict(tally.refused))
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
