"""Whoever kills the parent, its workers end at once: idle or busy, in Python or in C, whatever
thread started them. What their tasks have started is none of the leash's business."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from support import processes, scripts
from support.implementations import START_METHODS, Implementation

pytestmark = [
    pytest.mark.ours_only("workers follow their parent"),
    pytest.mark.skipif(sys.platform != "linux", reason="the leash is Linux's"),
]

BOUND_SECONDS = 20.0  # for a machine that is busy with other things; it takes a millisecond

PARENT = '''
import multiprocessing, os, subprocess, threading, time
import allcores

def say(*words):
    os.write(1, " ".join(map(str, words)).encode() + b"\\n")

def spin():
    say(os.getpid())
    while True:
        pass

def sleep_in_c():
    say(os.getpid())
    time.sleep(1000)

def hold_a_lock_of_c():
    say(os.getpid())
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def nest(task, method):
    inner = make(method)
    running = [inner.submit(task) for _ in range(2)]
    say(os.getpid())
    running[0].result()

def leashes(pid):
    """Which descriptors of the process send a signal when something happens."""
    found = []
    for name in os.listdir(f"/proc/{{pid}}/fdinfo"):
        try:
            flags = open(f"/proc/{{pid}}/fdinfo/{{name}}").read().partition("flags:")[2].split()[0]
        except FileNotFoundError:
            continue
        if int(flags, 8) & os.O_ASYNC:
            found.append(name)
    return found

def wait_for_the_test():
    say(os.getpid(), len(leashes(os.getpid())))
    open({fifo!r}).read()

def leave_a_child(kind):
    if kind == "fork":
        if os.fork() == 0:
            wait_for_the_test()
            os._exit(0)
    elif kind == "program":
        child = subprocess.Popen(["cat", {fifo!r}], close_fds=False)
        say(child.pid, len(leashes(child.pid)))
    else:
        child = multiprocessing.get_context(kind).Process(target=wait_for_the_test)
        child.start()
    say(os.getpid(), len(leashes(os.getpid())))
    time.sleep(1000)

def make(method):
    context = None if method == "default" else multiprocessing.get_context(method)
    return allcores.ProcessPoolExecutor(2, context)

if __name__ == "__main__":
{body}
    threading.Event().wait()
'''


@contextmanager
def parent(body: str) -> Iterator[tuple[subprocess.Popen[str], IO[str], str]]:
    """A program with a pool: its process, what it and its workers say, and a file that what tasks
    leave behind waits for."""
    with tempfile.TemporaryDirectory() as folder:
        fifo = str(Path(folder, "fifo"))
        os.mkfifo(fifo)
        path = Path(folder, "program.py")
        path.write_text(
            PARENT.format(fifo=fifo, body=textwrap.indent(textwrap.dedent(body), "    "))
        )
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", str(path)],
            stdout=subprocess.PIPE,
            text=True,
            env=scripts.environment(),
        ) as process:
            assert process.stdout
            try:
                yield process, process.stdout, fifo
            finally:
                processes.kill([*processes.descendants(process.pid), process.pid])


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def all_end_when_killed(body: str, sayings: int) -> None:
    with parent(body) as (process, words, _):
        said = {int(words.readline()) for _ in range(sayings)}
        everybody = processes.descendants(process.pid)
        assert said <= everybody
        kill(process)
        assert processes.wait_until_gone(everybody, BOUND_SECONDS) == set()


@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize("task", ["spin", "sleep_in_c", "hold_a_lock_of_c"])
def test_c69_busy_workers_end_when_their_parent_is_killed(
    implementation: Implementation, start_method: str, task: str
) -> None:
    body = f"""
    pool = make({start_method!r})
    running = [pool.submit({task}) for _ in range(2)]
    """
    all_end_when_killed(body, sayings=2)


@pytest.mark.parametrize("start_method", START_METHODS)
def test_c69_idle_workers_end_when_their_parent_is_killed(
    implementation: Implementation, start_method: str
) -> None:
    body = f"""
    pool = make({start_method!r})
    say(pool.submit(os.getpid).result())
    """
    all_end_when_killed(body, sayings=1)


@pytest.mark.parametrize("start_method", START_METHODS)
def test_c70_workers_of_a_thread_that_has_gone_outlive_it_and_end_when_their_parent_is_killed(
    implementation: Implementation, start_method: str
) -> None:
    body = f"""
    pool = make({start_method!r})
    running = []
    thread = threading.Thread(target=lambda: running.extend(pool.submit(spin) for _ in range(2)))
    thread.start()
    thread.join()
    """
    all_end_when_killed(body, sayings=2)


@pytest.mark.parametrize("start_method", START_METHODS)
def test_workers_of_workers_end_when_the_first_parent_is_killed(
    implementation: Implementation, start_method: str
) -> None:
    body = f"""
    pool = make({start_method!r})
    running = [pool.submit(nest, spin, {start_method!r}) for _ in range(2)]
    """
    all_end_when_killed(body, sayings=6)


@pytest.mark.parametrize("kind", ["fork", "spawn", "program"])
@pytest.mark.parametrize("start_method", START_METHODS)
def test_what_a_task_has_started_has_no_leash(
    implementation: Implementation, start_method: str, kind: str
) -> None:
    body = f"""
    pool = make({start_method!r})
    running = pool.submit(leave_a_child, {kind!r})
    """
    with parent(body) as (process, words, fifo):
        gate = os.open(fifo, os.O_RDWR)
        lines = [words.readline().split() for _ in range(2)]
        leashes = {int(pid): int(count) for pid, count in lines}
        try:
            [child] = [pid for pid in leashes if processes.parent_of(pid) in leashes]
            [worker] = leashes.keys() - {child}
            assert leashes == {worker: 1, child: 0}
            kill(process)
            assert processes.wait_until_gone([worker], BOUND_SECONDS) == set()
            assert processes.wait_until_gone([child], 0) == {child}
        finally:
            processes.kill(leashes)
            os.close(gate)
        assert processes.wait_until_gone([child], BOUND_SECONDS) == set()


def test_worker_whose_parent_has_gone_already_leaves_at_once(
    implementation: Implementation,
) -> None:
    result = scripts.run_command(
        """
        import os
        from allcores.pool import leash
        for_worker, held = leash.make()
        os.close(held)
        leash.put_on(for_worker)
        print("still here")
        """
    )
    assert (result.code, result.words) == (1, "")
