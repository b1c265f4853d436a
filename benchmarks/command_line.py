"""Does `allcores run` keep up with a loop that is written by hand, in little memory?

    python -m benchmarks.command_line --kills 10 --json benchmarks/results/command_line.json

A million lines of JSON and a function of a microsecond; both sides read, parse, call, serialise and
write. The other side is a chunked loop over `multiprocessing.Pool.imap` that parses in its workers
too. Rounds are interleaved; the outputs must have the same bytes. Then the command's process says
its highest resident size, for a tenth of the items and for all, from JSON Lines and, where pyarrow
is installed, from a Parquet table into another. `--kills N` kills a run at N random moments
besides, resumes it each time, and compares the bytes again. The exit code is 1 if a promise is not
kept.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine

CHUNK = 1000
FOLDER = Path(__file__).parent.parent
PROMISED_RATE = 0.6
"""Of the rate of the loop by hand."""
FLAT_MB = 32
"""What ten times the items may cost."""

WITH_PEAK = """
import sys
from allcores.command.entry import main
code = main()
with open("/proc/self/status") as status:
    print(next(line for line in status if line.startswith("VmHWM")).split()[1], file=sys.stderr)
sys.exit(code)
"""


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


def arguments(source: Path, target: Path, workers: int, *more: str) -> list[str]:
    function = "benchmarks.command_line:changed"
    return ["run", function, str(source), "-o", str(target), "-j", str(workers), *more]


def allcores(source: Path, target: Path, workers: int, *more: str) -> list[str]:
    return [sys.executable, "-m", "allcores", *arguments(source, target, workers, *more)]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_mb(source: Path, target: Path, workers: int) -> float:
    """The highest resident size of the command's process, without its workers."""
    told = arguments(source, target, workers, "--overwrite")
    command = [sys.executable, "-c", WITH_PEAK, *told]
    ended = subprocess.run(command, cwd=FOLDER, check=True, stderr=subprocess.PIPE)
    return round(int(ended.stderr.split()[-1]) / 1024, 1)


def killed(
    source: Path, target: Path, workers: int, about: float, chance: random.Random, kills: int
) -> list[int]:
    """Kills a run at random moments within the seconds that it takes, and lets it go on; how long
    the output was each time.
    """
    lengths = []
    for _ in range(kills):
        process = subprocess.Popen(allcores(source, target, workers, "--resume"), cwd=FOLDER)
        try:
            process.wait(chance.uniform(0.1, 2 * about / kills))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        lengths.append(target.stat().st_size if target.exists() else 0)
    subprocess.run(allcores(source, target, workers, "--resume"), cwd=FOLDER, check=True)
    return lengths


def write_lines(path: Path, items: int) -> None:
    with path.open("w") as file:
        for number in range(items):
            record = {"id": number, "v": number * 0.5, "s": "x" * (number % 50)}
            file.write(json.dumps(record) + "\n")


def write_table(path: Path, source: Path) -> None:
    """A table of the records in `source`, in one group of rows; in a process of its own."""
    code = "import sys, pyarrow.json, pyarrow.parquet as p; p.write_table("
    code += "pyarrow.json.read_json(sys.argv[1]), sys.argv[2], row_group_size=1 << 30)"
    subprocess.run([sys.executable, "-c", code, str(source), str(path)], check=True)


def memory(folder: Path, items: int, workers: int) -> dict[str, dict[str, float]]:
    """Highest resident sizes in MB, by format and number of items."""
    found: dict[str, dict[str, float]] = {}
    for count in (items // 10, items):
        lines = folder / f"{count}.jsonl"
        write_lines(lines, count)
        sources = [lines]
        if find_spec("pyarrow"):
            table = folder / f"{count}.parquet"
            write_table(table, lines)
            sources.append(table)
        for source in sources:
            format = source.suffix[1:]
            target = folder / f"out.{format}"
            found.setdefault(format, {})[str(count)] = peak_mb(source, target, workers)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    told: dict[str, Any] = {
        "question": "command_line",
        "title": "A million lines of JSON through `allcores run`",
        "workers": options.workers,
        "items": options.items,
        "machine": machine.describe(),
        "rounds": [],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, ours, theirs = (folder / name for name in ("in.jsonl", "a.jsonl", "b.jsonl"))
        write_lines(source, options.items)
        for _ in range(options.rounds):
            hand = seconds(lambda: by_hand(source, theirs, options.workers))
            line = allcores(source, ours, options.workers, "--overwrite")
            run = seconds(lambda line=line: subprocess.run(line, cwd=FOLDER, check=True))
            told["rounds"].append(
                {"by hand": options.items / hand, "allcores": options.items / run}
            )
            print(
                f"by hand {options.items / hand:,.0f}/s, allcores run {options.items / run:,.0f}/s"
            )
        told["ratio"] = median(each["allcores"] / each["by hand"] for each in told["rounds"])
        told["same_bytes"] = ours.read_bytes() == theirs.read_bytes()
        print(f"median ratio {told['ratio']:.2f}, same bytes: {told['same_bytes']}")
        if options.kills:
            ours.unlink()
            chance = random.Random(options.seed)
            lengths = killed(source, ours, options.workers, run, chance, options.kills)
            same = ours.read_bytes() == theirs.read_bytes()
            told["kills"] = {"bytes_then": lengths, "same_bytes": same}
            print(f"killed at {lengths} bytes; same bytes after that: {same}")
        if sys.platform == "linux":
            told["peak_mb"] = memory(folder, options.items, options.workers)
            print(f"highest resident size, MB: {told['peak_mb']}")
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0 if kept(told) else 1


def kept(told: dict[str, Any]) -> bool:
    """Whether all that is promised holds."""
    grown = [
        max(sizes.values()) - min(sizes.values()) for sizes in told.get("peak_mb", {}).values()
    ]
    same = told["same_bytes"] and told.get("kills", {}).get("same_bytes", True)
    return same and told["ratio"] >= PROMISED_RATE and all(each <= FLAT_MB for each in grown)


if __name__ == "__main__":
    sys.exit(main())
