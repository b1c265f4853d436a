"""Does `allcores run` keep up with a loop that is written by hand?

    python -m benchmarks.command_line --kills 10

A million lines of JSON and a function of a microsecond; both sides read, parse, call, serialise and
write. The other side is a chunked loop over `multiprocessing.Pool.imap` that parses in its workers
too. Rounds are interleaved; the outputs must have the same bytes. `--kills N` kills a run at N
random moments besides, resumes it each time, and compares the bytes again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

CHUNK = 1000
FOLDER = Path(__file__).parent.parent


def changed(record: dict[str, Any]) -> dict[str, Any]:
    """The function: little work on a small object."""
    return {"id": record["id"], "v": record["v"] * 2, "n": len(record["s"])}


def chunk(lines: list[str]) -> list[str]:
    return [json.dumps(changed(json.loads(line))) + "\n" for line in lines]


def by_hand(source: Path, target: Path, workers: int) -> None:
    with multiprocessing.Pool(workers) as pool, source.open() as lines, target.open("w") as out:

        def chunks() -> Iterator[list[str]]:
            while some := list(islice(lines, CHUNK)):
                yield some

        for results in pool.imap(chunk, chunks()):
            out.writelines(results)


def command(source: Path, target: Path, workers: int, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "allcores", "run", "benchmarks.command_line:changed"),
        *(str(source), "-o", str(target), "-j", str(workers), *more),
    ]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def killed(source: Path, target: Path, workers: int, kills: int, about: float) -> None:
    """Kills a run at random moments within the seconds that it takes, and lets it go on."""
    for _ in range(kills):
        process = subprocess.Popen(command(source, target, workers, "--resume"), cwd=FOLDER)
        try:
            process.wait(random.uniform(0.1, 2 * about / kills))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        print(f"killed at {target.stat().st_size if target.exists() else 0:,} bytes")
    subprocess.run(command(source, target, workers, "--resume"), cwd=FOLDER, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, ours, theirs = (Path(folder, name) for name in ("in.jsonl", "a.jsonl", "b.jsonl"))
        with source.open("w") as file:
            for number in range(options.items):
                record = {"id": number, "v": number * 0.5, "s": "x" * (number % 50)}
                file.write(json.dumps(record) + "\n")
        ratios = []
        for _ in range(options.rounds):
            hand = seconds(lambda: by_hand(source, theirs, options.workers))
            line = command(source, ours, options.workers, "--overwrite")
            run = seconds(lambda line=line: subprocess.run(line, cwd=FOLDER, check=True))
            ratios.append(hand / run)
            print(
                f"by hand {options.items / hand:,.0f}/s, allcores run {options.items / run:,.0f}/s"
            )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        same = ours.read_bytes() == theirs.read_bytes()
        print(f"median ratio {median(ratios):.2f}, largest process {peak} MB, same bytes: {same}")
        if options.kills:
            ours.unlink()
            killed(source, ours, options.workers, options.kills, run)
            print(f"same bytes after the kills: {ours.read_bytes() == theirs.read_bytes()}")


if __name__ == "__main__":
    main()
