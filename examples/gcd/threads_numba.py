"""Two threads again, and two cores: Numba has compiled the function, and lets the interpreter lock
go. Its disk cache is warm from the second run on. Its integers wrap at 64 bits, without a word.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from gcd import NUMBERS, gcd
from numba import njit

start = perf_counter()
compiled = njit(nogil=True, cache=True)(gcd)
with ThreadPoolExecutor(max_workers=2) as pool:
    results = list(pool.map(compiled, NUMBERS))
seconds = perf_counter() - start

print(f"{seconds:.3f}")
print(results)
