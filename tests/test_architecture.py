"""The invariants of ARCHITECTURE.md: what is absent, and where.  Read from the sources, so that
they stay true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CRATES = ROOT / "crates"
PACKAGE = ROOT / "python" / "allcores"

MAY_BE_UNSAFE = (
    "crates/allcores-shm/",
    "crates/allcores-native/src/call.rs",
    "crates/allcores-py/src/view.rs",
)
MAY_READ_THE_CLOCK = ("crates/allcores-engine/src/clock.rs", "crates/allcores-cli/src/clock.rs")
NAMES_ATOMICS = ("crates/allcores-shm/src/primitive.rs",)
LINES_OF_A_FILE = 600


def rust(folder: Path) -> list[Path]:
    return _some(path for path in folder.rglob("*.rs") if "target" not in path.parts)


def python(folder: Path) -> list[Path]:
    return _some(folder.rglob("*.py"))


def _some(paths: Iterator[Path]) -> list[Path]:
    """A check that looks at nothing must not pass."""
    found = sorted(paths)
    assert found
    return found


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


RUST_WORDLESS = re.compile(
    r'//[^\n]*|/\*.*?\*/|r(#+)".*?"\1|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', re.DOTALL
)


def code_of(path: Path) -> str:
    """Rust without comments, strings and characters; lines keep their numbers."""
    return RUST_WORDLESS.sub(lambda found: "\n" * found.group().count("\n"), path.read_text())


def sites(pattern: str, paths: list[Path], allowed: tuple[str, ...] = ()) -> list[str]:
    """Where `pattern` stands in the code outside the `allowed` files and folders."""
    return [
        f"{name(path)}:{number}: {line.strip()}"
        for path in paths
        if not name(path).startswith(allowed or ("-",))
        for number, line in enumerate(code_of(path).splitlines(), 1)
        if re.search(pattern, line)
    ]


# Rust


def test_pyo3_is_a_dependency_of_the_binding_only() -> None:
    users = set()
    for manifest in _some(CRATES.glob("*/Cargo.toml")):
        tables = tomllib.loads(manifest.read_text())
        needs = {
            need
            for table in ("dependencies", "dev-dependencies", "build-dependencies")
            for need in tables.get(table, {})
        }
        users |= {manifest.parent.name} if any(need.startswith("pyo3") for need in needs) else set()
    assert users == {"allcores-py"}


@pytest.mark.parametrize(
    ("crate", "may_use"),
    [
        ("allcores-shm", set()),
        ("allcores-engine", {"allcores-shm"}),
        ("allcores-advice", set()),
        ("allcores-cli", set()),
        ("allcores-native", {"allcores-shm"}),
        (
            "allcores-py",
            {"allcores-engine", "allcores-advice", "allcores-cli", "allcores-native"},
        ),
    ],
)
def test_arrows_between_crates_point_downwards(crate: str, may_use: set[str]) -> None:
    needs = tomllib.loads((CRATES / crate / "Cargo.toml").read_text()).get("dependencies", {})
    assert {need for need in needs if need.startswith("allcores-")} <= may_use


def test_unsafe_stays_on_its_island() -> None:
    assert sites(r"\bunsafe\b", rust(CRATES), MAY_BE_UNSAFE) == []


def test_every_unsafe_says_why_it_is_sound() -> None:
    silent = []
    islands = [path for path in rust(CRATES) if name(path).startswith(MAY_BE_UNSAFE)]
    for path in islands:
        lines, code = path.read_text().splitlines(), code_of(path).splitlines()
        silent += [
            f"{name(path)}:{number + 1}: {lines[number].strip()}"
            for number, line in enumerate(code)
            if re.search(r"\bunsafe\b", line)
            and "SAFETY:" not in _words_above(lines, number)
            and "# Safety" not in _words_above(lines, number)
        ]
    assert silent == []


def _words_above(lines: list[str], number: int) -> str:
    """The comment above the statement that line `number` belongs to, and the line itself."""
    words = [lines[number]]
    above = number - 1
    while above >= 0 and not re.search(r"[;{}]\s*$|^\s*$|^\s*//", lines[above]):
        above -= 1
    while above >= 0 and re.match(r"\s*(//|#\[)", lines[above]):
        words.append(lines[above])
        above -= 1
    return "\n".join(words)


def test_crates_without_unsafe_forbid_it() -> None:
    libraries = [
        path
        for path in _some(CRATES.glob("*/src/lib.rs"))
        if path.parent.parent.name not in ("allcores-shm", "allcores-native", "allcores-py")
    ]
    assert libraries
    assert [
        name(path) for path in libraries if "#![forbid(unsafe_code)]" not in path.read_text()
    ] == []


def test_atomics_are_named_only_by_the_facade() -> None:
    assert (
        sites(r"\b(std|core|loom)::sync::atomic\b|\bUnsafeCell\b", _sources(), NAMES_ATOMICS) == []
    )


def _sources() -> list[Path]:
    return _some(path for path in rust(CRATES) if "/src/" in name(path))


def test_only_the_clock_reads_time_and_nobody_sleeps() -> None:
    assert sites(r"\b(Instant|SystemTime)::now\b", _sources(), MAY_READ_THE_CLOCK) == []
    assert sites(r"\bthread::(sleep|park_timeout)|\bnanosleep\b", rust(CRATES)) == []


def test_scheduler_knows_no_link_no_thread_no_clock_and_no_io() -> None:
    scheduler = rust(CRATES / "allcores-engine" / "src" / "scheduler")
    ours = r"\b(link|pool|collector|supervisor|clock)::"
    systems = r"\bstd::(thread|io|net|fs|process|os)\b|\bInstant\b|\bSystemTime\b|\brustix\b"
    assert sites(f"{ours}|{systems}", scheduler) == []


def test_memory_has_no_name_in_the_file_system() -> None:
    # Where there is no memfd, a name lives from `shm_open` to the unlinking in the next line.
    assert (
        sites(r"\bshm_open\b|/dev/shm", _sources(), ("crates/allcores-shm/src/segment.rs",)) == []
    )
    named = re.compile(r"shared_memory|SharedMemory|/dev/shm|NamedTemporaryFile|mkstemp")
    # The doctor looks at it, for the sake of others.
    makers = [path for path in python(PACKAGE) if path.name != "checkup.py"]
    assert [name(path) for path in makers if named.search(path.read_text())] == []


# Python


def imports(path: Path) -> set[str]:
    """The modules of ours that a module imports anywhere in it, as dotted names below
    `allcores`."""
    package = ["allcores", *path.relative_to(PACKAGE).with_suffix("").parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    ours = {each.removeprefix("allcores.") for each in found if each.startswith("allcores.")}
    return ours & (set(modules()) | {"_core"})


def modules() -> dict[str, Path]:
    """Our modules by dotted name below `allcores`; the packages' own files, which only hand on
    names, left out."""
    paths = [path for path in python(PACKAGE) if path.stem != "__init__"]
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in paths}


@pytest.mark.parametrize("module", ["errors", "settings"])
def test_errors_and_settings_import_nothing_of_ours(module: str) -> None:
    assert imports(PACKAGE / f"{module}.py") == set()


def test_modules_import_each_other_without_cycles() -> None:
    graph = {module: imports(path) for module, path in modules().items()}
    while free := {module for module, needs in graph.items() if not needs & graph.keys()}:
        graph = {module: needs for module, needs in graph.items() if module not in free}
    assert graph == {}


# What a module of the pool may not know: the story is codec, future, runtime, map, executor, and
# the worker's side knows none but the first.
UNKNOWN_TO = {
    "pool.codec": {"pool.future", "pool.map", "pool.executor", "pool.start", "pool.worker"},
    "pool.future": {"pool.map", "pool.executor", "pool.start", "pool.worker"},
    "pool.runtime": {"pool.map", "pool.executor"},
    "pool.map": {"pool.executor"},
    "pool.worker": {"pool.future", "pool.map", "pool.executor", "pool.start"},
    "pool.bootstrap": {"pool.future", "pool.map", "pool.executor", "pool.start"},
}


@pytest.mark.parametrize("module", UNKNOWN_TO)
def test_import_order_within_the_pool(module: str) -> None:
    graph = {each: imports(path) for each, path in modules().items()}
    known: set[str] = set()
    fresh = {module}
    while fresh := {need for each in fresh for need in graph.get(each, ())} - known:
        known |= fresh
    assert known & UNKNOWN_TO[module] == set()


def test_dask_is_named_in_one_file() -> None:
    named = re.compile(r"^\s*(?:from|import) (?:dask|distributed)\b|_dask\(", re.MULTILINE)
    assert [
        module for module, path in modules().items() if named.search(path.read_text("utf-8"))
    ] == ["ladder.backends.dask"]


def test_pool_knows_no_other_room() -> None:
    rooms = ("ladder", "native")
    assert [
        module
        for module, path in modules().items()
        if module.startswith("pool.") and any(each.startswith(rooms) for each in imports(path))
    ] == []


# What starting a worker may import, beside what the interpreter itself has imported by then: each
# costs every worker.
WORKER_MAY_IMPORT = {
    "__future__", "_collections", "_compat_pickle", "_functools", "_operator", "_pickle",
    "_socket", "_sre", "_struct", "_typing", "_weakrefset", "allcores", "array", "collections",
    "contextlib", "copyreg", "enum", "errno", "faulthandler", "fcntl", "functools", "importlib",
    "itertools", "keyword",
    "math", "multiprocessing", "operator", "org", "pickle", "re", "reprlib", "select",
    "selectors", "signal", "socket", "struct", "threading", "types", "typing", "warnings",
}  # fmt: skip
WORKER_MUST_NOT_IMPORT = {
    "allcores.pool.executor",
    "allcores.pool.map",
    "allcores.pool.future",
    "concurrent.futures",
}


# What a program that makes a pool need not have, with the figure of a cold start as the reason.
POOL_MUST_NOT_IMPORT = {
    "allcores.pool.context",
    "allcores.pool.death",
    "allcores.pool.libraries",
    "allcores.pool.main_module",
    "allcores.pool.map",
    "allcores.pool.options",
    "cloudpickle",
    "concurrent.futures.process",
    "contextvars",
    "dataclasses",
    "dis",
    "inspect",
    "multiprocessing.connection",
    "numpy",
    "tempfile",
    "typing",
}


def test_first_call_of_a_pool_imports_little() -> None:
    code = (
        "import operator, sys, allcores\n"
        "with allcores.ProcessPoolExecutor(1) as pool:\n"
        "    pool.submit(operator.add, 1, 2).result()\n"
        f"sys.exit(str({POOL_MUST_NOT_IMPORT} & sys.modules.keys() or ''))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert run.stderr.strip() == ""


def test_worker_starts_with_few_imports() -> None:
    def imported(code: str) -> set[str]:
        run = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", code],
            capture_output=True,
            text=True,
            check=True,
        )
        return {
            line.rpartition("|")[2].strip()
            for line in run.stderr.splitlines()
            if line.startswith("import time:")
        }

    more = imported("import allcores.pool.worker") - imported("pass")
    assert "allcores.pool.worker" in more
    assert {
        each
        for each in more
        if not each.startswith("_frozen") and each.partition(".")[0] not in WORKER_MAY_IMPORT
    } == set()
    assert more & WORKER_MUST_NOT_IMPORT == set()


# Both


def test_no_file_is_too_long() -> None:
    folders = [ROOT / each for each in ("python", "tests", "benchmarks", "examples")]
    scripts = [
        path
        for folder in folders
        for suffix in ("py", "pyi")
        for path in folder.rglob(f"*.{suffix}")
    ]
    files = [*rust(CRATES), *_some(iter(scripts))]
    long = {
        name(path): count
        for path in files
        if (count := len(path.read_text().splitlines())) > LINES_OF_A_FILE
    }
    assert long == {}


def test_tests_wait_for_events_and_not_for_time() -> None:
    sleeps = [
        f"{name(path)}:{node.lineno}"
        for path in python(ROOT / "tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "sleep"
    ]
    assert sleeps == []


def test_no_test_is_left_out() -> None:
    """Skipping for a missing platform is the only way out, and its condition says so."""
    left_out = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in python(ROOT / "tests")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\bpytest\.(mark\.)?(skip|xfail|importorskip)|\bunittest\.skip", line)
        and not re.search(r"skipif\(\s*(not )?sys\.platform", line)
    ]
    assert left_out == []
    assert sites(r"#\[ignore", rust(CRATES)) == []
