"""The same function as machine code: `serial.py` with a backend."""

from __future__ import annotations

from time import perf_counter

from gcd import NUMBERS, gcd

import allcores

start = perf_counter()
results = list(allcores.map(gcd, NUMBERS, backend="native", max_workers=2))
seconds = perf_counter() - start

print(f"{seconds:.3f}")
print(results)
