"""What a `WorkerDied` tells: how the worker ended, over what, with how much memory, and where."""

from __future__ import annotations

import copy
import os
import pickle
import resource
import signal
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from support import crashes, leaks, processes, scripts, tasks
from support.implementations import START_METHODS, Implementation

import allcores
from allcores.errors import TaskTimeout, WorkerDied
from allcores.pool import death
from allcores.pool.obituary import Obituary

pytestmark = pytest.mark.ours_only("deaths tell their story")


def fate_of(pool: Any, *call: Any) -> WorkerDied:
    error = pool.submit(*call).exception(timeout=50)
    assert isinstance(error, WorkerDied)
    return error


STORIES = [
    pytest.param(
        crashes.crash_in_c, -signal.SIGSEGV, "SIGSEGV", "a crash in C code", id="segfault"
    ),
    pytest.param(crashes.abort, -signal.SIGABRT, "SIGABRT", "a crash in C code", id="abort"),
    pytest.param(tasks.leave, 7, None, "called `os._exit`", id="exit"),
    pytest.param(tasks.die, -signal.SIGKILL, "SIGKILL", "out-of-memory killer", id="kill"),
]


def test_workers_of_a_broken_pool_are_collected_before_it_is_shut_down(
    implementation: Implementation,
) -> None:
    with implementation.pool("fork") as pool:
        assert pool.submit(abs, -1).result(timeout=50) == 1
        pids = set(pool._processes)
        fate_of(pool, tasks.die)
        assert processes.wait_until_gone(pids, 50) == set()
        bound = time.monotonic() + 50
        while any(map(processes.is_zombie, pids)) and time.monotonic() < bound:
            os.sched_yield()
        assert not any(map(processes.is_zombie, pids))


@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize(("function", "exitcode", "name", "hint"), STORIES)
def test_death_tells_exit_code_signal_pid_and_function(
    implementation: Implementation,
    link: str,
    start_method: str,
    function: Any,
    exitcode: int,
    name: str | None,
    hint: str,
) -> None:
    with implementation.pool(start_method, max_workers=1) as pool:
        pid = pool.submit(os.getpid).result(timeout=50)
        error = fate_of(pool, function)
        assert (error.pid, error.exitcode, error.signal) == (pid, exitcode, name)
        assert error.function == function.__name__
        assert (error.index, error.argument) == (None, "()")
        assert str(error).startswith("A process in the process pool was terminated abruptly")
        assert f"worker `{pid}`" in str(error)
        assert hint in str(error).partition("\nhint: ")[2]
        assert name is None or f"`{name}`" in str(error)


@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize("function", [crashes.crash_in_c, crashes.abort])
def test_crash_in_c_leaves_the_python_stack(
    implementation: Implementation, start_method: str, function: Any
) -> None:
    with implementation.pool(start_method) as pool:
        error = fate_of(pool, function)
        assert error.stack is not None
        assert f" in {function.__name__}" in error.stack
        assert "worker.py" not in error.stack
        assert "multiprocessing" not in error.stack
        assert error.stack in str(error)


def test_crash_in_a_thread_leaves_the_stacks_of_both(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        stack = fate_of(pool, crashes.crash_in_a_thread).stack
        assert stack is not None
        crashed, waiting = stack.split("\n\n")
        assert " in crash_in_c" in crashed
        assert " in crash_in_a_thread" in waiting


@pytest.mark.parametrize("function", [tasks.leave, tasks.die, crashes.own_black_box])
def test_other_ends_leave_no_stack(implementation: Implementation, function: Any) -> None:
    with implementation.pool() as pool:
        assert fate_of(pool, function).stack is None


def test_crash_of_a_tasks_child_is_not_the_workers(implementation: Implementation) -> None:
    with implementation.pool("spawn", max_workers=1) as pool:
        assert pool.submit(crashes.crash_in_a_child).result(timeout=50) == -signal.SIGSEGV
        error = fate_of(pool, crashes.crash_in_a_child_and_die)
        assert (error.signal, error.stack) == ("SIGKILL", None)


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_peak_memory_is_what_the_worker_had_when_it_died(
    implementation: Implementation, start_method: str
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = 2 * before
    with implementation.pool(start_method) as pool:
        error = fate_of(pool, crashes.fill_and_die, size)
        assert error.peak_memory is not None
        assert size < error.peak_memory < 2 * size
        assert "memory had reached" in str(error)


@pytest.mark.parametrize("start_method", START_METHODS)
def test_worker_killed_from_outside_tells_the_signal(
    implementation: Implementation, start_method: str, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with implementation.pool(start_method) as pool:
        future = pool.submit(crashes.wait_until_killed, str(fifo))
        pid = int(fifo.read_text())
        os.kill(pid, signal.SIGTERM)
        error = future.exception(timeout=50)
        assert (error.pid, error.signal) == (pid, "SIGTERM")
        assert "somebody sent `SIGTERM`" in str(error)


@pytest.mark.parametrize("start_method", START_METHODS)
def test_all_who_ask_at_once_hear_the_same(
    implementation: Implementation, link: str, start_method: str
) -> None:
    with implementation.pool(start_method, max_workers=1) as pool:
        future = pool.submit(crashes.crash_in_c)
        told: list[WorkerDied] = []
        threads = [
            threading.Thread(target=lambda: told.append(future.exception(timeout=50)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {(each.signal, each.pid, each.stack) for each in told} == {
            ("SIGSEGV", told[0].pid, told[0].stack)
        }
        assert told[0].stack is not None


@pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
def test_child_of_a_dead_worker_does_not_delay_its_story(
    implementation: Implementation, start_method: str, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    gate = os.open(fifo, os.O_RDWR)
    before = processes.descendants(os.getpid())
    try:
        with implementation.pool(start_method) as pool:
            assert fate_of(pool, crashes.leave_a_child_and_die, str(fifo)).signal == "SIGKILL"
    finally:
        left = processes.descendants(os.getpid()) - before
        processes.kill(pid for pid in left if not processes.is_helper(pid))
        os.close(gate)


def test_workers_that_end_normally_leave_nothing_open_while_the_pool_lives(
    implementation: Implementation,
) -> None:
    def boxes() -> int:
        return sum("allcores-box" in words for words in leaks.Holdings.now().descriptors)

    with implementation.pool("forkserver", max_workers=1, max_tasks_per_child=1) as pool:
        pids = {pool.submit(os.getpid).result(timeout=50) for _ in range(12)}
        assert len(pids) == 12
        # The latest may still be leaving.
        assert boxes() <= 4


def test_worker_that_the_program_waited_for_itself_is_not_waited_for_again(
    implementation: Implementation,
) -> None:
    result = scripts.run_file(
        """
        import os, signal
        import allcores

        if __name__ == "__main__":
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            with allcores.ProcessPoolExecutor(1) as pool:
                error = pool.submit(os._exit, 5).exception()
            print(type(error).__name__, error.exitcode, error.function)
        """
    )
    assert result.words == "WorkerDied None _exit\n"


def test_worker_that_was_told_to_end_says_so(
    implementation: Implementation, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with implementation.pool() as pool:
        future = pool.submit(crashes.wait_until_killed, str(fifo))
        fifo.read_text()
        pool.kill_workers()
        error = future.exception(timeout=50)
        assert isinstance(error, WorkerDied)
        assert error.signal == "SIGKILL"
        assert "hint: this process told its workers to end" in str(error)


def test_crash_of_an_initializer_says_how_the_worker_ended(
    implementation: Implementation,
) -> None:
    with implementation.pool(initializer=crashes.crash_in_c) as pool:
        error = pool.submit(tasks.add_one, 1).exception(timeout=50)
        assert isinstance(error, BrokenProcessPool)
        assert "SIGSEGV" in str(error)


def test_story_of_an_inner_pools_worker_travels(implementation: Implementation) -> None:
    with implementation.pool() as pool:
        error = pool.submit(
            tasks.in_a_pool, implementation.module.__name__, crashes.abort
        ).exception(50)
        assert isinstance(error, WorkerDied)
        assert (error.signal, error.function) == ("SIGABRT", "abort")
        assert error.stack is not None


STORY = {
    "function": "f",
    "index": 3,
    "argument": "'a'",
    "pid": 12,
    "exitcode": -9,
    "signal": "SIGKILL",
    "peak_memory": 1_500_000_000,
    "stack": "Current thread",
}


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_keep_their_attributes_when_they_are_pickled(
    implementation: Implementation, again: Any
) -> None:
    died = again(WorkerDied("words", **STORY))
    assert (type(died), str(died), vars(died)) == (WorkerDied, "words", STORY)
    late = again(TaskTimeout("words", function="f", index=None, argument="3", limit=0.5, pid=12))
    assert (type(late), str(late), late.limit, late.pid) == (TaskTimeout, "words", 0.5, 12)
    assert isinstance(late, TimeoutError)
    assert allcores.TaskTimeout is TaskTimeout


TASK = death.Task("f", 3, "'a'")


def test_words_of_a_lost_item(implementation: Implementation) -> None:
    killed = Obituary(12, -9, 1_500_000_000)
    error = death.broken("worker lost", "", killed, TASK, alone=True)
    assert isinstance(error, WorkerDied)
    assert str(error).splitlines() == [
        "A process in the process pool was terminated abruptly while the future was running or "
        "pending. worker `12` was ended by `SIGKILL` while it ran `f(index 3, 'a')`",
        "hint: probably the out-of-memory killer; see `dmesg`; the worker's memory had reached "
        "1.5 GB",
    ]


def test_words_of_what_fails_with_its_pool(implementation: Implementation) -> None:
    error = death.broken("worker lost", "", Obituary(12, 1), TASK)
    assert isinstance(error, WorkerDied)
    assert "worker `12` exited with code `1`; `f(index 3, 'a')` has no result" in str(error)


def test_words_of_a_chunk_that_was_never_unpickled(implementation: Implementation) -> None:
    error = death.broken("worker lost unread", "", Obituary(12, 1), death.Task("f"))
    assert isinstance(error, WorkerDied)
    assert "while it was unpickling the arguments of `f`" in str(error)


def test_words_of_an_ended_pool(implementation: Implementation) -> None:
    error = death.broken("ended", "", None)
    assert type(error) is BrokenProcessPool
    assert "the pool was ended while the task was running or pending" in str(error)


def test_words_of_a_task_whose_time_was_up(implementation: Implementation) -> None:
    error = death.timed_out(TASK, 0.5, 12)
    assert (error.function, error.index, error.argument) == ("f", 3, "'a'")
    assert "`f(index 3, 'a')` ran longer than `0.5` seconds" in str(error)
