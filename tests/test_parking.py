"""Workers kept from one executor to the next, and every reason for which they are not."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from support import processes, programs, scripts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")

PRELUDE = """
import math, multiprocessing, operator, os, sys, threading, warnings
from concurrent.futures import as_completed, wait
from allcores import ProcessPoolExecutor as Pool
from allcores.pool import parking

Pool().shutdown()  # the first of a program, whose workers are not kept
forks = []
os.register_at_fork(after_in_parent=lambda: forks.append(1))

def add1(x):
    return x + 1

def block(function=add1, *args, workers=2, **options):
    with Pool(workers, **options) as pool:
        return pool.submit(function, *(args or (1,))).result()

def kept():
    return not parking.is_empty()
"""


def run(source: str, *options: str, **settings: str) -> scripts.Result:
    """A program that has the names of `PRELUDE`."""
    return scripts.run([*options, "-c", PRELUDE + textwrap.dedent(source)], more=settings)


def said(source: str, *options: str, **settings: str) -> str:
    result = run(source, *options, **settings)
    assert result.code == 0, result.words
    return result.words.strip()


# When they are kept


def test_first_executor_of_a_program_keeps_no_workers() -> None:
    result = scripts.run_command(
        """
        import sys
        import multiprocessing
        from allcores import ProcessPoolExecutor

        def made():
            with ProcessPoolExecutor(2) as pool:
                assert pool.submit(abs, -1).result() == 1

        made()
        assert "allcores.pool.parking" not in sys.modules
        made()
        from allcores.pool import parking
        assert not parking.is_empty()
        print("well")
        """
    )
    assert (result.code, result.words) == (0, "well\n")


def test_c51_fifty_blocks_in_a_row_start_two_workers() -> None:
    assert said("for _ in range(50): assert block() == 2\nprint(len(forks))") == "2"


CLOSED = {
    "a built-in": "block(abs)",
    "of math": "block(math.sqrt, 4.0)",
    "of operator": "block(operator.add, 1, 2)",
    "a comprehension": "def f(xs): return [x * 2 for x in xs if x]\nblock(f, [1, 2])",
    "a generator expression": "def f(n): return sum(i * i for i in range(n))\nblock(f, 9)",
    "a key": "def f(xs): return sorted(xs, key=lambda x: -x)\nblock(f, (1, 2))",
    "helpers": "def g(x, y=2): return x * y\ndef f(x): return g(x) + add1(x)\nblock(f, 1)",
    "constants": "STEP = 3\ndef f(x): return x + STEP + math.pi\nblock(f, 1)",
    "methods": "def f(s): return s.upper().split(',') + list({'a': 1}.items())\nblock(f, 'a,b')",
    "a loop": "def f(n):\n  while n % 7:\n    n += 1\n  return f'{n} is it'\nblock(f, 9)",
    "an exception": (
        "def f(x):\n  if x: raise ValueError(x)\n"
        "try: block(f, 1)\nexcept ValueError: pass\nelse: sys.exit('nothing was raised')"
    ),
    "caught": "def f(x):\n  try: return 1 // x\n  except ZeroDivisionError: return 0\nblock(f, 0)",
    "a map": "with Pool(2) as pool: assert [*pool.map(add1, range(100))] == [*range(1, 101)]",
    "a map of a list": "with Pool(2) as pool: assert [*pool.map(add1, [1, 2])] == [2, 3]",
    "a callback": (
        "with Pool(2) as pool:\n  f = pool.submit(add1, 1)\n"
        "  f.add_done_callback(lambda f: None)\n  wait([f])"
    ),
    "as completed": "with Pool(2) as pool: [*as_completed([pool.submit(add1, 1)])]",
    "a with block left by an exception": (
        "try:\n  with Pool(2) as pool:\n    pool.submit(add1, 1).result()\n    1 // 0\n"
        "except ZeroDivisionError: pass"
    ),
}


@pytest.mark.parametrize("what", CLOSED)
def test_workers_of_closed_functions_serve_the_next_executor(what: str) -> None:
    source = f"{CLOSED[what]}\nassert kept()\n" * 2 + "print(len(forks))"
    # A function is defined anew the second time, and another one then.
    assert said(source) == ("4" if "def " in CLOSED[what] else "2")


# When they are not


NOT_KEPT = {
    "nothing was called": "with Pool(2): pass",
    "an initializer": "block(initializer=add1, initargs=(1,))",
    "a limit of tasks": "block(max_tasks_per_child=5)",
    "replacing": "block(on_worker_death='replace')",
    "a context": "block(mp_context=multiprocessing.get_context('fork'))",
    "a mutable global": "seen = []\ndef f(x): return len(seen)\nblock(f)",
    "a binding": "def f(x):\n  global there\n  there = x\nblock(f)",
    "an import": "def f(x):\n  import json\n  return 1\nblock(f)",
    "the environment": "def f(x): return os.environ.get('HOME')\nblock(f)",
    "a default": "def f(x, seen=[]): return len(seen)\nblock(f)",
    "an attribute": "def f(x): f.x = x\nblock(f)",
    "what is behind a function": "def f(x): return len(f.__globals__)\nblock(f)",
    "a format that looks at attributes": "def f(x): return '{0.real}'.format(x)\nblock(f)",
    "a format that asks the locale": "def f(x): return f'{x:n}'\nblock(f)",
    "printing": "def f(x): print(end='')\nblock(f)",
    "a warning": "def f(x): return ~x\nblock(f)",
    "a helper that is not closed": "def g(): return os\ndef f(x): return bool(g)\nblock(f)",
    "a lambda": "block(lambda x: x)",
    "a process id": "with Pool(2) as pool: pool.submit(os.getpid).result()",
    "an object": "from fractions import Fraction\nblock(add1, Fraction(1, 2))",
    "an object in a map": (
        "from fractions import Fraction\n"
        "with Pool(2) as pool: [*pool.map(add1, [1, Fraction(1, 2)])]"
    ),
    "a later call": "with Pool(2) as p: p.submit(add1, 1).result(), p.submit(os.getpid).result()",
    "an option": "with Pool(2) as pool: pool.options(timeout=50).submit(add1, 1).result()",
    "a cancelled call": (
        "def f(n): return sum(range(n))\n"
        "with Pool(1) as pool:\n"
        "  fs = [pool.submit(f, 200_000) for _ in range(99)]\n"
        "  assert fs[-1].cancel()\n  wait(fs)"
    ),
    "a buffer size": "with Pool(2) as pool: [*pool.map(add1, [1, 2], chunksize=1)]\n"
    "with Pool(2) as pool: pool._map(add1, ([1],), timeout=None, chunksize=1, buffersize=1, "
    "return_exceptions=False, ordered=True, options=None).close()",
    "not waiting": "pool = Pool(2)\npool.submit(add1, 1).result()\npool.shutdown(wait=False)",
    "processes were looked at": "with Pool(2) as p: p.submit(add1, 1).result(), p._processes",
    "a process is held": (
        "with Pool(2) as pool:\n  pool.submit(add1, 1).result()\n"
        "  held = multiprocessing.active_children()\n"
        "assert not any(each.is_alive() for each in held)"
    ),
    "a pipe was open": "r, w = os.pipe()\nblock()",
    "a file was open": "import tempfile\nfile = tempfile.TemporaryFile()\nblock()",
    "a trace function": "sys.settrace(lambda *_: None)\nblock()\nsys.settrace(None)",
    "a killed worker": (
        "import signal\npool = Pool(1)\npool.submit(add1, 1).result()\n"
        "[child] = multiprocessing.active_children()\n"
        "os.kill(child.pid, signal.SIGKILL)\nchild.join()\npool.shutdown()"
    ),
    "much was sent": "block(len, 'x' * 9_000_000)",
}


@pytest.mark.parametrize("what", NOT_KEPT)
def test_workers_are_ended_at_once_after(what: str) -> None:
    assert said(f"{NOT_KEPT[what]}\nprint(kept())") == "False"


def test_workers_are_ended_at_once_if_the_user_says_so() -> None:
    source = "for _ in range(3): block()\nprint(kept(), len(forks))"
    assert said(source, ALLCORES_KEEP_IDLE="0") == "False 6"


def test_bad_idle_time_is_refused_by_name() -> None:
    result = run("Pool(2)", ALLCORES_KEEP_IDLE="soon")
    assert result.code == 1
    assert "`ALLCORES_KEEP_IDLE` is `soon`\nhint: a number of seconds from 0 on" in result.words


# Whether the next executor can tell


def test_first_call_of_another_kind_finds_what_there_is_now() -> None:
    source = """
        level = [1]
        def read(x): return level[0] + x
        block()
        level[0] = 10
        print(block(read), len(forks))
        """
    assert said(source) == "11 4"


def test_later_call_of_another_kind_finds_what_there_is_now() -> None:
    source = """
        level = [1]
        def read(x): return level[0] + x
        block()
        with Pool(2) as pool:
            print(pool.submit(add1, 1).result(), len(forks))
            level[0] = 10
            print(pool.submit(read, 1).result(), len(forks), pool.submit(add1, 5).result())
            print(pool.stats()["submitted"], pool.stats()["done"])
        print(kept(), multiprocessing.active_children())
        """
    assert said(source).split("\n") == ["2 2", "11 4 6", "3 3", "False []"]


def test_call_of_another_kind_need_not_wait_for_calls_that_run() -> None:
    source = """
        level = [1]
        def read(x): return level[0] + x
        def count(n): return sum(i for i in range(n))
        block(count, 9)
        with Pool(2) as pool:
            long = [pool.submit(count, 3_000_000) for _ in range(2)]
            level[0] = 10
            print(pool.submit(read, 1).result(), pool._mp_context is not None)
            print({future.result() for future in long} == {sum(range(3_000_000))})
        print(kept(), multiprocessing.active_children(), threading.active_count())
        """
    assert said(source, "-W", "error").split("\n") == ["11 True", "True", "False [] 1"]


def test_call_of_another_kind_after_a_map_finds_what_there_is_now() -> None:
    source = """
        level = [1]
        def read(x): return level[0] + x
        block()
        with Pool(2) as pool:
            results = pool.map(add1, range(20_000))
            level[0] = 10
            print(pool.submit(read, 1).result(), len(forks), len([*results]))
        print(kept(), multiprocessing.active_children(), threading.active_count())
        """
    assert said(source, "-W", "error").split("\n") == ["11 4 20000", "False [] 1"]


def test_function_that_may_not_be_judged_closed_never_meets_kept_workers() -> None:
    source = """
        def count(x):
            global calls
            calls = x
            return 1
        block(count)
        block()
        with Pool(2) as pool:
            pool.submit(add1, 1).result()
            print(len(forks), kept())
            pool.submit(count, 1).result()
        print(len(forks), kept())
        """
    assert said(source).split("\n") == ["4 False", "6 False"]


def test_function_that_was_changed_is_the_new_one() -> None:
    source = """
        def step(x): return x + 1
        def f(x): return step(x)
        print(block(f), block(f), len(forks))
        def step(x): return x + 100
        print(block(f), len(forks))
        """
    assert said(source).split("\n") == ["2 2 2", "101 4"]


def test_function_of_a_module_that_was_replaced_is_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("def price(x): return x\ndef total(x): return price(x)\n")
    source = f"""
        sys.path.insert(0, {str(tmp_path)!r})
        import shop
        print(block(shop.total), block(shop.total), len(forks))
        shop.price = add1
        print(block(shop.total), len(forks))
        """
    assert said(source).split("\n") == ["1 1 2", "2 4"]


def test_functions_that_take_turns_are_known_after_one_round() -> None:
    source = """
        def add2(x): return x + 2
        for _ in range(5): assert (block(add1), block(add2)) == (2, 3)
        print(len(forks))
        """
    assert said(source) == "4"


def test_recursion_limit_of_now_holds() -> None:
    source = """
        def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
        block(depth, 5)
        sys.setrecursionlimit(5000)
        print(block(depth, 3000), len(forks))
        """
    assert said(source) == "3000 4"


def test_other_number_of_workers_is_kept_to() -> None:
    source = """
        block(workers=1)
        with Pool(3) as pool:
            pool.submit(add1, 1).result()
            print(len(multiprocessing.active_children()), len(forks))
        """
    assert said(source) == "3 4"


def test_two_executors_at_once_do_not_share_workers() -> None:
    source = """
        block()
        with Pool(2) as one, Pool(2) as two:
            one.submit(add1, 1).result(), two.submit(add1, 1).result()
            print(one._processes.keys() & two._processes.keys())
        print(multiprocessing.active_children())
        """
    assert said(source).split("\n") == ["set()", "[]"]


def test_executor_that_is_over_stays_so() -> None:
    source = """
        with Pool(2) as first:
            future = first.submit(add1, 1)
            results = first.map(add1, [1, 2, 3])
            assert next(results) == 2
            wait([future])
            [*results]
        counts = first.stats()
        with Pool(2) as second:
            assert second.stats()["submitted"] == 0
            second.submit(add1, 1).result()
            print(second.stats()["submitted"], second.stats()["done"], future.result())
            try: first.submit(add1, 1)
            except RuntimeError as error: print(error)
            print(first.stats() == counts, first._processes, len(forks))
        first.shutdown()
        """
    assert said(source).split("\n") == [
        "1 1 2",
        "cannot schedule new futures after shutdown",
        "True {} 2",
    ]


def test_threads_of_python_are_those_of_the_user() -> None:
    source = """
        import _thread
        block()
        print(kept(), threading.active_count(), _thread._count(), multiprocessing.active_children())
        """
    assert said(source) == "True 1 0 []"


def test_program_with_a_thread_starts_no_workers_by_fork() -> None:
    source = """
        block()
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        print(block(), len(forks))
        done.set()
        thread.join()
        """
    # The other two forks are those of the server and of its tracker, which `fork_exec` makes.
    assert said(source) == "2 2"


# Their end


def test_workers_are_ended_and_collected_when_nobody_comes() -> None:
    source = """
        from support import leaks, processes
        before = leaks.Holdings.now()
        block()
        pids = processes.descendants(os.getpid())
        print(len(pids), kept())
        processes.wait_until_gone(set(pids), 20)
        del pids
        print(leaks.left_over_since(before), kept())
        """
    assert said(source, ALLCORES_KEEP_IDLE="0.2").split("\n") == ["2 True", "[] False"]


def test_fork_of_the_user_finds_no_workers_and_no_threads() -> None:
    source = """
        block()
        pid = os.fork()
        if not pid:
            assert not kept() and block() == 2 and len(os.listdir("/proc/self/task")) == 3
            sys.exit()
        assert not kept()
        assert os.waitpid(pid, 0)[1] == 0
        print(block(), len(forks))
        """
    assert said(source, "-W", "error") == "2 5"


def test_children_of_multiprocessing_are_not_delayed() -> None:
    source = """
        if __name__ == "__main__":
            block()
            child = multiprocessing.get_context("fork").Process(target=block)
            child.start()
            child.join()
            print(child.exitcode)
        """
    assert said(source, "-W", "error") == "0"


def test_program_ends_with_its_kept_workers(tmp_path: Path) -> None:
    source = PRELUDE + "block()\nprint(*[p.pid for p in parking._shelf.runtime.processes.values()])"
    with programs.started(source, tmp_path) as program:
        result = program.finish()
    assert result.code == 0
    pids = {int(word) for word in result.words.split()}
    assert len(pids) == 2
    assert not pids & processes.parents().keys()


def test_kept_workers_end_with_a_program_that_is_killed(tmp_path: Path) -> None:
    source = PRELUDE + (
        "block()\nprint(*[p.pid for p in parking._shelf.runtime.processes.values()], flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    with programs.started(source, tmp_path) as program:
        result = program.finish()
    pids = {int(word) for word in result.words.split()}
    assert len(pids) == 2
    processes.wait_until_gone(pids, scripts.LIMIT_SECONDS)
