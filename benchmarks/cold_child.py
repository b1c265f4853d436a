"""A whole script, as short as a user's: make a pool, do one job, shut down. `python -m
benchmarks.cold_child`.

Nothing is imported that the job doesn't need; the parent measures the wall time of the whole
process.
"""

from __future__ import annotations

import sys
from time import perf_counter

from benchmarks.peers import open_pool

BLOCKS = 50


def main(job: str, peer: str, report_path: str) -> None:
    """`job` is `first` (one tiny task), `gcd` (the ten pairs) or `row` (pools in a row)."""
    if job == "row":
        write(report_path, row(peer))
        return
    if job == "first":
        from benchmarks.tasks import add1

        start = perf_counter()
        pool = open_pool(peer)
        answers, right = [pool.call(add1, 1)], [2]
    else:
        import math

        from gcd import NUMBERS, gcd

        start = perf_counter()
        pool = open_pool(peer)
        answers, right = list(pool.map(gcd, NUMBERS)), [math.gcd(a, b) for a, b in NUMBERS]
    result = perf_counter()
    pool.close()
    closed = perf_counter()

    first_ms, close_ms = (result - start) * 1e3, (closed - result) * 1e3
    is_right = answers == right
    write(report_path, {"result_ms": first_ms, "close_ms": close_ms} if is_right else None)


def row(peer: str) -> dict[str, float] | None:
    """The first block, with all that is imported for it, and then the rest of fifty."""
    from benchmarks.tasks import add1

    times, is_right = [perf_counter()], True
    for number in range(BLOCKS):
        pool = open_pool(peer)
        is_right = is_right and pool.call(add1, number) == number + 1
        pool.close()
        times.append(perf_counter())
    one_ms, row_ms = (times[1] - times[0]) * 1e3, (times[-1] - times[0]) * 1e3
    more_ms = (row_ms - one_ms) / (BLOCKS - 1)
    return {"one_ms": one_ms, "row_ms": row_ms, "more_ms": more_ms} if is_right else None


def write(report_path: str, values: dict[str, float] | None) -> None:
    """The report; None: something returned a wrong result."""
    said = ", ".join(f'"{key}": {value}' for key, value in (values or {}).items())
    with open(report_path, "w", encoding="utf-8") as report:
        if values is not None:
            report.write(f'{{"values": {{{said}}}}}\n')
        else:
            report.write('{"failed": "WrongResultError: not the function\'s value"}\n')


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
