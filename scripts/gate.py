"""The gate: every check of the project, one stage after the other, and how much each has looked at.

    python scripts/gate.py               # all stages
    python scripts/gate.py --quick       # those that take seconds
    python scripts/gate.py loom pytest   # some, by name

A stage passes when its command exits with 0 *and* its output says that something was checked: a
stage that ran nothing fails. What a stage prints goes to `out/gate/<stage>.log`, of which the end
is shown if it fails. The last line is `N passed, N failed, N skipped`, in tests; a stage without
tests, such as a linter, counts as one. Exit code 1 if anything failed.

`make test` builds the extension first; this runs in the environment it is installed in.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).parent.parent
LOGS = ROOT / "out" / "gate"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
LIMIT_SECONDS = 900
SHOWN_LINES = 80

Counts = Counter[str]
"""How many `passed`, `failed`, `skipped` and (passed or failed) `ran`."""

OUTCOMES = {
    "passed": "passed",
    "failed": "failed",
    "timed out": "failed",
    "error": "failed",
    "errors": "failed",
    "skipped": "skipped",
    "ignored": "skipped",
}


def tests(summary: str) -> Callable[[str], Counts]:
    """Counts `N passed`, `N failed` and so on in the lines that match `summary`."""

    def count(output: str) -> Counts:
        lines = [line for line in output.splitlines() if re.search(summary, line)]
        found = Counter({"passed": 0})
        for number, word in re.findall(rf"(\d+) ({'|'.join(OUTCOMES)})\b", "\n".join(lines)):
            found[OUTCOMES[word]] += int(number)
        return found

    return count


def things(pattern: str) -> Callable[[str], Counts]:
    """Takes the number in `pattern`'s group, or counts the matches if it has none."""

    def count(output: str) -> Counts:
        found = re.findall(pattern, output, re.MULTILINE)
        has_number = re.compile(pattern).groups > 0
        return Counter({"passed": sum(map(int, found)) if has_number else len(found)})

    return count


@dataclass(frozen=True, slots=True)
class Stage:
    """One command, and how to read from its output what it has checked."""

    name: str
    kind: str
    command: list[str]
    count: Callable[[str], Counts]
    environment: dict[str, str] = field(default_factory=dict)
    has_tests: bool = True
    is_quick: bool = False
    left_out: str | None = None
    """Why it can't run on this machine."""


# The binding has no Rust tests: a test of it would have to be linked with an interpreter.
PURE = ("allcores-shm", "allcores-engine", "allcores-advice", "allcores-cli", "allcores-native")
PURE_CRATES = [*(word for crate in PURE for word in ("-p", crate)), "--locked"]
CARGO_TESTS = tests(r"^test result: ")
HAS_NEXTEST = shutil.which("cargo-nextest") is not None
RUST_TESTS = (
    ["cargo", "nextest", "run", "--no-fail-fast"]
    if HAS_NEXTEST
    else ["cargo", "test", "--lib", "--tests", "--no-fail-fast"]
)
LOOM = {
    "RUSTFLAGS": f"{os.environ.get('RUSTFLAGS', '')} --cfg loom".strip(),
    "CARGO_TARGET_DIR": str(TARGET / "loom"),
}
VALGRIND = '["valgrind", "--quiet", "--error-exitcode=9", "--trace-children=yes"]'
CONFORMANCE = [sys.executable, "tests/conformance/run.py"]
CONFORMANCE_TESTS = tests(r"^\d+ passed, \d+ failed, \d+ skipped$")
NO_VALGRIND = None if shutil.which("valgrind") else "valgrind is not installed on this machine"
NOT_LINUX = None if sys.platform == "linux" else "the runner looks for processes in Linux's /proc"


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def lint(name: str, kind: str, command: list[str], pattern: str, **environment: str) -> Stage:
    return Stage(name, kind, command, things(pattern), environment, has_tests=False, is_quick=True)


def loom(name: str, crate: str, test: str) -> Stage:
    command = ["cargo", "test", "--release", "--locked", "-p", crate, "--test", test]
    return Stage(name, "loom models", command, CARGO_TESTS, LOOM)


def conformance(name: str, *options: str) -> Stage:
    command = [*CONFORMANCE, *options]
    return Stage(name, "conformance tests", command, CONFORMANCE_TESTS, left_out=NOT_LINUX)


STAGES = [
    lint(
        "rustfmt", "Rust targets formatted",
        ["cargo", "fmt", "--all", "--check", "--verbose"],
        r"^\[\w+ \(\d+\)\] ",
    ),
    lint(
        "clippy", "Rust targets linted",
        ["cargo", "clippy", "--workspace", "--all-targets", "--locked",
         "--message-format=json-render-diagnostics", "--", "-D", "warnings"],
        r'^\{"reason":"compiler-artifact","package_id":"path\+file:',
    ),
    lint(
        "rustdoc", "build of the crates' pages",
        ["cargo", "doc", "--workspace", "--no-deps", "--document-private-items", "--locked"],
        r"^ +Generated ",
        RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links",
    ),
    lint(
        "ruff-check", "Python files linted",
        python("ruff", "check", "--verbose"),
        r"Checked (\d+) files",
    ),
    lint(
        "ruff-format", "Python files formatted",
        python("ruff", "format", "--check"),
        r"(\d+) files? already formatted",
    ),
    lint(
        "mypy", "Python files typed",
        python("mypy", "--strict", "python/allcores"),
        r"no issues found in (\d+) source files?",
    ),
    lint(
        "stubtest", "stubs true to their module",
        python("mypy.stubtest", "allcores._core"),
        r"no issues found in (\d+) modules?",
    ),
    Stage(
        "rust", "Rust tests",
        [*RUST_TESTS, *PURE_CRATES],
        tests(r"^ *Summary \[") if HAS_NEXTEST else CARGO_TESTS,
        is_quick=True,
    ),
    Stage("doctest", "doc tests", ["cargo", "test", "--doc", *PURE_CRATES], CARGO_TESTS),
    loom("loom", "allcores-shm", "loom"),
    loom("loom-slot", "allcores-engine", "slot_loom"),
    Stage(
        "valgrind", "Rust tests under valgrind",
        ["cargo", "test", "--locked", "-p", "allcores-shm", "--test", "two_processes",
         "--config", f"target.'cfg(unix)'.runner={VALGRIND}"],
        CARGO_TESTS,
        {"ALLCORES_VALGRIND": "1"},
        left_out=NO_VALGRIND,
    ),
    Stage(
        "architecture", "invariants",
        python("pytest", "-q", "tests/test_architecture.py"),
        tests(r" in \d+\.\d+s"),
        is_quick=True,
    ),
    Stage("pytest", "Python tests", python("pytest", "-q"), tests(r" in \d+\.\d+s")),
    Stage(
        "soak", "tasks accounted for while workers were killed",
        python("soak", "--seconds", "20"),
        things(r"^tasks run +(\d+)"),
        {"PYTHONPATH": "tests"},
        has_tests=False,
        left_out=NOT_LINUX,
    ),
    conformance("conformance"),
    conformance("conformance-stream", "--link", "stream"),
    conformance("conformance-interop", "--interop"),
]  # fmt: skip


def execute(stage: Stage, log: Path) -> int:
    """Runs the command with its output in `log`; its exit code, 124 after the time limit."""
    environment = {**os.environ, **stage.environment}
    with log.open("wb") as output:
        process = subprocess.Popen(
            stage.command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(LIMIT_SECONDS)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return 124
            raise


def run(stage: Stage) -> Counts:
    """Runs a stage and prints one line about it, and the end of its log if it failed."""
    print(f"{stage.name:20}", end=" ", flush=True)
    if stage.left_out:
        print(f"left out: {stage.left_out}")
        return Counter()
    log = LOGS / f"{stage.name}.log"
    started = monotonic()
    code = execute(stage, log)
    output = log.read_text(errors="replace")
    counts = stage.count(output)
    counts["ran"] = counts["passed"] + counts["failed"]
    words = [f"{counts['ran']} {stage.kind}"]
    words += [f"{counts[each]} {each}" for each in ("failed", "skipped") if counts[each]]
    print(f"{', '.join(words)}  ({monotonic() - started:.0f} s)")
    if code == 0 and counts["failed"] == 0 and counts["passed"] > 0:
        return counts
    why = f"exit code {code}" if code else "nothing was checked"
    print(f"--- {stage.name} failed: {why}; the end of {log.relative_to(ROOT)}:")
    lines = [line for line in output.splitlines() if not line.startswith('{"reason":')]
    print("\n".join(lines[-SHOWN_LINES:]))
    print("---", flush=True)
    counts["failed"] = max(counts["failed"], 1)
    return counts


def chosen() -> list[Stage]:
    parser = argparse.ArgumentParser(description="Runs every check of the project, or some.")
    parser.add_argument("--quick", action="store_true", help="only the stages that take seconds")
    names = [stage.name for stage in STAGES]
    parser.add_argument("stages", nargs="*", metavar="stage", help=f"of {', '.join(names)}")
    options = parser.parse_args()
    if unknown := set(options.stages) - set(names):
        parser.error(f"unknown stage: {', '.join(sorted(unknown))}")
    if options.quick:
        return [stage for stage in STAGES if stage.is_quick]
    if options.stages:
        return [stage for stage in STAGES if stage.name in options.stages]
    # `pytest` has the architecture test in it.
    return [stage for stage in STAGES if stage.name != "architecture"]


def main() -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    started = monotonic()
    kinds: Counts = Counter()
    total = Counter(passed=0, failed=0, skipped=0)
    failed = []
    for stage in chosen():
        counts = run(stage)
        kinds[stage.kind] += counts["ran"]
        if counts["failed"]:
            failed.append(stage.name)
        if stage.has_tests:
            total.update(counts)
        else:
            total["failed" if counts["failed"] else "passed"] += 1
    print()
    for kind, count in kinds.items():
        print(f"{count:6} {kind}")
    print(f"{monotonic() - started:6.0f} seconds")
    if failed:
        print(f"failed stages: {', '.join(failed)}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format_map(total))
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
