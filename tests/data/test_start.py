"""Starting workers: each start method, what goes along, and what must not."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from data.start_double import Worker, serve
from support import scripts

from allcores.pool import forks, servers
from allcores.pool.start import Launcher

METHODS = (None, "fork", "forkserver", "spawn")
CLEAN = (None, "forkserver", "spawn")


@pytest.fixture(autouse=True)
def no_servers() -> Iterator[None]:
    yield
    servers.stop_servers()


def context_of(method: str | None) -> Any:
    return None if method is None else multiprocessing.get_context(method)


def passes(program: str) -> None:
    """Programs, where the start is a fork: it would warn of the threads of the test runner."""
    result = scripts.run_file("from data.start_double import Worker\n" + textwrap.dedent(program))
    assert result.words == "passed\n"


def surroundings() -> dict[str, Any]:
    import threading

    current, parent = multiprocessing.current_process(), multiprocessing.parent_process()
    assert parent is not None
    return {
        "name": current.name,
        "daemon": current.daemon,
        "parent": parent.pid,
        "parent_alive": parent.is_alive(),
        "argv": sys.argv,
        "path": sys.path,
        "folder": os.getcwd(),
        "main": sys.modules["__main__"].__name__,
        "same": sys.modules["__main__"] is sys.modules["__mp_main__"],
        "interrupt": signal.getsignal(signal.SIGINT).__name__,  # type: ignore[union-attr]
        "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "threads": threading.active_count(),
        "children": multiprocessing.active_children(),
    }


@pytest.mark.parametrize("method", CLEAN)
def test_worker_finds_itself_in_the_parents_surroundings(method: str | None) -> None:
    with Worker(context_of(method)) as worker:
        found = worker(surroundings)
        assert worker.process.exitcode is None
        name = {"spawn": "Spawn"}.get(method or "", "ForkServer")
        assert found.pop("name").startswith(f"{name}Process-")
    assert found == {
        "daemon": False,
        "parent": os.getpid(),
        "parent_alive": True,
        "argv": sys.argv,
        "path": sys.path,
        "folder": os.getcwd(),
        "main": "__main__",
        "same": True,
        "interrupt": "_leave_it_to_the_parent",
        "blocked": set(),
        "threads": 1,
        "children": [],
    }


def descriptors() -> dict[int, str]:
    return {
        fd: os.readlink(f"/proc/self/fd/{fd}")
        for fd in map(int, os.listdir("/proc/self/fd"))
        if os.path.exists(f"/proc/self/fd/{fd}")
    }


def sockets_and_inheritance() -> tuple[int, list[int]]:
    found = descriptors()
    sockets = [fd for fd, name in found.items() if name.startswith("socket:")]
    return len(sockets), [fd for fd in sockets if os.get_inheritable(fd)]


@pytest.mark.parametrize("method", CLEAN)
def test_worker_holds_one_socket_and_its_children_will_not(method: str | None) -> None:
    with Worker(context_of(method)) as one, Worker(context_of(method)) as other:
        assert one(sockets_and_inheritance) == (1, [])
        assert other(sockets_and_inheritance) == (1, [])


def variable(name: str) -> str | None:
    return os.environ.get(name)


@pytest.mark.parametrize("method", CLEAN)
def test_environment_is_that_of_the_start(
    method: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLCORES_TEST_GONE", "1")
    monkeypatch.setenv("ALLCORES_TEST_CHANGED", "1")
    Launcher(context_of(method)).warm()
    monkeypatch.delenv("ALLCORES_TEST_GONE")
    monkeypatch.setenv("ALLCORES_TEST_CHANGED", "2")
    monkeypatch.setenv("ALLCORES_TEST_NEW", "3")
    with Worker(context_of(method)) as worker:
        found = [worker(variable, f"ALLCORES_TEST_{name}") for name in ("GONE", "CHANGED", "NEW")]
    assert found == [None, "2", "3"]


def test_environment_variable_chooses_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLCORES_START_METHOD", "spawn")
    assert Launcher().start_method == "spawn"
    monkeypatch.setenv("ALLCORES_START_METHOD", "teleport")
    with pytest.raises(ValueError, match="teleport"):
        Launcher()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_given_context_is_honoured(method: str) -> None:
    launcher = Launcher(context_of(method))
    assert launcher.start_method == method
    assert launcher.context is context_of(method)
    assert Launcher(multiprocessing).start_method == "fork"  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_locks_queues_values_and_pipes_travel_to_the_initializer(method: str) -> None:
    passes(
        f"""
        import multiprocessing
        def keep(*objects):
            global lock, queue, value, pipe, shared
            lock, queue, value, pipe, shared = objects
        def use():
            with lock, value:
                value.value += 1
            shared["a"] = 1
            queue.put("through the queue")
            pipe.send("through the pipe")
        def main(chosen):
            queue, value = chosen.Queue(), chosen.Value("i", 1)
            here, there = chosen.Pipe()
            with chosen.Manager() as manager:
                shared = manager.dict()
                w = Worker(chosen, keep, chosen.Lock(), queue, value, there, shared)
                w(use)
                assert (value.value, here.recv()) == (2, "through the pipe")
                assert (queue.get(), dict(shared)) == ("through the queue", {{"a": 1}})
                w.close()
            print("passed")
        if __name__ == "__main__":  # a manager of the standard library runs the script again
            main(multiprocessing.get_context("{method}"))
        """
    )


def test_locks_of_a_fork_context_make_the_default_fork() -> None:
    passes(
        """
        import multiprocessing, threading
        from allcores.pool.start import Launcher
        lock, made = multiprocessing.RLock(), []
        def init(*given): made.extend(given)
        def check(): return made[0].acquire(), made[0].release()
        class Holder:
            def __init__(self): self.locks = [lock, {"deep": threading.Lock()}]
        assert Launcher(initializer=init, initargs=(Holder(),)).start_method == "fork"
        assert Launcher(initializer=init, initargs=(1,)).start_method == "forkserver"
        w = Worker(None, init, lock)
        assert w(check) == (True, None)
        w.close()
        print("passed")
        """
    )


def test_arguments_that_only_fork_can_hand_over_make_the_default_fork() -> None:
    passes(
        """
        import threading
        from allcores.pool import servers
        event = threading.Event()
        got = []
        w = Worker(None, got.append, event)
        assert w.launcher.start_method == "fork"
        assert w(lambda: got[0] is event) is True
        w.close()
        servers.stop_servers()
        print("passed")
        """
    )


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_arguments_that_cannot_travel_are_refused_when_a_context_is_given(method: str) -> None:
    here, there = socket.socketpair()
    launcher = Launcher(context_of(method), initializer=print, initargs=(threading.Lock(),))
    with here, there, pytest.raises(TypeError, match="cannot pickle"):
        launcher.start(serve, (there.fileno(),))


@pytest.mark.parametrize("method", METHODS)
def test_body_of_a_script_without_guard_runs_once(method: str | None) -> None:
    program = f"""
    import multiprocessing, sys
    print("body", __name__)
    from data.start_double import Worker
    method = {method!r}
    w = Worker(method and multiprocessing.get_context(method))
    def where():
        import __main__
        return __main__.__name__, __main__.__file__ == sys.argv[0], __file__ == sys.argv[0]
    print(w(where), w.launcher.start_method)
    w.close()
    """
    expected = f"body __main__\n('__main__', True, True) {method or 'forkserver'}\n"
    assert scripts.run_file(program).words == expected


def test_forked_worker_is_a_worker_too() -> None:
    passes(
        """
        import multiprocessing, os, signal
        from data.test_start import surroundings, sockets_and_inheritance
        fork = multiprocessing.get_context("fork")
        one, other = Worker(fork), Worker(fork)
        found = one(surroundings)
        assert found["name"] == "ForkProcess-1" and found["daemon"] is False
        assert found["parent"] == os.getpid() and found["parent_alive"]
        assert found["interrupt"] == "_leave_it_to_the_parent" and not found["blocked"]
        assert one(sockets_and_inheritance) == (1, [])
        assert other(sockets_and_inheritance) == (1, [])
        one.close()
        other.close()
        print("passed")
        """
    )


def test_threads_in_the_parent_cause_no_warning_by_default() -> None:
    program = """
    import threading
    from data.start_double import Worker
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(4)]
    for thread in threads: thread.start()
    w = Worker()
    print(w(abs, -1))
    w.close()
    stop.set()
    """
    result = scripts.run(["-W", "error", "-c", textwrap.dedent(program)])
    assert result.words == "1\n"


def test_interrupt_at_any_moment_leaves_workers_and_servers_alone() -> None:
    passes(
        """
        import multiprocessing, os, signal
        signal.signal(signal.SIGINT, lambda *_: None)
        os.setpgid(0, 0)
        from allcores.pool.start import Launcher
        Launcher().warm()
        os.killpg(0, signal.SIGINT)
        for method in (None, "spawn", "forkserver"):
            w = Worker(method and multiprocessing.get_context(method))
            for _ in range(5):
                os.killpg(0, signal.SIGINT)
            assert w(abs, -1) == 1
            w.close()
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
        print("passed")
        """
    )


def program_s_interrupt() -> str:
    import subprocess

    code = "import signal; print(signal.getsignal(signal.SIGINT).__name__)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout


def test_programs_that_tasks_start_still_end_by_interrupt() -> None:
    with Worker() as worker:
        assert worker(program_s_interrupt) == "default_int_handler\n"


def test_nothing_of_the_standard_library_is_changed() -> None:
    from multiprocessing import context, forkserver, popen_forkserver, popen_spawn_posix, spawn

    def parts() -> tuple[object, ...]:
        return (
            spawn.get_preparation_data,
            popen_spawn_posix.__dict__["spawn"],
            vars(popen_spawn_posix.Popen)["_launch"],
            popen_forkserver.__dict__["forkserver"],
            vars(popen_forkserver.Popen)["_launch"],
            vars(context.SpawnProcess)["_Popen"],
            vars(context.ForkServerProcess)["_Popen"],
            vars(forkserver)["_forkserver"]._preload_modules,
            vars(forkserver)["_forkserver"]._forkserver_pid,
        )

    before = parts()
    for method in CLEAN:
        with Worker(context_of(method)) as worker:
            assert worker(abs, -1) == 1
            assert "_Popen" not in vars(worker.process)
    assert parts() == before


class OwnProcess(multiprocessing.get_context("spawn").Process):  # type: ignore[misc]
    """A process class of a user, started as the standard library's."""


class OwnContext(type(multiprocessing.get_context("spawn"))):  # type: ignore[misc]
    Process = OwnProcess


class OddProcess(OwnProcess):
    @staticmethod
    def _Popen(process: Any) -> Any:
        started.append(process)
        return OwnProcess._Popen(process)


class OddContext(OwnContext):
    Process = OddProcess


started: list[Any] = []


def kind_of_process() -> str:
    return type(multiprocessing.current_process()).__name__


def test_process_class_of_a_users_context_is_kept() -> None:
    with Worker(OwnContext()) as worker:
        assert type(worker.process) is OwnProcess
        assert worker(kind_of_process) == "OwnProcess"


def test_context_with_a_start_of_its_own_is_used_plainly() -> None:
    with Worker(OddContext()) as worker:
        assert started == [worker.process]
        assert worker(kind_of_process) == "OddProcess"
    started.clear()


def is_imported(name: str) -> bool:
    return name in sys.modules


def test_users_preload_is_honoured_for_forkserver_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from multiprocessing import forkserver

    (tmp_path / "allcores_preloaded.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    server = vars(forkserver)["_forkserver"]
    monkeypatch.setattr(server, "_preload_modules", ["__main__", "allcores_preloaded"])
    with Worker(context_of("forkserver")) as asked, Worker() as default:
        assert asked(is_imported, "allcores_preloaded")
        assert not default(is_imported, "allcores_preloaded")


def default_method() -> str | None:
    return multiprocessing.get_start_method(allow_none=True)


def test_tasks_find_the_users_default_start_method() -> None:
    with Worker() as worker:
        assert worker(default_method) == multiprocessing.get_start_method()
    with Worker(context_of("spawn")) as worker:
        assert worker(default_method) == "spawn"


def test_start_method_set_by_the_user_is_the_default() -> None:
    passes(
        """
        import multiprocessing
        from allcores.pool.start import Launcher
        assert Launcher().start_method == "forkserver"
        multiprocessing.set_start_method("spawn", force=True)
        assert Launcher().start_method == "spawn"
        print("passed")
        """
    )


def nested() -> int:
    with Worker() as worker:
        found: int = worker(abs, -5)
    servers.stop_servers()
    return found


def test_worker_starts_workers() -> None:
    with Worker() as worker:
        assert worker(nested) == 5


def test_bare_fork_closes_our_descriptors_and_counts() -> None:
    passes(
        """
        import os
        from allcores.pool import forks, servers
        ours, other = os.pipe(), os.pipe()
        forks.owned_fds.add(ours[0])
        key = forks.owned_fds.add_source(lambda: [ours[1]])
        resets = []
        forks.owned_fds.on_child(lambda: resets.append(forks.generation()))
        w = Worker()
        before = forks.generation()
        pid = os.fork()
        if pid == 0:
            good = forks.generation() == before + 1 and resets == [before + 1]
            good = good and not servers._servers
            for fd in (*ours, w.line.fileno()):
                try: os.fstat(fd)
                except OSError: continue
                good = False
            os.fstat(other[0])
            with forks.owned_fds.guard(): pass
            os._exit(0 if good else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert forks.generation() == before and resets == []
        os.fstat(ours[0]), os.fstat(ours[1])
        forks.owned_fds.drop_source(key)
        assert w(abs, -1) == 1
        w.close()
        print("passed")
        """
    )


def test_server_that_was_killed_is_started_again() -> None:
    context = multiprocessing.get_context("forkserver")
    Launcher(context).warm()
    server = vars(servers.server_for(("__main__",)))
    os.kill(server["_forkserver_pid"], signal.SIGKILL)
    os.waitid(os.P_PID, server["_forkserver_pid"], os.WEXITED | os.WNOWAIT)
    former = server["_forkserver_alive_fd"]
    # So that the new server's descriptor has another number, and the old one can be somebody's.
    spare = os.dup(former)
    with Worker(context) as worker:
        assert worker(abs, -1) == 1
    os.close(spare)
    owned = forks.owned_fds._fds
    assert server["_forkserver_alive_fd"] in owned
    assert former == server["_forkserver_alive_fd"] or former not in owned


def test_death_shows_in_the_exit_code() -> None:
    with Worker() as worker:
        with pytest.raises(EOFError):
            worker(os._exit, 7)
        worker.process.join()
        assert worker.process.exitcode == 7
    assert forks.generation() == 0


def test_default_is_fork_while_nobody_else_runs_in_this_process() -> None:
    # The test runner itself may have threads; a program of its own has none.
    passes(
        """
        import os, threading
        from allcores.pool.start import Launcher

        def settled(**options):
            launcher = Launcher(**options)
            launcher.settle()
            return launcher.start_method

        assert settled() == "fork"
        assert settled(may_fork=False) == "forkserver"
        stop = threading.Event()
        other = threading.Thread(target=stop.wait)
        other.start()
        assert settled() == "forkserver"
        stop.set()
        other.join()
        while len(os.listdir("/proc/self/task")) > 1:
            os.sched_yield()  # a joined thread may still be on its way out of the system
        assert settled() == "fork"
        print("passed")
        """
    )


def test_finalizer_waits_for_no_fork() -> None:
    """It may run in a thread that holds what the fork waits for, such as the lock of the standard
    thread pool.
    """
    source = forks.owned_fds.add_source(tuple)
    with forks.owned_fds.keeping():  # as who forks does
        thread = threading.Thread(target=forks.owned_fds.drop_source, args=(source,))
        thread.start()
        thread.join()
    assert source not in forks.owned_fds._sources
