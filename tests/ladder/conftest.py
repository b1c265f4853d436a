"""`backend`: each of the ladder's, one after the other; machines that are not this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import rungs

from allcores.ladder import machine


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("backends")
        names = marker.args if marker else rungs.BACKENDS
        metafunc.parametrize("backend", names, indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return rungs.prepare(request.param, monkeypatch)


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> machine.Machine:
    """The usual machine, whatever the cache of this one's user says."""
    usual = machine.Machine(tmp_path / "cache" / "machine.json")
    usual._factor = 1.0
    monkeypatch.setattr(machine, "_here", usual)
    return usual


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of two, whatever this one has."""
    constants = machine.Machine.constants

    def of_two(self: machine.Machine, **given: Any) -> dict[str, Any]:
        return {**constants(self, **given), "cores": 2}

    monkeypatch.setattr(machine.Machine, "constants", of_two)
