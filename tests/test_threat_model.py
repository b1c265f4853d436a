"""What `docs/threat-model.md` says of who can reach what, looked up in the running processes."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import processes
from support.implementations import START_METHODS, Implementation

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into Linux's /proc")

OURS = "memfd:allcores"
SEALED = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def descriptors(pid: int) -> dict[int, str]:
    """What a process holds open, by number."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
    return found


def seals_and_modes() -> list[tuple[str, int, int]]:
    """Of each piece of memory that a worker holds: its name, its seals, who may open it."""
    return [
        (name, fcntl.fcntl(fd, fcntl.F_GET_SEALS), os.fstat(fd).st_uid)
        for fd, name in descriptors(os.getpid()).items()
        if OURS in name
    ]


LOOK = """
import os
for name in os.listdir("/proc/self/fd"):
    if os.path.lexists(f"/proc/self/fd/{name}"):
        print(os.readlink(f"/proc/self/fd/{name}"))
"""


def held_by_a_program() -> list[str]:
    """What a program started by a task finds open."""
    command = [sys.executable, "-c", LOOK]
    ran = subprocess.run(command, close_fds=False, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


def listening() -> dict[str, str]:
    """The sockets of this machine that somebody listens on: inode to path (empty: TCP)."""
    found = {}
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & 0x10000:
            found[fields[6]] = fields[7] if len(fields) > 7 else ""
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == "0A":
                found[fields[9]] = ""
    return found


def listened_on_by(pids: set[int]) -> set[str]:
    """The paths of the sockets that these processes listen on."""
    known = listening()
    held = {name for pid in pids for name in descriptors(pid).values()}
    return {path for inode, path in known.items() if f"socket:[{inode}]" in held}


@pytest.fixture
def ours() -> Implementation:
    return Implementation.load("allcores")


@pytest.mark.parametrize("start_method", START_METHODS)
def test_nobody_listens_but_the_fork_server_of_multiprocessing(
    ours: Implementation, start_method: str
) -> None:
    before = listened_on_by({os.getpid(), *processes.descendants(os.getpid())})
    with ours.pool(start_method) as pool:
        assert pool.submit(os.getpid).result(timeout=50)
        paths = listened_on_by({os.getpid(), *processes.descendants(os.getpid())}) - before
    assert len(paths) <= (1 if start_method in ("default", "forkserver") else 0)
    for path in paths:
        socket = os.stat(path)
        assert Path(path).name.startswith("listener-")
        assert stat.S_IMODE(socket.st_mode) == 0o600
        assert stat.S_IMODE(os.stat(Path(path).parent).st_mode) == 0o700


@pytest.mark.parametrize("start_method", START_METHODS)
def test_shared_memory_is_sealed_and_belongs_to_this_user(
    ours: Implementation, start_method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLCORES_LINK", "shm")
    with ours.pool(start_method) as pool:
        held = pool.submit(seals_and_modes).result(timeout=50)
    memory = [(seals, owner) for name, seals, owner in held if "box" not in name]
    assert memory
    assert {(seals & SEALED, owner) for seals, owner in memory} == {(SEALED, os.getuid())}


@pytest.mark.parametrize("start_method", START_METHODS)
def test_a_program_that_a_task_starts_has_nothing_of_ours(
    ours: Implementation, start_method: str
) -> None:
    before = set(descriptors(os.getpid()).values())
    with ours.pool(start_method) as pool:
        held = pool.submit(held_by_a_program).result(timeout=50)
    assert held
    assert [name for name in held if OURS in name] == []
    assert [name for name in held if name.startswith("socket:") and name not in before] == []


def test_other_users_cannot_look_into_a_workers_descriptors(ours: Implementation) -> None:
    with ours.pool() as pool:
        pid = pool.submit(os.getpid).result(timeout=50)
        mode: Any = stat.S_IMODE(os.stat(f"/proc/{pid}/fd").st_mode)
    assert mode == 0o500
