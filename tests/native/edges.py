"""Programs for each shortcut that compiled code takes, and values at the edges of each.

A shortcut is code that leaves out a check because bounds of values are known, or computes both sides
of a branch. Each program here has a bound that only just holds, or only just doesn't.
"""

from __future__ import annotations

INTS = [
    0, 1, -1, 2, -2, 3, 7, -7, 8, 255, 256, -256, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**53 + 1,
    3074457345618258602, 3074457345618258603, -3074457345618258602, -3074457345618258603,
    2**62, -(2**62), 2**63 - 2, 2**63 - 1, -(2**63), -(2**63) + 1,
]  # fmt: skip
FLOATS = [0.0, -0.0, 1.0, -1.5, 2.5, 5e-324, -5e-324, 1e308, -1e308, 2.0**53, 2.0**63]
FLOATS += [float("inf"), float("-inf"), float("nan")]

OF_INTS = {
    "sum-of-known-sign": "def f(a):\n    b = a & 255\n    return a + b, b + a, a - b, b - a\n",
    "sum-of-known-size": "def f(a):\n    b = a % 1000\n    return b + 5, b - 2000, b * b * b\n",
    "sum-of-negative": "def f(a):\n    b = -(a & 7) - 1\n    return a + b, b + a, a - b, b - a\n",
    "multiple": "def f(a):\n    return 3 * a\n",
    "multiple-of-positive": "def f(a):\n    return abs(a) * 1000003 + (a & 1) * 3\n",
    "square": "def f(a):\n    b = a * a\n    return b // 7, b % 7, a ** 2\n",
    "division-of-positive": "def f(a):\n    b = abs(a)\n    return b // 10, b % 10, divmod(b, 7)\n",
    "division-by-positive": "def f(a):\n    b = (a & 15) + 1\n    return a // b, a % b, divmod(a, b)\n",
    "division-of-both-positive": "def f(a):\n    b = a & 15\n    c = abs(a)\n    return c // b, c % b\n",
    "division-by-negative": "def f(a):\n    b = -(a & 3)\n    return a // b, a % b\n",
    "division-by-powers": "def f(a):\n    return a // 1, a % 1, a // 2**62, a % 2**62, a // -1\n",
    "shifts": "def f(a):\n    b = a & 63\n    return a >> b, (a & 1) << b, a >> 63, (a & 255) << 55\n",
    "shift-too-far": "def f(a):\n    return (a & 255) << 56\n",
    "shift-by-anything": "def f(a):\n    return 1 << (a % 100), a >> a\n",
    "negative": "def f(a):\n    b = a % 100\n    return -b, ~b, abs(-b), -a\n",
    "compared": "def f(a):\n    if 0 <= a < 3037000500:\n        return a * a\n    return a + 1\n",
    "compared-just-not": "def f(a):\n    if 0 <= a <= 3037000500:\n        return a * a\n    return 0\n",
    "not-compared": "def f(a):\n    if not (a > -5 and a != 7):\n        return a - 1\n    return a - 2\n",
    "or-compared": "def f(a):\n    if a < -10 or a > 10:\n        return 0 - a\n    return a * 2**59\n",
    "in-chain": "def f(a):\n    return a * 2**31 if -(2**32) <= a < 2**32 > a else -1\n",
    "truth": "def f(a):\n    b = a & 3\n    return 12 // b if b else 0\n",
    "choice": "def f(a):\n    b = 0\n    if a > 5:\n        b = a * 3\n    else:\n        b = a - 1\n    return b\n",
    "choice-of-one": "def f(a):\n    b = 7\n    if a % 2 == 0:\n        b = a + a\n    return b\n",
    "choice-of-two": "def f(a):\n    b = c = a\n    if a < 0:\n        b = -a\n        c = b + 1\n    return b, c\n",
    "choice-of-value": "def f(a):\n    return a + 1 if a < 100 else a - 1\n",
    "choice-within-bounds": "def f(a):\n    b = a\n    if a < 1000:\n        b = a * 10**15\n    return b\n",
    "choice-of-bools": "def f(a):\n    b = False\n    if a & 1:\n        b = True\n    return b, a\n",
    "loop-upwards": "def f(a):\n    s = 0\n    for i in range(a, a + 3):\n        s = i\n    return s\n",
    "loop-downwards": "def f(a):\n    s = 0\n    for i in range(a, a - 3, -1):\n        s = i + 1\n    return s\n",
    "loop-by-two": "def f(a):\n    s = 0\n    for i in range(a & ~7, a, 2):\n        s += i\n    return s\n",
    "loop-that-grows": "def f(a):\n    n = 1\n    for _ in range(70):\n        n = n * 2 + (a & 1)\n    return n\n",
    "loop-that-stays": "def f(a):\n    n = a\n    for _ in range(9):\n        n = (n * 25214903917 + 11) % 2**31\n    return n\n",
    "loop-that-shrinks": "def f(a):\n    n = abs(a)\n    s = 0\n    while n > 0:\n        s = s * 3 + n % 10\n        n //= 10\n    return s\n",
    "loop-left-early": "def f(a):\n    i = -1\n    for i in range(10):\n        if i * i > a:\n            break\n    else:\n        i = a\n    return i + 1, -i\n",
    "loop-in-loop": "def f(a):\n    s = a & 7\n    for i in range(5):\n        for j in range(i, 5):\n            s += i * j\n            if s > 40:\n                s -= 40\n                continue\n            s += 1\n    return s\n",
    "loop-with-else": "def f(a):\n    n = a & 31\n    while n < 100:\n        n += 7\n        if n % 9 == 0:\n            break\n    else:\n        n = -n\n    return n * 2**57\n",
    "named-in-test": "def f(a):\n    b = 1\n    if (b := a) > 0 and b < 10:\n        return b + 1\n    return b - 1\n",
    "named-in-loop": "def f(a):\n    n = 0\n    b = 5\n    while n < 3 and (b := b * (a | 1)) != 0:\n        n += 1\n    return b\n",
    "extremes": "def f(a):\n    b = min(max(a, -5), 5)\n    return b * 2**60, min(a, 0) - 1, max(a, 0) + 1\n",
    "bits": "def f(a):\n    return (a & 255) + 2**62, (abs(a) | 1) + 1, (abs(a) ^ 3) - 1\n",
    "int-and-float": "def f(a):\n    b = a & 1023\n    return b / 8, b / 3, b < 2.5, a / 2\n",
    "tuples": "def f(a):\n    x, y = a & 7, a\n    x, y = y, x\n    return x + 1, y + 2**62\n",
}
"""Functions of one int."""

OF_FLOATS = {
    "by-powers-of-two": "def f(a):\n    return a / 2.0, a / 4, a / 0.5, a / -8.0, a / 2.0**1000\n",
    "by-largest-powers": "def f(a):\n    return a / 2.0**1022, a / 2.0**1023, a / 2.0**-1022, a / 2.0**-1074\n",
    "by-other-constants": "def f(a):\n    return a / 3.0, a / 10, a / 1e308\n",
    "by-zero": "def f(a):\n    return a / 0.0\n",
    "choice": "def f(a):\n    b = a\n    if a > 1.0:\n        b = a * 0.5\n    else:\n        b = -a\n    return b\n",
    "choice-of-value": "def f(a):\n    return a + 1.0 if a < 0.0 else a - 1.0\n",
    "loop": "def f(a):\n    s = 0.0\n    for i in range(10):\n        s = s * a + i / 4.0\n    return s\n",
    "loop-while": "def f(a):\n    n = 0\n    while n < 20 and a * a < 4.0:\n        a = a * a - 0.7\n        n += 1\n    return n, a\n",
}
"""Functions of one float."""
