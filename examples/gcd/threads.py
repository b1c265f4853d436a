"""Two threads, and still one core: the interpreter lock lets only one of them run Python at a
time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from gcd import NUMBERS, gcd

start = perf_counter()
with ThreadPoolExecutor(max_workers=2) as pool:
    results = list(pool.map(gcd, NUMBERS))
seconds = perf_counter() - start

print(f"{seconds:.3f}")
print(results)
