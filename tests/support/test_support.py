"""The measuring itself: what is left over is found, what ends by itself is waited for, and a hang
ends."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import threading
from multiprocessing import shared_memory
from pathlib import Path

import pytest

from support import leaks, scripts

AT_ONCE = 0.05  # for what is there to stay; what is to go is given the full time
WAITS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


def test_descriptor_left_over_is_found() -> None:
    before = leaks.Holdings.now()
    reader, writer = os.pipe()
    assert [words.split()[0] for words in leaks.left_over_since(before, AT_ONCE)] == [
        "descriptors:"
    ] * 2
    os.close(reader)
    os.close(writer)
    assert leaks.left_over_since(before) == []


def test_thread_left_over_is_found() -> None:
    before, gate = leaks.Holdings.now(), threading.Event()
    thread = threading.Thread(target=gate.wait, name="left")
    thread.start()
    left = leaks.left_over_since(before, AT_ONCE)
    gate.set()
    thread.join()
    assert len(left) == 2
    assert "python thread left" in left[0]
    assert "system thread" in left[1]
    assert leaks.left_over_since(before) == []


def test_child_left_over_is_found_and_its_ending_is_waited_for() -> None:
    before = leaks.Holdings.now()
    child = subprocess.Popen(WAITS, stdin=subprocess.PIPE)
    assert any(
        "processes:" in words and "sys.stdin.read()" in words
        for words in leaks.left_over_since(before, AT_ONCE)
    )
    assert child.stdin
    child.stdin.close()
    assert leaks.left_over_since(before) == []
    child.wait()


def test_orphan_left_over_is_found_and_collected() -> None:
    before = leaks.Holdings.now()
    reader, writer = os.pipe()
    start = f"import os, subprocess; subprocess.Popen({WAITS!r}, stdin={reader})"
    subprocess.run([sys.executable, "-c", start], pass_fds=[reader], check=True)
    os.close(reader)
    assert any("processes:" in words for words in leaks.left_over_since(before, AT_ONCE))
    os.close(writer)
    assert leaks.left_over_since(before) == []


def test_mapping_and_shm_file_left_over_are_found() -> None:
    before = leaks.Holdings.now()
    number = os.memfd_create("left")
    os.ftruncate(number, 4096)
    mapping = mmap.mmap(number, 4096)
    os.close(number)
    named = shared_memory.SharedMemory(create=True, size=4096)
    kinds = {words.split(":")[0] for words in leaks.left_over_since(before, AT_ONCE)}
    mapping.close()
    named.close()
    named.unlink()
    assert kinds >= {"descriptors", "mappings", "shm_files"}
    assert leaks.left_over_since(before) == []


HANGS = """
import subprocess, sys, threading

def test_first_hangs():
    subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    {hang}

def test_second_runs():
    pass
"""


INTERRUPTIBLE = "threading.Event().wait()"
STUBBORN = """while True:
        try:
            threading.Event().wait()
        except BaseException:
            pass
"""


@pytest.mark.parametrize(
    ("hang", "limits", "ending"),
    [
        pytest.param(INTERRUPTIBLE, "0.5 20", "Hang: the test ran longer", id="interruptible"),
        pytest.param(STUBBORN, "0.5 0.5", "", id="stubborn"),
    ],
)
def test_watchdog_shows_every_stack_and_ends_a_hang(
    hang: str, limits: str, ending: str, tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text((scripts.TESTS / "conftest.py").read_text())
    (tmp_path / "test_hangs.py").write_text(HANGS.format(hang=hang))
    more = {"ALLCORES_TEST_LIMITS": limits}
    options = ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    result = scripts.run(["-m", "pytest", *options, str(tmp_path)], more=more)
    assert "Current thread" in result.words or "most recent call first" in result.words
    assert "in test_first_hangs" in result.words
    assert result.code == (1 if ending else -9), result.words
    assert ending in result.words
    assert ("1 passed" in result.words) == bool(ending)
