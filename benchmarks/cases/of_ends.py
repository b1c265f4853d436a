"""C63, C69 to C74: forks, killed parents, Ctrl-C, the program's end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress

from benchmarks.cases import processes
from benchmarks.cases.engines import Engine, worker_pids
from benchmarks.cases.scenario import (
    PATIENCE_S,
    Bench,
    Findings,
    case,
    check_lives,
    close,
    trouble,
)


@case("C63", "the user forks while the pool is alive; the child reaches its end, the pool goes on")
def user_forks(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    trouble(pool)
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            import gc

            gc.collect()
        _exit_as_a_program()
    status: list[int] = []

    def is_over() -> bool:
        pid, code = os.waitpid(child, os.WNOHANG)
        if pid:
            status.append(os.waitstatus_to_exitcode(code))
        return bool(pid)

    if not processes.until(is_over, PATIENCE_S):
        return "the child hangs at its end"
    code = status[0]
    found.expect(
        code == 0, f"the child ends by {signal.Signals(-code).name}" if code < 0 else "child fails"
    )
    check_lives(found, pool)
    close(pool)
    return found.verdict()


def _exit_as_a_program() -> None:
    """What happens at the end of the main module, but for this harness's own frames."""
    import atexit

    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(0)
    os._exit(1)


def _killed(bench: Bench, kind: str, found: Findings) -> None:
    program = bench.program("work_until_killed", kind)
    if program.first_line() != "ready":
        found.expect(False, f"{kind}: does not start")
        return
    os.kill(program.process.pid, signal.SIGKILL)
    program.process.wait()
    left = program.leaves_nothing(4)
    found.expect(left, f"{len(program.left())} {kind} processes survive")


@case("C69", "the program gets SIGKILL while its workers are idle, and while they are busy")
def parent_is_killed(bench: Bench) -> str:
    found = Findings()
    _killed(bench, "idle", found)
    _killed(bench, "busy", found)
    return found.verdict()


@case("C70", "the thread that made the pool ends; the same workers go on")
def made_in_a_thread(bench: Bench) -> str:
    found = Findings()
    made: list[tuple[Engine, list[int]]] = []

    def make() -> None:
        pool = bench.open()
        made.append((pool, worker_pids(pool)))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join(12)
    if not made:
        return "hangs"
    pool, pids = made[0]
    time.sleep(0.3)
    check_lives(found, pool)
    if not found.words:
        found.expect(worker_pids(pool) == pids, "other workers")
    close(pool)
    return found.verdict()


@case("C71", "Ctrl-C during a `map`: one traceback, the program ends, nobody is left")
def interrupted(bench: Bench) -> str:
    found = Findings()
    program = bench.program("map_until_interrupted")
    if program.first_line() != "ready":
        return "does not start"
    os.killpg(program.process.pid, signal.SIGINT)
    if not program.ends(4):
        return "hangs"
    count = program.errors.count("Traceback (most recent call last)")
    found.expect(count == 1, f"{count} tracebacks")
    found.expect("KeyboardInterrupt" in program.errors, "no `KeyboardInterrupt`")
    found.expect(program.leaves_nothing(3), f"leaves {len(program.left())} processes")
    return found.verdict()


@case("C72", "the program lets go of a pool with a call that never ends, and exits")
def abandoned(bench: Bench) -> str:
    found = Findings()
    program = bench.program("abandon")
    if not program.ends(5):
        return "exit waits"
    found.expect(program.output.strip() == "left", f"fails: {program.last_words()}")
    found.expect(program.leaves_nothing(3), f"leaves {len(program.left())} processes")
    return found.verdict()


@case("C73", "a thread submits after the main thread has ended")
def after_main(bench: Bench) -> str:
    program = bench.program("submit_after_main")
    if not program.ends(PATIENCE_S + 2):
        return "hangs"
    return "holds" if program.output.strip() == "2" else program.last_words()


@case("C74", "a process between the program and the busy workers is killed")
def middle_is_killed(bench: Bench) -> str:
    program = bench.program("middle")
    pid = int(program.first_line())
    if program.first_line() != "ready":
        return "does not start"
    before = set(program.left())
    os.kill(pid, signal.SIGKILL)
    # The program itself lives, and the helper of its own start method may.
    others = {program.process.pid, *_children_of(program.process.pid)}

    def left() -> set[int]:
        return (before - others) & set(program.left())

    processes.until(lambda: not left(), 4, 0.05)
    return "holds" if not left() else f"{len(left())} processes survive"


def _children_of(pid: int) -> set[int]:
    found: set[int] = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        with suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
            found.update(map(int, file.read().split()))
    return found
