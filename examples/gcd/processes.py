"""Two processes of the standard library, and two cores.

Change the first import to `from allcores import ProcessPoolExecutor` and the same file runs on
allcores. The `__main__` guard is the standard library's need: where its workers start by spawn or
forkserver, each of them imports this file again. allcores needs no guard, see
`processes_allcores.py`.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from time import perf_counter

from gcd import NUMBERS, gcd

if __name__ == "__main__":
    start = perf_counter()
    with ProcessPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(gcd, NUMBERS))
    seconds = perf_counter() - start

    print(f"{seconds:.3f}")
    print(results)
