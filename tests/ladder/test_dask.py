"""The rung of a Dask cluster. Each in a program of its own: Dask starts threads and keeps them."""

from __future__ import annotations

from support import scripts

PREAMBLE = """
import logging, os, signal
import distributed
from allcores.errors import WorkerDied
from allcores.ladder import backends
from allcores.ladder.options import CallOptions, OpenOptions
from support import tasks

for name in ("distributed.scheduler", "distributed.nanny", "distributed.client"):
    logging.getLogger(name).setLevel(logging.CRITICAL)

def opened(**options):
    return backends.usable("dask").open(OpenOptions(**options))

def fails_at_three(number):
    if number == 3:
        raise KeyError(number)
    return number

def dies_at_five(number):
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number

"""


def run(body: str) -> None:
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    program = f'{PREAMBLE}\ndef main():\n{lines}\nif __name__ == "__main__":\n    main()\n'
    result = scripts.run_file(program + '    print("well")\n')
    assert (result.code, result.words) == (0, "well\n")


def test_calls_and_maps_have_the_meaning_of_every_rung() -> None:
    run("""
with opened(max_workers=2) as rung:
    assert rung.max_workers == 2
    seven = 7
    assert rung.submit(lambda number: number + seven, 3).result() == 10
    assert list(rung.map(tasks.add_one, range(1000), options=CallOptions())) == list(range(1, 1001))
    assert list(rung.map(pow, [2, 3], [5, 6], options=CallOptions())) == [32, 729]
    loose = rung.map(tasks.add_one, range(100), options=CallOptions(ordered=False))
    assert sorted(loose) == list(range(1, 101))
    results = rung.map(fails_at_three, range(10), options=CallOptions())
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    try:
        next(results)
    except KeyError as error:
        assert error.__notes__ == ["in allcores task fails_at_three(index 3, 3)"]
        assert "fails_at_three" in str(error.__cause__)
    else:
        raise AssertionError("nothing was raised")
    assert next(results) == 4
    results.close()
try:
    rung.submit(tasks.add_one, 1)
except RuntimeError as error:
    assert "after shutdown" in str(error)
else:
    raise AssertionError("a shut executor took a call")
""")


def test_c12_call_whose_cluster_worker_is_killed_fails_and_the_others_do_not() -> None:
    run("""
with opened(max_workers=2) as rung:
    one_a_chunk = CallOptions(return_exceptions=True, chunksize=1)
    results = list(rung.map(dies_at_five, range(8), options=one_a_chunk))
    assert isinstance(results[5], WorkerDied), results
    assert any("item 5" in note for note in results[5].__notes__)
    others = [result for result in results if not isinstance(result, WorkerDied)]
    assert len(others) >= 5, results  # Dask gives up what else that worker held
    lost = rung.submit(dies_at_five, 5)
    assert isinstance(lost.exception(), WorkerDied)
    assert rung.submit(dies_at_five, 6).result() == 6
""")


def test_program_s_own_client_is_used_and_left_open() -> None:
    run("""
from distributed import Client
with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
    with opened() as rung:
        assert rung.max_workers == 1
        table = bytes(300_000)
        assert list(rung.map(lambda item: len(table) + item, range(3), options=CallOptions())) == [
            300_000, 300_001, 300_002]
        assert len(rung._large) == 1
    assert client.submit(tasks.add_one, 1).result() == 2
""")


def test_what_dask_can_not_keep_is_refused() -> None:
    run("""
with opened(max_workers=1) as rung:
    try:
        rung.map(tasks.add_one, [1], options=CallOptions(timeout=1))
    except NotImplementedError as error:
        assert "`timeout`" in str(error) and "hint:" in str(error)
    else:
        raise AssertionError("a timeout was taken")
try:
    opened(initializer=print)
except NotImplementedError as error:
    assert "`initializer`" in str(error) and "hint:" in str(error)
else:
    raise AssertionError("an initializer was taken")
""")
