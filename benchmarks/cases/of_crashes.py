"""C01 to C14: a worker dies."""

from __future__ import annotations

import os
import random
import re
import signal
import statistics
import time
import traceback
from functools import partial

from benchmarks.cases import processes, tasks
from benchmarks.cases.engines import NotOffered, kill, worker_pids
from benchmarks.cases.scenario import (
    PATIENCE_S,
    Bench,
    Findings,
    case,
    check_lives,
    close,
    ended,
    name_of,
    settle,
    submit_all,
    trouble,
)


@case("C01", "the only worker is killed while idle; the next call gets its result", replaces=True)
def killed_while_idle(bench: Bench) -> str:
    pool = bench.open(1)
    kill(*worker_pids(pool, 1))
    words = trouble(pool)
    close(pool)
    return words or "holds"


@case("C02", "one call of ten leaves its process; nine results, one error", replaces=True)
def one_of_ten_leaves(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    settled = settle(pool, submit_all(pool, [(tasks.leave_if, i, 5) for i in range(10)]))
    lost = settled.missing(set(range(10)) - {5})
    found.expect(not lost, f"loses {lost} of 9")
    found.expect(5 in settled.errors, "the culprit's future hangs")
    check_lives(found, pool)
    close(pool)
    return found.verdict()


@case("C03", "one of four workers is killed; the same pool does 100 more calls", replaces=True)
def one_of_four_is_killed(bench: Bench) -> str:
    pool = bench.open(4)
    kill(worker_pids(pool, 4)[0])
    settled = settle(pool, submit_all(pool, [(tasks.add_one, i) for i in range(100)]))
    lost = settled.missing(range(100))
    close(pool)
    return "holds" if not lost else f"loses {lost} of 100"


@case(
    "C04",
    "an item of a `map` reads address 0; the error says index, function, signal, process, stack "
    "and peak memory",
    replaces=True,
)
def error_says_what_happened(bench: Bench) -> str:
    pool = bench.open()
    done, outcomes = ended(lambda: pool.outcomes(tasks.read_null, range(1000, 1050)))
    if not done:
        return "hangs"
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if not errors:
        return "no error"
    error = errors[0]
    text = "".join(traceback.format_exception(error)) + repr(getattr(error, "__dict__", {}))
    text += " ".join(f"{name}={getattr(error, name, None)}" for name in ("index", "pid", "stack"))
    pid = (bench.scratch / "pid").read_text()
    says = {
        "index": re.search(r"\b(index|item|task|argument)\W{1,4}(23|1023)\b", text),
        "function": "read_null" in text.replace("outcomes(tasks.read_null", ""),
        "signal": "SIGSEGV" in text or re.search(r"(code|exit)\w*\W{1,4}-11\b", text),
        "process": re.search(rf"\b{pid}\b", text),
        "stack": "deepest_of_all" in text,
        "peak memory": re.search(r"peak|maxrss|resident", text),
    }
    close(pool)
    silent = [name for name, is_said in says.items() if not is_said]
    return "holds" if not silent else f"does not say {', '.join(silent)}"


@case("C05", "the pool is forgotten while a call is about to crash; nothing is left over")
def forgotten_before_the_crash(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    handle = pool.submit(tasks.leave_later, 0.5)
    judge = pool.wait, pool.error
    pool.drop()
    found.expect(judge[0](handle, PATIENCE_S), "the future hangs")
    if not found.words:
        found.expect(judge[1](handle), "the future has no error")
    gone = processes.until(lambda: not _workers(), PATIENCE_S)
    found.expect(gone, f"leaves {len(_workers())} workers")
    return found.verdict()


@case(
    "C06",
    "a worker that does not read is killed under 200 calls of 1 MB; no other call is lost",
    replaces=True,
    limit_s=30,
)
def killed_with_a_full_channel(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    victim = worker_pids(pool)[0]
    os.kill(victim, signal.SIGSTOP)
    load = bytes(1 << 20)
    submitted, handles = ended(
        lambda: submit_all(pool, [(len, load) for _ in range(200)]), PATIENCE_S
    )
    kill(victim)
    if not submitted:
        return "`submit` blocks"
    settled = settle(pool, handles)
    lost = settled.missing(range(200))
    found.expect(not settled.hanging, f"{len(settled.hanging)} of 200 futures hang")
    if not settled.hanging:
        found.expect(lost <= 1, f"loses {lost} of 200")
    close(pool)
    return found.verdict()


@case(
    "C07",
    "workers are killed at 100 random moments under full load; every future ends, the pool "
    "recovers (the report: 1,000)",
    replaces=True,
    limit_s=40,
)
def killed_at_random(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    seen = worker_pids(pool)
    chance = random.Random(7)
    kills = 0
    end = time.monotonic() + 15
    while kills < 100 and time.monotonic() < end:
        handles = submit_all(pool, [(tasks.pid_after_work, i) for i in range(40)])
        time.sleep(chance.random() * 0.01)
        kill(chance.choice(seen))
        kills += 1
        settled = settle(pool, handles)
        if settled.hanging:
            return f"{len(settled.hanging)} of 40 futures hang after kill {kills}"
        if len(settled.errors) > 4:
            words = trouble(pool)
            if words:
                return f"{words} at kill {kills}"
        seen = sorted(set(settled.values.values())) or seen
    found.expect(len(worker_pids(pool, patience=PATIENCE_S)) >= 2, "does not recover its size")
    close(pool)
    return found.verdict()


@case("C08", "a worker dies while the results of a `map` are being taken", replaces=True)
def dies_during_iteration(bench: Bench) -> str:
    pool = bench.open()

    def take() -> int:
        return sum(1 for _ in pool.map(tasks.leave_at_50, range(200), 1))

    done, _ = ended(take)
    return "holds" if done else "hangs"


@case("C09", "an item of a `map` leaves its process; the other 99 have results", replaces=True)
def map_loses_one(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    done, outcomes = ended(lambda: pool.outcomes(tasks.leave_at_50, range(100)), 10)
    if not done:
        return "hangs"
    if isinstance(outcomes, BaseException):
        return f"raises {name_of(outcomes)}"
    values = [value for value in outcomes if not isinstance(value, BaseException)]
    found.expect(len(values) == 99, f"loses {99 - len(values)} of 99")
    check_lives(found, pool)
    close(pool)
    return found.verdict()


@case(
    "C10",
    "a call needs 600 MB, a worker may have 300 (where the engine has no limit, it is killed as "
    "the kernel would); its error speaks of memory, the others go on",
    replaces=True,
)
def out_of_memory(bench: Bench) -> str:
    found = Findings()
    limit = 300 << 20
    pool = bench.open(max_worker_memory=limit)
    pids = worker_pids(pool)
    handles = submit_all(pool, [(tasks.eat, 600), *[(tasks.nap, 0.02)] * 20])
    if bench.engine != "allcores":
        processes.until(lambda: any(processes.memory_of(pid) > limit for pid in pids), 5)
        kill(max(pids, key=processes.memory_of))
    settled = settle(pool, handles)
    found.expect(not settled.hanging, f"{len(settled.hanging)} of 21 futures hang")
    if 0 in settled.errors:
        words = "".join(traceback.format_exception(settled.errors[0])).lower()
        found.expect("memory" in words, "the error does not speak of memory")
    else:
        found.expect(0 in settled.hanging, "no error")
    check_lives(found, pool)
    close(pool)
    return found.verdict()


@case("C11", "1,000 futures fail at once; each has an exception of its own")
def exceptions_of_their_own(bench: Bench) -> str:
    pool = bench.open()
    pids = worker_pids(pool)
    handles = submit_all(pool, [(tasks.nap, 30) for _ in range(1000)])
    time.sleep(0.2)
    for pid in pids:
        kill(pid)
    pool.wait(handles[0], PATIENCE_S)
    time.sleep(0.3)
    errors = [pool.error(handle) for handle in handles if pool.wait(handle, 0)]
    if not errors:
        return "hangs"
    distinct = len({id(error) for error in errors})
    close(pool)
    return "holds" if distinct == len(errors) else f"{len(errors):,} share {distinct}"


@case("C12", "the batch job behind a cluster worker is killed")
def cluster_job_is_killed(bench: Bench) -> str:
    raise NotOffered("no cluster back end")


@case("C13", "a worker dies between two calls; the pool notices within 100 ms (median of 3)")
def notices_at_once(bench: Bench) -> str:
    took = []
    for _ in range(3):
        pool = bench.open()
        victim = worker_pids(pool)[0]
        time.sleep(0.2)
        killed = time.monotonic()
        kill(victim)
        if not processes.until(partial(processes.is_reaped, victim), 3, 0.001):
            return "not before the next call"
        took.append(time.monotonic() - killed)
        close(pool)
    middle = statistics.median(took)
    return "holds" if middle < 0.1 else f"takes {middle * 1e3:.0f} ms"


@case("C14", "every second call of 10,000 raises", limit_s=30)
def every_second_raises(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    settled = settle(pool, submit_all(pool, [(tasks.raise_odd, i) for i in range(10_000)]))
    found.expect(not settled.hanging, f"{len(settled.hanging):,} of 10,000 hang")
    if not settled.hanging:
        lost = settled.missing(range(0, 10_000, 2))
        found.expect(not lost, f"loses {lost:,} of 5,000")
    close(pool)
    return found.verdict()


def _workers() -> list[int]:
    return [pid for pid in processes.children() if not processes.is_helper(pid)]
