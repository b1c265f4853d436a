"""What does a future cost in the parent while its task waits?"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.peers import WORKERS, Pool
from benchmarks.question import SUBMITTERS, Column, Question, Sizes, Values, check
from benchmarks.tasks import add1, wait_for_file


def measure(pool: Pool, sizes: Sizes) -> Values:
    """Memory is read before and after submitting behind blocked workers; then these go on."""
    submit, result, tasks, checked = pool.submit, pool.result, sizes["tasks"], sizes["checked"]
    assert submit is not None
    assert result is not None
    handles: list[Any] = [None] * tasks
    with tempfile.TemporaryDirectory() as scratch:
        gate = Path(scratch, "gate")
        blocked = [submit(wait_for_file, str(gate)) for _ in range(WORKERS)]
        time.sleep(0.1)
        before = Footprint()
        for i in range(tasks):
            handles[i] = submit(add1, i)
        after = Footprint()
        gate.touch()
        check([result(handle) for handle in blocked] == [str(gate)] * WORKERS, "wait_for_file")
        results = [result(handle) for handle in handles[:checked]]
    check(results == list(range(1, checked + 1)), "add1")
    private, shared = after.private - before.private, after.shared - before.shared
    return {
        "bytes": (private + shared) / tasks,
        "shared": shared / tasks,
        "rss": (after.rss - before.rss) / tasks,
        "pss": (after.pss - before.pss) / tasks,
    }


class Footprint:
    """Bytes of this process, read from Linux's /proc."""

    def __init__(self) -> None:
        gc.collect()
        status = _fields("/proc/self/status")
        self.private = status["RssAnon"]
        """Its private memory."""
        self.rss = status["VmRSS"]
        self.pss = _fields("/proc/self/smaps_rollup")["Pss"]
        self.shared = _shared_memory()
        """All shared memory it holds open, in full, whoever else maps it, and whether it maps it
        itself or not.
        """


def _fields(path: str) -> dict[str, int]:
    rows = (line.split() for line in Path(path).read_text().splitlines())
    return {
        row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) == 3 and row[2] == "kB"
    }


def _shared_memory() -> int:
    """Each file once: the blocks it has, if a descriptor is open; else the pages of it that are
    mapped and present.
    """
    blocks: dict[int, int] = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            target, status = os.readlink(f"/proc/self/fd/{fd}"), os.stat(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # the descriptor of this very listing
            continue
        if _is_shared(target):
            blocks[status.st_ino] = status.st_blocks * 512

    mapped: dict[int, int] = {}
    inode = 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            inode = int(words[4]) if len(words) > 5 and _is_shared(words[5]) else 0
        elif inode and words[0] == "Rss:":
            mapped[inode] = mapped.get(inode, 0) + int(words[1]) * 1024
    return sum((mapped | blocks).values())


def _is_shared(path: str) -> bool:
    return path.startswith(("/memfd:", "/dev/shm/"))


QUESTION = Question(
    name="pending_memory",
    title="Memory of a pending future",
    how=(
        "100,000 x `submit(add1, i)` behind two blocked workers: growth of the parent per task. "
        "Private memory plus all shared memory that the parent holds (counted in full), of which "
        "shared; and what RSS and PSS say. The list that holds the futures is not counted. "
        "The first 2,000 results are checked."
    ),
    columns=(
        Column("bytes", "bytes per future"),
        Column("shared", "of which shared", "neither"),
        Column("rss", "RSS"),
        Column("pss", "PSS"),
    ),
    peers=tuple(peer for peer in SUBMITTERS if peer != "serial"),
    sizes={"tasks": 100_000, "checked": 2_000},
    trial_sizes={"tasks": 5_000, "checked": 100},
    rounds=2,
    rounds_at_least=2,
    queue_mb=256,
    leaves_at_once=True,
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
