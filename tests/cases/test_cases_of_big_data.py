"""C37, C40-C43: gigabytes take no more memory than they have, shortage is an error, and nothing of
it is left. (C35, C36, C38, C39, C44 are in `tests/data`.)"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support import processes, scripts
from support.implementations import Implementation

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
OURS = pytest.mark.ours_only("more keywords")

MEMORY = """
import os
from pathlib import Path

import numpy

import allcores
from support import buffers, tasks


def memory():
    '''Of this process and its workers: shared pages are counted once.'''
    pids = [os.getpid(), *pool._processes]
    rows = [row for pid in pids for row in Path(f"/proc/{pid}/smaps_rollup").open()]
    return sum(int(row.split()[1]) * 1024 for row in rows if row.startswith("Pss:"))


def written():
    rows = Path("/proc/self/io").read_text().split()
    return int(rows[rows.index("write_bytes:") + 1])
"""


def program(body: str) -> str:
    return MEMORY + body


@LINUX
@OURS
def test_c37_a_gigabyte_for_eight_tasks_is_there_once_more(implementation: Implementation) -> None:
    result = scripts.run_file(
        program("""
size = 1 << 30
values = numpy.ones(size // 8)
with allcores.ProcessPoolExecutor(2) as pool:
    pool.submit(buffers.pages_of, values[:1000]).result()
    pool.submit(buffers.pages_of, values[:1000]).result()
    before, disk = memory(), written()
    futures = [pool.submit(buffers.pages_of, values) for _ in range(8)]
    assert {future.result() for future in futures} == {size / 4096}
    assert pool.submit(buffers.keep, values).result() == 1
    assert memory() - before < 1.2 * size, (memory() - before) / size
    assert written() - disk < size / 10, written() - disk
    assert not list(Path("/dev/shm").glob("*allcores*"))
print("well")
""")
    )
    assert (result.code, result.words) == (0, "well\n")


@LINUX
@OURS
def test_c40_an_array_beyond_what_shared_memory_may_have_is_an_error_with_the_reason(
    implementation: Implementation,
) -> None:
    """The limit of a file's size is that of a segment's, too."""
    result = scripts.run_file(
        program("""
import resource

with allcores.ProcessPoolExecutor(1) as pool:
    pool.submit(tasks.add_one, 1).result()
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, resource.RLIM_INFINITY))
    error = pool.submit(buffers.pages_of, numpy.ones(200 << 17)).exception(40)
    print(type(error).__name__, "hint:" in str(error))
    print(pool.submit(buffers.pages_of, numpy.ones(20 << 17)).result(40))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(pool.submit(buffers.pages_of, numpy.ones(200 << 17)).result(40))
""")
    )
    assert (result.code, result.words) == (0, "BrokenProcessPool True\n5120.0\n51200.0\n")


@LINUX
@OURS
def test_c40_a_result_beyond_what_shared_memory_may_have_is_an_error_with_the_reason(
    implementation: Implementation,
) -> None:
    result = scripts.run_file(
        program("""
import resource


def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, resource.RLIM_INFINITY))


with allcores.ProcessPoolExecutor(1, initializer=limit) as pool:
    error = pool.submit(numpy.ones, 200 << 17).exception(40)
    print(type(error).__name__, "hint:" in str(error))
    print(len(pool.submit(numpy.ones, 20 << 17).result(40)))
""")
    )
    assert (result.code, result.words) == (0, "OSError True\n2621440\n")


@LINUX
@OURS
def test_c41_three_gigabytes_go_in_and_come_back(implementation: Implementation) -> None:
    """More than two are too much for the length of a message elsewhere."""
    result = scripts.run_file(
        program("""
size = 3 << 30
with allcores.ProcessPoolExecutor(1) as pool:
    values = numpy.zeros(size, dtype=numpy.uint8)
    values[-1] = 7
    got = pool.submit(tasks.identity, values).result()
    assert (len(got), got[0], got[-1]) == (size, 0, 7)
    del got, values
    got = pool.submit(buffers.large_bytes, size).result()
    assert (len(got), got[-1]) == (size, 0)
print("well")
""")
    )
    assert (result.code, result.words) == (0, "well\n")


@OURS
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_c42_results_stay_when_their_worker_has_gone_and_nobody_warns(
    implementation: Implementation, method: str
) -> None:
    program = f"""
import multiprocessing

import numpy

import allcores
from support import buffers

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    with allcores.ProcessPoolExecutor(1, context) as pool:
        results = [pool.submit(buffers.large, seed).result() for seed in range(5)]
    assert [result[-1] for result in results] == [0, 1, 2, 3, 4]
    results[2][:] = 9
    print(results[1][0], results[2][-1])
"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program.py")
        path.write_text(program)
        result = scripts.run(["-W", "error", str(path)])
    assert (result.code, result.words) == (0, "1.0 9.0\n")


@LINUX
@OURS
def test_c43_no_segment_is_left_of_a_killed_parent(implementation: Implementation) -> None:
    source = program("""
import time

pool = allcores.ProcessPoolExecutor(2)
values = numpy.ones(4 << 20)
kept = [pool.submit(tasks.identity, values).result() for _ in range(3)]
running = [pool.submit(time.sleep, 1000) for _ in range(2)]
print(*pool._processes, flush=True)
time.sleep(1000)
""")
    before = _names()
    parent = subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, env=scripts.environment(), text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        workers = [int(pid) for pid in parent.stdout.readline().split()]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert processes.wait_until_gone(workers, 20) == set()
    assert _names() == before


def _names() -> set[str]:
    return set(os.listdir("/dev/shm"))
