"""C71-C74: Ctrl-C, the end of a program and the death of its parent leave nobody behind and hang on
nothing."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from support import processes, programs, scripts
from support.implementations import START_METHODS, Implementation
from support.meetings import Meeting

INTERRUPTIBLE = pytest.mark.ours_only("Ctrl-C ends what runs")
BOUNDED = pytest.mark.ours_only("bounded shutdown")
OUTLIVES = pytest.mark.ours_only("pools outlive the main thread")
FOLLOWS = pytest.mark.ours_only("workers follow their parent")

HEAD = """
    import multiprocessing
    import threading
    from allcores import ProcessPoolExecutor
    from support import tasks, troubles
    from support.meetings import Place, meet

    place = Place({place!r})
    context = {method!r} and multiprocessing.get_context({method!r})
    """


def program(meeting: Meeting, body: str, start_method: str = "default") -> str:
    """A script that does `body` where `place` and `context` are known."""
    method = None if start_method == "default" else start_method
    head = textwrap.dedent(HEAD.format(place=meeting.place.folder, method=method))
    guarded = 'if __name__ == "__main__":\n' + textwrap.indent(textwrap.dedent(body), "    ")
    return head + guarded


INTERRUPTED = {
    "map in a block": """
        with ProcessPoolExecutor(2, context) as pool:
            list(pool.map(troubles.sleep, [place] * 100))
        """,
    "result in a block": """
        with ProcessPoolExecutor(2, context) as pool:
            futures = [pool.submit(troubles.refuse_to_end, place) for _ in range(100)]
            futures[0].result()
        """,
    "end of a block": """
        with ProcessPoolExecutor(2, context) as pool:
            futures = [pool.submit(troubles.spin, place) for _ in range(100)]
        """,
    "map without a block": """
        pool = ProcessPoolExecutor(2, context)
        for result in pool.map(troubles.spin, [place] * 100, chunksize=10):
            print(result)
        """,
    "result without a block": """
        pool = ProcessPoolExecutor(2, context)
        futures = [pool.submit(troubles.sleep, place) for _ in range(100)]
        futures[0].result()
        """,
}


@INTERRUPTIBLE
@pytest.mark.parametrize("where", INTERRUPTED)
def test_c71_ctrl_c_ends_the_program_and_its_workers_with_one_traceback(
    implementation: Implementation, link: str, where: str, meeting: Meeting, tmp_path: Path
) -> None:
    """SIGINT to the whole process group while two workers run tasks that would not end."""
    with programs.started(program(meeting, INTERRUPTED[where]), tmp_path) as running:
        pids = {arrival.pid for arrival in meeting.await_arrivals(2)}
        running.interrupt()
        result = running.finish()
        assert not processes.wait_until_gone(pids, 0)
    assert len(pids) == 2
    assert result.words.count("Traceback (most recent call last)") == 1, result.words
    assert result.words.rstrip().endswith("KeyboardInterrupt"), result.words
    assert result.code == -2


@INTERRUPTIBLE
@pytest.mark.parametrize("start_method", START_METHODS)
def test_c71_ctrl_c_is_quiet_under_each_start_method(
    implementation: Implementation, start_method: str, meeting: Meeting, tmp_path: Path
) -> None:
    """The same, with workers that were started in other ways."""
    source = program(meeting, INTERRUPTED["map in a block"], start_method)
    with programs.started(source, tmp_path) as running:
        pids = {arrival.pid for arrival in meeting.await_arrivals(2)}
        running.interrupt()
        result = running.finish()
        assert not processes.wait_until_gone(pids, 0)
    assert result.words.count("Traceback (most recent call last)") == 1, result.words
    assert result.code == -2


@INTERRUPTIBLE
def test_c71_program_that_catches_ctrl_c_goes_on_without_the_pool(
    implementation: Implementation, link: str, meeting: Meeting, tmp_path: Path
) -> None:
    """The `with` block is left by KeyboardInterrupt, which somebody catches: the workers are gone
    by then, and a new pool works."""
    body = """
        try:
            with ProcessPoolExecutor(2, context) as pool:
                for result in pool.map(troubles.spin, [place] * 100):
                    pass
        except KeyboardInterrupt:
            place.arrive("caught")
            place.wait()
        with ProcessPoolExecutor(2, context) as pool:
            print("answer", list(pool.map(tasks.add_one, range(3))))
        """
    with programs.started(program(meeting, body), tmp_path) as running:
        pids = {arrival.pid for arrival in meeting.await_arrivals(2)}
        running.interrupt()
        while (arrival := meeting.await_arrivals(1)[0]).words != "caught":
            pids.add(arrival.pid)
        assert not processes.wait_until_gone(pids, 0)
        meeting.open()
        result = running.finish()
    assert (result.code, result.words) == (0, "answer [1, 2, 3]\n")


@INTERRUPTIBLE
def test_c71_ctrl_c_while_the_interpreter_waits_at_its_exit_leaves_nobody(
    implementation: Implementation, link: str, meeting: Meeting, tmp_path: Path
) -> None:
    """`main` is over, and the exit waits for tasks that would not end."""
    body = """
        pool = ProcessPoolExecutor(2, context)
        futures = [pool.submit(troubles.spin, place) for _ in range(10)]
        """
    with programs.started(program(meeting, body), tmp_path) as running:
        pids = {arrival.pid for arrival in meeting.await_arrivals(2)}
        running.interrupt()
        result = running.finish()
        assert not processes.wait_until_gone(pids, 0)
    assert result.words.count("Traceback (most recent call last)") <= 1, result.words


@pytest.mark.ours_only("Ctrl-C ends what runs")
def test_c71_ctrl_c_that_the_interpreter_passes_over_leaves_nobody(
    implementation: Implementation, link: str, meeting: Meeting, tmp_path: Path
) -> None:
    """It comes while the interpreter begins to wait for threads: it is reported and forgotten, and
    so is whoever was to be told that `main` is over."""
    body = """
        import threading

        def interrupted():
            raise KeyboardInterrupt

        pool = ProcessPoolExecutor(2, context)
        futures = [pool.submit(troubles.spin, place) for _ in range(10)]
        place.wait()
        threading._register_atexit(interrupted)
        """
    with programs.started(program(meeting, body), tmp_path) as running:
        pids = {arrival.pid for arrival in meeting.await_arrivals(2)}
        meeting.open()
        running.finish()
        assert not processes.wait_until_gone(pids, 0)


@BOUNDED
@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize("stuck", ["spin", "refuse_to_end", "stop_itself"])
def test_c72_exit_does_not_wait_for_a_pool_that_was_abandoned(
    implementation: Implementation, start_method: str, meeting: Meeting, tmp_path: Path, stuck: str
) -> None:
    """`shutdown(wait=False, abandon=True)` while a task is stuck, and `main` ends."""
    body = f"""
        pool = ProcessPoolExecutor(1, context)
        futures = [pool.submit(troubles.{stuck}, place) for _ in range(3)]
        place.wait()
        pool.shutdown(wait=False, abandon=True)
        print("main ends", flush=True)
        """
    with programs.started(program(meeting, body, start_method), tmp_path) as running:
        (arrival,) = meeting.await_arrivals(1)
        meeting.open()
        result = running.finish()
        assert not processes.wait_until_gone([arrival.pid], 0)
    assert (result.code, result.words) == (0, "main ends\n")


@OUTLIVES
@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize(
    "first", ["pool.submit(tasks.add_one, 1).result()", "pass"], ids=["used", "unused"]
)
def test_c73_thread_can_use_a_pool_after_the_main_thread_has_ended(
    implementation: Implementation, start_method: str, meeting: Meeting, first: str
) -> None:
    """A thread that is no daemon submits when `main` is over, and has its results."""
    body = f"""
        def late():
            threading.main_thread().join()
            print("answer", pool.submit(tasks.add_one, 1).result(), flush=True)
            print("answers", list(pool.map(tasks.add_one, range(3))), flush=True)

        pool = ProcessPoolExecutor(2, context)
        {first}
        threading.Thread(target=late).start()
        """
    result = scripts.run_file(program(meeting, body, start_method))
    assert (result.code, result.words) == (0, "answer 2\nanswers [1, 2, 3]\n")


@OUTLIVES
def test_c73_thread_can_make_a_pool_after_the_main_thread_has_ended(
    implementation: Implementation, link: str, meeting: Meeting
) -> None:
    """The same with a pool that did not exist before."""
    body = """
        def late():
            threading.main_thread().join()
            with ProcessPoolExecutor(2, context) as pool:
                print("answers", list(pool.map(tasks.add_one, range(3))), flush=True)

        threading.Thread(target=late).start()
        """
    result = scripts.run_file(program(meeting, body))
    assert (result.code, result.words) == (0, "answers [1, 2, 3]\n")


BUSY = {
    "spins": "pool.submit(troubles.spin, place)",
    "sleeps": "pool.submit(troubles.sleep, place)",
    "waits": "pool.submit(meet, place)",
    "is idle": "pool.submit(Place.arrive, place)",
}


@FOLLOWS
@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize("busy", BUSY)
def test_c74_workers_are_gone_when_the_process_that_has_the_pool_is_killed(
    implementation: Implementation, start_method: str, meeting: Meeting, tmp_path: Path, busy: str
) -> None:
    """The middle one of three generations is killed, and nobody tells the third."""
    body = f"""
        pool = ProcessPoolExecutor(2, context)
        {BUSY[busy]}
        {BUSY[busy]}
        threading.Event().wait()
        """
    with programs.started(program(meeting, body, start_method), tmp_path) as running:
        pids = {arrival.pid for arrival in meeting.await_arrivals(2)}
        pids |= processes.descendants(running.pid)
        running.kill()
        assert running.finish().code == -9
        assert not processes.wait_until_gone(pids, 50)


@FOLLOWS
def test_c74_workers_of_a_pool_in_a_task_are_gone_when_the_program_is_killed(
    implementation: Implementation, link: str, meeting: Meeting, tmp_path: Path
) -> None:
    """The same with a fourth generation: a pool in a task of the pool."""
    body = """
        pool = ProcessPoolExecutor(1, context)
        pool.submit(troubles.open_a_pool_and_spin, place, "allcores").result()
        """
    with programs.started(program(meeting, body), tmp_path) as running:
        (arrival,) = meeting.await_arrivals(1)
        pids = {arrival.pid} | processes.descendants(running.pid)
        running.kill()
        assert running.finish().code == -9
        assert not processes.wait_until_gone(pids, 50)
    assert len(pids) >= 2
