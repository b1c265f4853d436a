"""C15 to C27: something is pickled, recycled or shut down, and nobody says why nothing happens."""

from __future__ import annotations

import importlib
import pickle
import sys
import threading
import time
from typing import Any

from benchmarks.cases import processes, tasks
from benchmarks.cases.engines import NotOffered
from benchmarks.cases.scenario import (
    PATIENCE_S,
    Bench,
    Findings,
    case,
    chain,
    check_lives,
    close,
    ended,
    name_of,
    settle,
    submit_all,
    trouble,
)


@case("C15", "one worker that is replaced after two calls, ten calls")
def recycled_after_two(bench: Bench) -> str:
    found = Findings()
    pool = bench.open(1, recycle=2)
    seen: list[int] = []
    done, _ = ended(lambda: seen.extend(pool.map(tasks.slow_pid, [0.01] * 10, 1)))
    if not done:
        return "hangs"
    found.expect(len(seen) == 10, f"loses {10 - len(seen)} of 10")
    found.expect(len(set(seen)) >= 5, f"only {len(set(seen))} processes")
    close(pool)
    return found.verdict()


def _leaves_with_recycling(bench: Bench, program: str) -> str:
    found = Findings()
    script = bench.program(program)
    if not script.ends(PATIENCE_S + 2):
        return "the program does not exit"
    if script.output.startswith("n/a: "):
        raise NotOffered(script.output[5:].strip())
    found.expect(script.process.returncode == 0, f"the program fails: {script.last_words()}")
    if not found.words and program == "leave_recycling":
        done = bench.scratch / "done"
        count = len(done.read_text().split()) if done.exists() else 0
        found.expect(count == 4, f"does {count} of 4 calls")
    found.expect(script.leaves_nothing(PATIENCE_S), "leaves processes")
    return found.verdict()


@case("C16", "workers of one call each; `shutdown(wait=False)` after four, the script ends")
def recycled_at_exit(bench: Bench) -> str:
    return _leaves_with_recycling(bench, "leave_recycling")


@case("C17", "the futures outlive their pool, whose workers do one call each; the script ends")
def recycled_and_forgotten(bench: Bench) -> str:
    return _leaves_with_recycling(bench, "forget_recycling")


@case("C18", "20,000 calls with 1 kB there and back before any result is taken", limit_s=40)
def many_results_untaken(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    load = bytes(1000)
    done, handles = ended(lambda: submit_all(pool, [(tasks.same, load)] * 20_000), 15)
    if not done:
        return "`submit` blocks"
    settled = settle(pool, handles)
    found.expect(not settled.hanging, f"{len(settled.hanging):,} of 20,000 hang")
    found.expect(not settled.errors, f"loses {len(settled.errors):,} of 20,000")
    return found.verdict()


@case(
    "C19", "`map(print, …)` over 30,000 numbers; the caller's memory stays within 20 MB", limit_s=40
)
def map_of_print(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    trouble(pool)
    before = processes.memory_of()
    most, count = 0, 0
    for _ in pool.map(tasks.print_it, range(30_000)):
        count += 1
        if count % 500 == 1:
            most = max(most, processes.memory_of() - before)
    found.expect(count == 30_000, f"gives {count:,}")
    found.expect(most < 20 << 20, f"grows by {most >> 20} MB")
    close(pool)
    return found.verdict()


@case("C20", "ten calls that can't be pickled, then a shutdown that cancels")
def shutdown_over_unpicklable(bench: Bench) -> str:
    pool = bench.open()
    trouble(pool)
    handles = submit_all(pool, [(tasks.same, tasks.Locked()) for _ in range(10)])
    done, _ = ended(lambda: pool.shutdown(cancel=True))
    bench.counts["futures_without_an_end"] = len(settle(pool, handles, 1).hanging)
    return "holds" if done else "shutdown hangs"


@case(
    "C21",
    "objects that refuse to be pickled (two ways) or unpickled, as argument and as result: that "
    "future has the reason, the pool lives",
    limit_s=45,
)
def refusing_objects(bench: Bench) -> str:
    hangs, breaks, silent = [], [], []
    kinds = (tasks.RefusesState, tasks.RefusesReduce, tasks.RefusesRestoring)
    ways = [(kind, way) for kind in kinds for way in ("in", "out")]
    pool = bench.open()
    for kind, way in ways:
        call = (tasks.same, kind()) if way == "in" else (tasks.make, kind)
        settled = settle(pool, submit_all(pool, [call]), 3)
        if settled.hanging:
            hangs.append(way)
        elif not any(isinstance(error, tasks.UserError) for error in chain(settled.errors.get(0))):
            silent.append(way)
        if trouble(pool, 3):
            breaks.append(way)
            close(pool)
            pool = bench.open()
    found = Findings()
    found.expect(not hangs, f"hangs in {len(hangs)} of 6")
    found.expect(not breaks, f"breaks the pool in {len(breaks)} of 6")
    found.expect(not silent, f"hides the reason in {len(silent)} of 6")
    close(pool)
    return found.verdict()


@case("C22", "the `with` block is left in the moment in which a worker dies, 5 times")
def left_while_breaking(bench: Bench) -> str:
    for _ in range(5):
        pool = bench.open()
        trouble(pool)
        submit_all(pool, [(tasks.leave_later, 0.0)])
        done, _ = ended(pool.shutdown)
        if not done:
            return "hangs"
    return "holds"


@case("C23", "a call that can't be pickled, with the spawn method: an error that says so")
def unpicklable_under_spawn(bench: Bench) -> str:
    found = Findings()
    pool = bench.open(method="spawn")
    settled = settle(pool, submit_all(pool, [(tasks.same, tasks.Locked())]), 10)
    if settled.hanging:
        return "hangs"
    words = " ".join(f"{name_of(error)} {error}" for error in chain(settled.errors.get(0)))
    found.expect("pickle" in words.lower(), f"says {name_of(settled.errors.get(0))}")
    check_lives(found, pool)
    close(pool)
    return found.verdict()


@case("C24", "four calls that return 10 MB are cancelled, the pool is stopped and joined")
def joined_over_large_results(bench: Bench) -> str:
    pool = bench.open(4)
    marks = [bench.scratch / f"started-{i}" for i in range(4)]
    handles = submit_all(pool, [(tasks.large, 10, str(mark)) for mark in marks])
    processes.until(lambda: any(mark.exists() for mark in marks), PATIENCE_S, 0.001)

    def stop() -> None:
        for handle in handles:
            try:
                pool.cancel_running(handle)
            except NotOffered:
                break
        pool.shutdown(cancel=True)

    done, _ = ended(stop, 5)
    return "holds" if done else "join hangs"


@case(
    "C25",
    "a running call is cancelled, another submitted, for 8 s or 1,000 rounds (the report: "
    "100,000); the other always completes",
    replaces=True,
    limit_s=30,
)
def cancelled_then_submitted(bench: Bench) -> str:
    pool = bench.open()
    trouble(pool)
    end = time.monotonic() + 8
    rounds = 0
    while rounds < 1000 and time.monotonic() < end:
        started = bench.scratch / f"started-{rounds}"
        running = pool.submit(tasks.touch_and_spin, str(started))
        processes.until(started.exists, PATIENCE_S, 0.001)
        pool.cancel_running(running)
        other = pool.submit(tasks.add_one, rounds)
        if not pool.wait(other, PATIENCE_S):
            return f"hangs in round {rounds + 1}"
        if pool.error(other) is not None:
            return f"{name_of(pool.error(other))} in round {rounds + 1}"
        rounds += 1
    bench.counts["rounds"] = rounds
    close(pool)
    return "holds" if rounds > 10 else f"only {rounds} rounds"


@case("C26", "calls, one of them not to be pickled, while another thread imports")
def during_an_import(bench: Bench) -> str:
    found = Findings()
    (bench.scratch / "slow_to_import.py").write_text(
        "import slow_gate\nslow_gate.reached.set()\nslow_gate.opened.wait(15)\n"
    )
    gate: Any = type(sys)("slow_gate")
    gate.reached, gate.opened = threading.Event(), threading.Event()
    sys.modules["slow_gate"] = gate
    sys.path.insert(0, str(bench.scratch))
    importer = threading.Thread(target=importlib.import_module, args=["slow_to_import"])
    importer.start()
    gate.reached.wait(5)
    pool = bench.open()
    done, handles = ended(
        lambda: submit_all(pool, [(tasks.same, tasks.Locked()), (tasks.add_one, 1)])
    )
    if not done:
        return "`submit` hangs"
    settled = settle(pool, handles)
    found.expect(0 in settled.errors, "the unpicklable call hangs")
    found.expect(1 in settled.values, "the good call hangs")
    gate.opened.set()
    importer.join()
    close(pool)
    return found.verdict()


@case("C27", "fork and join by recursion through one pool with one worker")
def recursive_calls(bench: Bench) -> str:
    pool = tasks.POOL = bench.open(1)
    call: tuple[Any, ...]
    try:
        pickle.dumps(pool.pool)
        call = (tasks.fib, 7, pool.pool)
    except Exception:
        call = (tasks.fib, 7)  # the pool comes along with a fork, if there is one
    settled = settle(pool, submit_all(pool, [call]))
    if settled.hanging:
        return "hangs"
    if settled.errors:
        if any(isinstance(error, tasks.NoPoolError) for error in chain(settled.errors[0])):
            raise NotOffered("a pool can't be handed to a call")
        return f"raises {name_of(settled.errors[0])}"
    close(pool)
    return "holds" if settled.values[0] == 13 else "wrong result"
