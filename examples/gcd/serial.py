"""One pair after the other, on one core. Prints the seconds, then the ten results."""

from __future__ import annotations

from time import perf_counter

from gcd import NUMBERS, gcd

start = perf_counter()
results = list(map(gcd, NUMBERS))
seconds = perf_counter() - start

print(f"{seconds:.3f}")
print(results)
