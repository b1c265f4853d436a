"""Runs CPython's own executor tests against allcores.

    python tests/conformance/run.py [--python PYTHON] [--link stream]

Ends with `N passed, N failed, N skipped`.  The exit status is 1 when a test of the bar failed, when
none ran, or when fewer ran than are known for this version of Python.  How the tests are found
stands in `suite.py`, how allcores gets in their way in `substitute.py`, how they are watched in
`batch.py` and `child.py`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic

import batch
import suite

EXECUTORS = ("ProcessPoolExecutor", "ThreadPoolExecutor", "_RemoteTraceback")
WAITING = ("wait", "as_completed")
INTEROP = r"(WaitTests?|AsCompletedTests?)\."
LIMIT_SECONDS = 60.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--impl",
        default="allcores",
        help="the module under test; `concurrent.futures` tries the tests",
    )
    parser.add_argument(
        "--python", default=sys.executable, help="an interpreter that has it installed"
    )
    parser.add_argument("--link", choices=("shm", "stream"), help="sets ALLCORES_LINK")
    parser.add_argument("--match", help="only tests whose name contains this regular expression")
    parser.add_argument(
        "--interop",
        action="store_true",
        help="the standard `wait` and `as_completed` on our futures",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=cache_folder(),
        help="for scratch environments and fetched tests",
    )
    parser.add_argument("--list", action="store_true", help="print the tests of the bar and stop")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="print the words of failures and skips"
    )
    return parser.parse_args()


def cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home, "allcores-conformance")


def scratch_environment(interpreter: suite.Interpreter, folder: Path) -> str:
    """A virtual environment that sees what `interpreter` has installed and starts `substitute.py`;
    returns its interpreter."""
    subprocess.run([interpreter.executable, "-m", "venv", "--without-pip", folder], check=True)
    paths = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    lines = [
        *paths,
        str(suite.HERE),
        *(f"import site; site.addsitedir({site!r})" for site in interpreter.sites),
    ]
    site = folder / f"lib/python{interpreter.version}/site-packages"
    (site / "zz_substitute.pth").write_text("\n".join([*lines, "import substitute", ""]))
    return str(folder / "bin/python")


def child_environment(options: argparse.Namespace, source: suite.Source) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {
        **inherited,
        **({"ALLCORES_LINK": options.link} if options.link else {}),
        "EXECUTOR_TESTS_IMPL": options.impl,
        "EXECUTOR_TESTS_REPLACE": ",".join(
            EXECUTORS if options.interop else (*EXECUTORS, *WAITING)
        ),
        "EXECUTOR_TESTS_FOLDER": str(source.folder or ""),
        "EXECUTOR_TESTS_FOREIGN": "yes" if source.foreign else "",
    }


def bar(
    python: str, interpreter: suite.Interpreter, source: suite.Source, environment: dict[str, str]
) -> list[str]:
    command = [python, str(batch.CHILD), "list", *suite.modules(interpreter, source)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True)
    batch.end_orphans()
    if answer.returncode:
        raise SystemExit(f"listing the tests failed:\n{answer.stderr}")
    return suite.of_the_bar(answer.stdout.split(), source)


def run_all(
    python: str, tests: list[str], environment: dict[str, str], scratch: Path, *, verbose: bool
) -> batch.Outcome:
    total = batch.Outcome()
    for name, group in itertools.groupby(tests, key=lambda test: test.rpartition(".")[0]):
        # The tests of `Future` itself are the only ones that make futures by hand and want them to
        # be ours.
        ours = (
            {"EXECUTOR_TESTS_REPLACE": environment["EXECUTOR_TESTS_REPLACE"] + ",Future"}
            if "FutureTests" in name
            else {}
        )
        before = set(total.failed)
        batch.run(python, list(group), {**environment, **ours}, LIMIT_SECONDS, scratch, total)
        for test in total.failed.keys() - before:
            print(f"failed   {test}", flush=True)
            if verbose:
                print("    " + total.failed[test].replace("\n", "\n    "))
    if verbose:
        for test, reason in total.skipped.items():
            print(f"skipped  {test}: {reason}")
    return total


def main() -> int:
    options, started = arguments(), monotonic()
    batch.adopt_orphans()
    options.cache.mkdir(parents=True, exist_ok=True)
    interpreter = suite.Interpreter.ask(options.python)
    source = suite.locate(interpreter, options.cache)
    environment = child_environment(options, source)
    link = options.link or "default"
    print(f"Python {interpreter.full_version}, {source.words}, {options.impl}, link {link}")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="executor-tests-") as scratch:
        python = scratch_environment(interpreter, Path(scratch, "environment"))
        tests = bar(python, interpreter, source, environment)
        pattern = options.match or (INTEROP if options.interop else None)
        tests = [test for test in tests if not pattern or re.search(pattern, test)]
        if options.list:
            print("\n".join(tests))
            return 0
        outcome = run_all(python, tests, environment, Path(scratch), verbose=options.verbose)
    for words in outcome.left_over:
        print(f"left over {words}")
    good = len(outcome.passed) + len(outcome.skipped)
    known = suite.EXPECTED.get(interpreter.version, max(suite.EXPECTED.values()))
    expected = 1 if pattern else known
    if good + len(outcome.failed) < expected:
        print(f"too few tests: {good + len(outcome.failed)} of at least {expected}")
    print(f"{len(outcome.left_over)} processes left over, {monotonic() - started:.0f} s")
    print(f"{good} of {len(tests)} of the bar pass or skip")
    counts = (len(outcome.passed), len(outcome.failed), len(outcome.skipped))
    print("{} passed, {} failed, {} skipped".format(*counts))
    return 1 if outcome.failed or outcome.left_over or good < expected else 0


if __name__ == "__main__":
    sys.exit(main())
