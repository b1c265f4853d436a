"""For each test: nothing may be left over, nothing may hang, and the standard library runs it as
well as allcores.

Fixtures: `implementation` (both, unless the test is marked `ours_only`), `link` (both links of
allcores), `rng` (seeded), `meeting` (where workers wait for the test).
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from support import leaks
from support.implementations import DIFFERENCES, Implementation
from support.meetings import Meeting
from support.watchdog import Watchdog

# A shell that starts the tests in the background has Ctrl-C ignored, and so would their programs.
signal.signal(signal.SIGINT, signal.default_int_handler)

with mock.patch.dict(os.environ, {"OPENBLAS_NUM_THREADS": "1"}):
    # Threads of numpy's would be there in every test: a process that has some is not forked.
    importlib.import_module("numpy")

IMPLEMENTATIONS = ("stdlib", "allcores")
LINKS = ("shm", "stream")
WATCHDOG = pytest.StashKey[Watchdog]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--implementation", choices=IMPLEMENTATIONS, help="run the tests of one implementation only"
    )
    parser.addoption(
        "--seed",
        type=int,
        default=random.SystemRandom().randrange(2**32),
        help="seed of random tests",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "ours_only(difference): allcores only; names the intended difference"
    )
    config.addinivalue_line(
        "markers", "backends(names): the backends of the ladder that a test runs on; else all"
    )
    leaks.adopt_orphans()
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        stderr = os.dup(2)
    config.stash[WATCHDOG] = Watchdog(stderr)


def pytest_unconfigure(config: pytest.Config) -> None:
    if WATCHDOG in config.stash:
        config.stash[WATCHDOG].close()


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {config.getoption('seed')} (repeat with --seed)"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    only_ours = metafunc.definition.get_closest_marker("ours_only")
    if only_ours and only_ours.args[0] not in DIFFERENCES:
        raise ValueError(f"`{only_ours.args[0]}` is no intended difference")
    if "implementation" in metafunc.fixturenames:
        names = IMPLEMENTATIONS[1:] if only_ours else IMPLEMENTATIONS
        metafunc.parametrize("implementation", names, indirect=True)
    if "link" in metafunc.fixturenames:
        metafunc.parametrize("link", LINKS, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("implementation")
    dropped = [item for item in items if _is_unwanted(item, wanted)]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]


def _is_unwanted(item: pytest.Item, wanted: str | None) -> bool:
    params = item.callspec.params if hasattr(item, "callspec") else {}
    name = params.get("implementation", wanted)
    return (wanted is not None and name != wanted) or (
        name == "stdlib" and params.get("link", "shm") != "shm"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    watchdog = item.config.stash[WATCHDOG]
    watchdog.watch()
    try:
        return (yield)
    finally:
        watchdog.rest()


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    before = leaks.Holdings.now()
    yield
    left = leaks.left_over_since(before)
    assert not left, "left over by the test:\n" + "\n".join(left)


@pytest.fixture
def implementation(request: pytest.FixtureRequest) -> Implementation:
    return Implementation.load(request.param)


@pytest.fixture
def link(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ALLCORES_LINK", request.param)
    name: str = request.param
    return name


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    seed = f"{request.config.getoption('seed')} {request.node.nodeid}"
    print(f"seed: {seed}")
    return random.Random(seed)


@pytest.fixture
def meeting() -> Iterator[Meeting]:
    with tempfile.TemporaryDirectory() as folder:
        meeting = Meeting(Path(folder))
        yield meeting
        meeting.close()
