"""The kernels of buffers and lists, as they stand for both compilers.

Arguments are `bytes` and numpy's arrays, since Numba takes no lists without copying them element by
element; lists are made within.
"""

from __future__ import annotations

import random

import numpy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from benchmarks.native.kernels import Kernel


def levenshtein(a, b):
    row = [0] * (len(b) + 1)
    for j in range(len(b) + 1):
        row[j] = j
    for i in range(1, len(a) + 1):
        before = row[0]
        row[0] = i
        for j in range(1, len(b) + 1):
            old = row[j]
            changed = before if a[i - 1] == b[j - 1] else before + 1
            row[j] = min(row[j] + 1, row[j - 1] + 1, changed)
            before = old
    return row[len(b)]


def common_subsequence(a, b):
    row = [0] * (len(b) + 1)
    for i in range(len(a)):
        before = 0
        for j in range(len(b)):
            old = row[j + 1]
            if a[i] == b[j]:
                row[j + 1] = before + 1
            elif row[j] > row[j + 1]:
                row[j + 1] = row[j]
            before = old
    return row[len(b)]


def sieve(n):
    flags = [1] * n
    count = 0
    for k in range(2, n):
        if flags[k]:
            count += 1
            for multiple in range(k * k, n, k):
                flags[multiple] = 0
    return count


def matrix_product(a, b, n):
    weighted = 0.0
    for i in range(n):
        for j in range(n):
            total = 0.0
            for k in range(n):
                total += float(a[i, k]) * float(b[k, j])
            weighted += total * (i + 0.5)
    return weighted


def checksum(data):
    a, b = 1, 0
    for byte in data:
        a = (a + byte) % 65521
        b = (b + a) % 65521
    return b * 65536 + a


def histogram(data):
    counts = [0] * 256
    for byte in data:
        counts[byte] += 1
    best = 0
    for k in range(256):
        if counts[k] > counts[best]:
            best = k
    return best


def dot(a, b):
    total = 0.0
    for i in range(len(a)):
        total += float(a[i]) * float(b[i])
    return total


def best_sum(values):
    best = current = 0
    for value in values:
        current = max(0, current + int(value))
        best = max(best, current)
    return best


def knapsack(weights, values, capacity):
    best = [0] * (capacity + 1)
    for i in range(len(weights)):
        weight, value = int(weights[i]), int(values[i])
        for room in range(capacity, weight - 1, -1):
            with_it = best[room - weight] + value
            if with_it > best[room]:
                best[room] = with_it
    return best[capacity]


def rule_110(width, turns):
    cells = [0] * width
    cells[width - 2] = 1
    for _ in range(turns):
        left = 0
        for i in range(width - 1):
            here, right = cells[i], cells[i + 1]
            cells[i] = (110 >> (left * 4 + here * 2 + right)) & 1
            left = here
    total = 0
    for cell in cells:
        total += cell
    return total


def queens(n):
    columns = [0] * n
    row = found = 0
    columns[0] = -1
    while row >= 0:
        columns[row] += 1
        while columns[row] < n:
            fits = True
            for other in range(row):
                distance = columns[row] - columns[other]
                if distance == 0 or distance == row - other or distance == other - row:
                    fits = False
                    break
            if fits:
                break
            columns[row] += 1
        if columns[row] >= n:
            row -= 1
        elif row == n - 1:
            found += 1
        else:
            row += 1
            columns[row] = -1
    return found


_random = random.Random(7)
TEXTS = [bytes(_random.choices(b"acgt", k=400)) for _ in range(9)]
DATA = [_random.randbytes(200_000) for _ in range(8)]
NUMBERS = numpy.array([_random.uniform(-1, 1) for _ in range(300_000)])
WHOLES = numpy.array([_random.randrange(-100, 100) for _ in range(300_000)])
MATRIX = NUMBERS[:10_000].reshape(100, 100).copy()
WEIGHTS = numpy.array([_random.randrange(1, 60) for _ in range(100)])
VALUES = numpy.array([_random.randrange(1, 100) for _ in range(100)])

KERNELS: dict[str, Kernel] = {
    "levenshtein": (levenshtein, [(TEXTS[n], TEXTS[n + 1]) for n in range(8)]),
    "common_subsequence": (common_subsequence, [(TEXTS[n], TEXTS[n + 1]) for n in range(8)]),
    "sieve": (sieve, [(150_000 + n,) for n in range(8)]),
    "matrix_product": (matrix_product, [(MATRIX, MATRIX, 100 - n) for n in range(8)]),
    "checksum": (checksum, [(data,) for data in DATA]),
    "histogram": (histogram, [(data,) for data in DATA]),
    "dot": (dot, [(NUMBERS, NUMBERS)] * 8),
    "best_sum": (best_sum, [(WHOLES,)] * 8),
    "knapsack": (knapsack, [(WEIGHTS, VALUES, 8000 + n) for n in range(8)]),
    "rule_110": (rule_110, [(1000, 400 + n) for n in range(8)]),
    "queens": (queens, [(8,)] * 8),
}
