"""How many tiny tasks a second, one `submit` each?"""

from __future__ import annotations

import time

from benchmarks.peers import Pool
from benchmarks.question import SUBMITTERS, Column, Question, Sizes, Values, check
from benchmarks.tasks import add1


def measure(pool: Pool, sizes: Sizes) -> Values:
    """A tenth of the tasks to warm up, then the real ones."""
    submit, result, tasks = pool.submit, pool.result, sizes["tasks"]
    assert submit is not None
    assert result is not None
    for handle in [submit(add1, i) for i in range(tasks // 10)]:
        result(handle)

    cpu, start = time.process_time(), time.perf_counter()
    handles = [submit(add1, i) for i in range(tasks)]
    submitted = time.perf_counter()
    results = [result(handle) for handle in handles]
    done, cpu = time.perf_counter(), time.process_time() - cpu

    check(results == list(range(1, tasks + 1)), "add1")
    return {
        "tasks_per_s": tasks / (done - start),
        "submit_us": (submitted - start) / tasks * 1e6,
        "parent_cpu_us": cpu / tasks * 1e6,
    }


QUESTION = Question(
    name="tiny_submit",
    title="Tiny tasks, one submit each",
    how=(
        "20,000 x `submit(add1, i)`, then all results, on a warm pool. "
        "Parent CPU: all threads of the parent."
    ),
    columns=(
        Column("tasks_per_s", "tasks/s", "more"),
        Column("submit_us", "one submit, µs"),
        Column("parent_cpu_us", "parent CPU per task, µs"),
    ),
    peers=SUBMITTERS,
    sizes={"tasks": 20_000},
    trial_sizes={"tasks": 1_000},
    budget_s=110.0,
    measure=measure,
)

if __name__ == "__main__":
    from benchmarks.run import main

    main([QUESTION.name])
