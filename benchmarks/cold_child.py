"""A whole script, as short as a user's: make a pool, do one job, shut down. `python -m
benchmarks.cold_child`.

Nothing is imported that the job doesn't need; the parent measures the wall time of the whole
process.
"""

from __future__ import annotations

import sys
from time import perf_counter

from benchmarks.peers import open_pool


def main(job: str, peer: str, report_path: str) -> None:
    """`job` is `first` (one tiny task) or `gcd` (the ten pairs)."""
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
    with open(report_path, "w", encoding="utf-8") as report:
        if answers == right:
            report.write(f'{{"values": {{"result_ms": {first_ms}, "close_ms": {close_ms}}}}}\n')
        else:
            report.write('{"failed": "WrongResultError: not the function\'s value"}\n')


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
