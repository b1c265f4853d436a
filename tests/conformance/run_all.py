"""Runs CPython's executor tests on every supported interpreter present, over both links.

    python tests/conformance/run_all.py --wheel WHEEL

The wheel is built for the stable ABI, so one serves all interpreters; each gets a fresh virtual
environment with the wheel and what it depends on.  Interpreters are looked for in pyenv's folder
and on the path.  Ends with one line a run and `N runs passed, N failed`; the exit status is 1 when
a run failed or none was made.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import suite

OLDEST_MINOR, NEWEST_MINOR = 11, 15
LINKS = ("shm", "stream")


def interpreters() -> list[suite.Interpreter]:
    """One for each supported minor version: the newest of pyenv's, else the one on the path."""
    found: dict[int, suite.Interpreter] = {}
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for minor in range(OLDEST_MINOR, NEWEST_MINOR + 1):
        candidates = [
            str(path)
            for path in sorted(
                pyenv.glob(f"versions/3.{minor}.*/bin/python"), key=_patch, reverse=True
            )
        ]
        if not candidates and (on_path := shutil.which(f"python3.{minor}")):
            candidates = [on_path]
        for candidate in candidates[:1]:
            try:
                found[minor] = suite.Interpreter.ask(candidate)
            except subprocess.CalledProcessError:
                print(f"{candidate} does not run: left out")
    return list(found.values())


def _patch(interpreter: Path) -> int:
    digits = interpreter.parent.parent.name.split(".")[2]
    return int(digits) if digits.isdigit() else -1


def with_wheel(interpreter: suite.Interpreter, wheel: Path, folder: Path) -> str:
    subprocess.run([interpreter.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin/python")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel],
        check=True,
    )
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, required=True, help="the wheel of allcores to test")
    parser.add_argument("--match", help="passed on to run.py")
    options = parser.parse_args()
    runner = [str(suite.HERE / "run.py"), *(["--match", options.match] if options.match else [])]
    lines, failed = [], 0
    with tempfile.TemporaryDirectory(prefix="allcores-conformance-") as scratch:
        for interpreter in interpreters():
            python = with_wheel(interpreter, options.wheel, Path(scratch, interpreter.version))
            for link in LINKS:
                code = subprocess.run(
                    [sys.executable, *runner, "--python", python, "--link", link]
                ).returncode
                failed += code != 0
                word = "failed" if code else "passed"
                lines.append(f"Python {interpreter.full_version}, link {link}: {word}")
    print("\n".join(lines))
    print(f"{len(lines) - failed} runs passed, {failed} failed")
    return 1 if failed or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
