"""C55 to C59, C75 to C79: what pickle refuses, and what becomes of exceptions."""

from __future__ import annotations

import functools
import os
import time
import traceback
import warnings
from collections.abc import Callable

from benchmarks.cases import processes, tasks
from benchmarks.cases.scenario import (
    Bench,
    Findings,
    Program,
    case,
    chain,
    check_lives,
    close,
    ended,
    name_of,
    settle,
    submit_all,
)


@case("C55", "lambda, closure, local function, bound method, `partial` as the function", limit_s=40)
def kinds_of_functions(bench: Bench) -> str:
    one = 1

    def local(number: int) -> int:
        return number + 1

    def closure(number: int) -> int:
        return number + one

    kinds: dict[str, Callable[[int], int]] = {
        "lambda": lambda number: number + 1,
        "closure": closure,
        "local function": local,
        "bound method": tasks.Adder(1).add,
        "`partial`": functools.partial(int.__add__, 1),
    }
    refused = []
    for name, kind in kinds.items():
        pool = bench.open(by_value=True)
        if settle(pool, submit_all(pool, [(kind, 1)]), 4).values.get(0) != 2:
            refused.append(name)
        close(pool)
    return "holds" if not refused else f"refuses {', '.join(refused)}"


MAIN = """
def work(number):
    return number + 1

from benchmarks.cases.engines import open_engine
if {guard}:
    pool = open_engine({engine!r}, method={method!r}, by_value=True)
    handles = [pool.submit(work, number) for number in range(4)]
    print(*[pool.value(handle) if pool.wait(handle, 6) else "hangs" for handle in handles])
    pool.shutdown()
"""


@case(
    "C56",
    "a function typed in `python -c` and in a script on stdin, workers by spawn",
    limit_s=40,
)
def typed_in_main(bench: Bench) -> str:
    text = MAIN.format(guard="__name__ == '__main__'", engine=bench.engine, method="spawn")
    found = Findings()
    for name, program in {
        "`-c`": Program(["-c", text]),
        "stdin": Program(["-"], stdin=text),
    }.items():
        done = program.ends(8)
        words = "hangs" if not done else program.last_words()
        found.expect(done and program.output.strip() == "1 2 3 4", f"{name}: {words}")
        processes.end_all(processes.PART, program.mark)
    return found.verdict()


@case(
    "C57",
    "a script without `__main__` guard, workers by spawn and by fork server: its body runs once",
    limit_s=40,
)
def script_without_guard(bench: Bench) -> str:
    found = Findings()
    for method in ("spawn", "forkserver"):
        if bench.engine == "loky" and method == "forkserver":
            continue  # it has a start method of its own
        note = bench.scratch / method
        text = f"open({str(note)!r}, 'a').write('x')\n"
        text += MAIN.format(guard="True", engine=bench.engine, method=method)
        script = bench.scratch / f"script_{method}.py"
        script.write_text(text)
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, [os.getcwd(), os.environ.get("PYTHONPATH", "")])
        )
        program = Program([str(script)])
        done = program.ends(10)
        processes.end_all(processes.PART, program.mark)
        runs = len(note.read_text())
        found.expect(runs == 1, "the body runs again in workers")
        fine = done and program.output.strip() == "1 2 3 4"
        found.expect(fine, "hangs" if not done else program.last_words())
    return found.verdict()


@case("C59", "a result can't be unpickled in the caller: an exception, and the pool lives")
def result_refuses_at_home(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    settled = settle(pool, submit_all(pool, [(tasks.make_only_here, os.getpid())]))
    found.expect(not settled.hanging, "the future hangs")
    found.expect(0 not in settled.values, "no exception")
    check_lives(found, pool)
    close(pool)
    return found.verdict()


@case("C75", "an exception that pickle can't make again: its text arrives, the pool lives")
def demanding_exception(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    settled = settle(pool, submit_all(pool, [(tasks.raise_demanding,)]))
    if settled.hanging:
        found.expect(False, "the future hangs")
    else:
        links = chain(settled.errors.get(0))
        text = "".join(traceback.format_exception(links[0])) if links else ""
        kept = any(isinstance(link, tasks.Demanding) for link in links)
        found.expect(kept or "words of the exception" in text, "its text is lost")
    check_lives(found, pool)
    close(pool)
    return found.verdict()


@case("C76", "every second item of a `map` raises; the others' results come")
def map_goes_on(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    done, outcomes = ended(lambda: pool.outcomes(tasks.raise_odd, range(20)))
    if not done:
        return "hangs"
    values = [value for value in outcomes if not isinstance(value, BaseException)]
    found.expect(values == list(range(0, 20, 2)), f"loses {10 - len(values)} of 10")
    check_lives(found, pool)
    close(pool)
    return found.verdict()


@case("C77", "the iterator of a `map` over 300 items is dropped after one: nobody stays silent")
def dropped_iterator(bench: Bench) -> str:
    path = bench.scratch / "lines"
    pool = bench.open()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        iterator = pool.map(tasks.Writer(str(path)), range(300), 1)
        next(iterator)
        del iterator
        time.sleep(1)
        done, _ = ended(pool.shutdown)
    if not done:
        return "hangs"
    lines = len(path.read_text().split())
    said = [str(warning.message) for warning in caught]
    if lines == 300 or any("map" in words for words in said):
        return "holds"
    return f"{300 - lines} items not run, silently"


@case("C78", "an item of a `map` raises; the error names its index and argument")
def error_names_the_item(bench: Bench) -> str:
    pool = bench.open()
    done, outcomes = ended(lambda: pool.outcomes(tasks.raise_at_1023, range(1000, 1050)))
    if not done:
        return "hangs"
    errors = [error for error in outcomes if isinstance(error, BaseException)]
    if not errors:
        return "no error"
    text = "".join(traceback.format_exception(errors[0]))
    text = _unquoted(text)
    says = {"index": "23" in text.replace("1023", ""), "argument": "1023" in text}
    silent = [name for name, is_said in says.items() if not is_said]
    close(pool)
    return "holds" if not silent else f"does not say {', '.join(silent)}"


def _unquoted(text: str) -> str:
    """Without the lines of source that a traceback quotes, and without line numbers."""
    lines = [line for line in text.splitlines() if not line.startswith(("    ", "  File"))]
    return "\n".join(lines)


@case("C79", "a call's own exception and a dead worker have different classes", replaces=True)
def whose_fault(bench: Bench) -> str:
    found = Findings()
    pool = bench.open()
    own = settle(pool, submit_all(pool, [(tasks.raise_user_error,)])).errors.get(0)
    found.expect(isinstance(own, tasks.UserError), f"a call's own is {name_of(own)}")
    dead = settle(pool, submit_all(pool, [(tasks.leave_later, 0.0)])).errors.get(0)
    if dead is None:
        return "the future of the dead worker hangs"
    general = type(dead).__module__ == "builtins"
    found.expect(not general, f"a dead worker is a plain {name_of(dead)}")
    close(pool)
    return found.verdict()
