"""A result that this process has no memory for: an error, as often as it is asked for."""

from __future__ import annotations

import sys

import pytest
from support import scripts
from support.implementations import Implementation

PROGRAM = """
import concurrent.futures
import resource

import allcores


def make(size):
    return b"x" * size


with allcores.ProcessPoolExecutor(1) as pool:
    pool.submit(make, 1).result()
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 400_000_000, resource.RLIM_INFINITY))
    asked = pool.submit(make, 250_000_000)
    for _ in range(2):
        try:
            asked.result(50)
        except MemoryError:
            print("no memory")
    waited_for = pool.submit(make, 250_000_000)
    print(len(concurrent.futures.wait([waited_for], 50).done))
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(len(asked.result()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="`RLIMIT_AS` and /proc are Linux's")
@pytest.mark.ours_only("a result can be asked for again")
def test_result_without_memory_is_an_error_and_can_be_asked_for_again(
    implementation: Implementation,
) -> None:
    result = scripts.run_file(PROGRAM)
    assert (result.code, result.words) == (0, "no memory\nno memory\n1\n250000000\n")
