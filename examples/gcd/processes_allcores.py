"""`processes.py` with one import changed; without its `__main__` guard, because the workers
never run this file.
"""

from __future__ import annotations

from time import perf_counter

from gcd import NUMBERS, gcd

from allcores import ProcessPoolExecutor

start = perf_counter()
with ProcessPoolExecutor(max_workers=2) as pool:
    results = list(pool.map(gcd, NUMBERS))
seconds = perf_counter() - start

print(f"{seconds:.3f}")
print(results)
