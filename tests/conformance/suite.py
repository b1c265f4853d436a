"""Finds CPython's executor tests for an interpreter, and says which of them count.

Nothing of CPython's is kept in this repository.  The tests are, in this order: the interpreter's
own; those of an interpreter of the same version installed beside it (pyenv's `versions` folder);
those of Debian's `libpythonX.Y-testsuite`; those of the nearest other version installed beside it,
called *foreign*.  A foreign suite needs a few names that the older standard library lacks
(`substitute.py` adds them) and a few of its tests do not apply (`NOT_FOR_OLDER`).
"""

from __future__ import annotations

import fnmatch
import glob
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

# How many tests of the bar pass or are skipped on the standard library itself.
EXPECTED = {"3.11": 266, "3.12": 273, "3.13": 276}

# Tests of 3.13 which check a change made to 3.13's own standard library.
NOT_FOR_OLDER = ("FailingInitializerResourcesTest.*", "*.test_python_finalization_error")

MODULES = (
    "test_asyncio.test_base_events",
    "test_asyncio.test_events",
    "test_asyncio.test_futures",
    "test_asyncio.test_tasks",
    "test_asyncio.test_threads",
    "test_compileall",
    "test_context",
)

FACTS = """
import json, os, sys, sysconfig
print(json.dumps({
    "version": sysconfig.get_python_version(),
    "full_version": sys.version.split()[0],
    "executable": sys.executable,
    "base": sys.base_prefix,
    "stdlib": sysconfig.get_path("stdlib"),
    "sites": [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))],
}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What an interpreter says about itself."""

    version: str
    full_version: str
    executable: str
    base: str
    stdlib: str
    sites: list[str]

    @classmethod
    def ask(cls, python: str) -> Interpreter:
        answer = subprocess.run([python, "-c", FACTS], check=True, capture_output=True, text=True)
        return cls(**json.loads(answer.stdout))

    @property
    def minor(self) -> int:
        return int(self.version.split(".")[1])


@dataclass(frozen=True, slots=True)
class Source:
    """Where the tests come from: a `test` folder that is to complete the interpreter's own one
    (None: nothing lacks)."""

    folder: Path | None
    words: str
    foreign: bool = False


def locate(interpreter: Interpreter, cache: Path) -> Source:
    """The tests for this interpreter; raises `LookupError` when there are none on this machine."""
    if _has_tests(Path(interpreter.stdlib, "test")):
        return Source(None, "the interpreter's own tests")
    neighbours = sorted(
        (abs(int(minor) - interpreter.minor), -int(minor), folder)
        for folder in glob.glob(f"{os.path.dirname(interpreter.base)}/*/lib/python3.*/test")
        for minor in re.findall(r"python3\.(\d+)/test$", folder)
        if _has_tests(Path(folder))
    )
    if neighbours and neighbours[0][0] == 0:
        return Source(Path(neighbours[0][2]), "a neighbour's tests of the same version")
    if packaged := _debian(interpreter.version, cache):
        return Source(packaged, f"Debian's libpython{interpreter.version}-testsuite")
    if neighbours:
        return Source(
            Path(neighbours[0][2]), f"foreign tests: Python 3.{-neighbours[0][1]}'s", foreign=True
        )
    raise LookupError(f"no test_concurrent_futures for Python {interpreter.full_version}")


def _has_tests(folder: Path) -> bool:
    return (folder / "test_concurrent_futures").is_dir() or (
        folder / "test_concurrent_futures.py"
    ).is_file()


def _debian(version: str, cache: Path) -> Path | None:
    """Unpacks the distribution's package of tests; only the distribution's own Python has one."""
    if not Path(f"/usr/bin/python{version}").exists():
        return None
    home = cache / f"libpython{version}-testsuite"
    tests = home / f"usr/lib/python{version}/test"
    if not _has_tests(tests):
        home.mkdir(parents=True, exist_ok=True)
        fetch = ["apt-get", "download", f"libpython{version}-testsuite"]
        if subprocess.run(fetch, cwd=home, capture_output=True).returncode:
            subprocess.run(["apt-get", "update"], capture_output=True)
            if subprocess.run(fetch, cwd=home, capture_output=True).returncode:
                return None
        for package in home.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, home], check=True)
    return tests if _has_tests(tests) else None


def modules(interpreter: Interpreter, source: Source) -> list[str]:
    """The test modules to look into."""
    folder = (source.folder or Path(interpreter.stdlib, "test")) / "test_concurrent_futures"
    parts = [f"test_concurrent_futures.{file.stem}" for file in sorted(folder.glob("test_*.py"))]
    return [f"test.{name}" for name in (*(parts or ["test_concurrent_futures"]), *MODULES)]


def of_the_bar(tests: list[str], source: Source) -> list[str]:
    """Those of `tests` that an implementation has to pass."""
    selected, private = _patterns("selected_tests.txt"), _patterns("private_tests.txt")
    refused = (*private, *NOT_FOR_OLDER) if source.foreign else private
    return [
        test
        for test in tests
        if any(fnmatch.fnmatchcase(test, pattern) for pattern in selected)
        and not any(
            fnmatch.fnmatchcase(".".join(test.split(".")[-2:]), pattern) for pattern in refused
        )
    ]


def _patterns(name: str) -> list[str]:
    lines = (HERE / name).read_text().splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]
