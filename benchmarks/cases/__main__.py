"""Runs scenarios, keeps what they said in `results.json`, and writes `docs/cases.md`.

    python -m benchmarks.cases                          # all, less than a quarter of an hour
    python -m benchmarks.cases C01 C29 --engines allcores pebble
    python -m benchmarks.cases --report                 # the page alone, from the results

One after the other, each in an interpreter and a session of its own and under a time limit; who
exceeds it `hangs`. Afterwards everything it has started is killed. A part of the scenarios or
engines replaces its part of the results, but only if the versions are still the same.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.cases import catalogue, processes, report
from benchmarks.cases.engines import ENGINES, MODULES
from benchmarks.cases.scenario import ROOT, Scenario
from benchmarks.child import without_paths
from benchmarks.machine import describe

RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    options = _options()
    # A shell that starts this in the background has Ctrl-C ignored, and so would the scenarios.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not options.report:
        _measure(options.cases or sorted(catalogue.SCENARIOS), options.engines or list(ENGINES))
    report.write(json.loads(RESULTS.read_text(encoding="utf-8")))


def _measure(cases: Sequence[str], engines: Sequence[str]) -> None:
    machine = describe()
    results: dict[str, Any] = {"machine": machine, "said": {}}
    if RESULTS.exists():
        earlier = json.loads(RESULTS.read_text(encoding="utf-8"))
        same = all(earlier["machine"][key] == machine[key] for key in ("python", "versions"))
        whole = len(cases) == len(catalogue.SCENARIOS) and len(engines) == len(ENGINES)
        if same and not whole:
            results["said"] = earlier["said"]
    for engine in engines:
        module = MODULES.get(engine)
        if module and not find_spec(module):
            sys.exit(f"{module} is not installed: pip install -r benchmarks/requirements.txt")
    started = time.monotonic()
    for number in cases:
        for engine in engines:
            said = run(catalogue.SCENARIOS[number], engine)
            results["said"].setdefault(number, {})[engine] = said
            print(f"{number} {engine:9} {said['seconds']:5.1f} s  {said['verdict']}", flush=True)
        results["said"] = dict(sorted(results["said"].items()))
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)


def run(scenario: Scenario, engine: str) -> dict[str, Any]:
    """What one scenario said of one engine."""
    mark = uuid4().hex
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        noise = Path(scratch, "noise")
        environment = os.environ | {
            processes.MARK: mark,
            "ALLCORES_CASES_SCRATCH": scratch,
            "PYTHONFAULTHANDLER": "",
        }
        begun = time.monotonic()
        with noise.open("wb") as sink:
            child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.cases.child", scenario.case, engine, scratch],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=sink,
                start_new_session=True,
            )
            with suppress(subprocess.TimeoutExpired):
                child.wait(scenario.limit_s)
        seconds = time.monotonic() - begun
        verdict = Path(scratch, "verdict")
        if verdict.exists():
            said = json.loads(verdict.read_text(encoding="utf-8"))
        elif child.poll() is None:
            said = {"verdict": "hangs"}
        else:
            last = noise.read_text(errors="replace").splitlines()[-1:]
            words = without_paths(last[0]) if last else ""
            said = {"verdict": "the program dies", "why": f"status {child.returncode}: {words}"}
        child.kill()
        left = processes.end_all(processes.MARK, mark)
        child.wait()
    return {**said, "seconds": round(seconds, 1), "killed_afterwards": left}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cases")
    parser.add_argument("cases", nargs="*", metavar="case", help="such as C01; all by default")
    parser.add_argument("--engines", nargs="+", default=[], choices=list(ENGINES))
    parser.add_argument("--report", action="store_true", help="only the page, from the results")
    options = parser.parse_args()
    if unknown := set(options.cases) - set(catalogue.SCENARIOS):
        parser.error(f"unknown case: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    main()
