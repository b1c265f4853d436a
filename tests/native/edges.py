"""Programs for each shortcut that compiled code takes, and values at the edges of each.

A shortcut is code that leaves out a check because bounds of values are known, or computes both
sides of a branch. Each program here has a bound that only just holds, or only just doesn't.
"""

from __future__ import annotations

INTS = [
    0, 1, -1, 2, -2, 3, 7, -7, 8, 255, 256, -256, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53,
    2**53 + 1, 3074457345618258602, 3074457345618258603, -3074457345618258602, -3074457345618258603,
    2**32 - 1, 2**32 + 1, -(2**32), 3037000499, 3037000500, -3037000499, -3037000500,
    2**62, -(2**62), 2**63 - 2, 2**63 - 1, -(2**63), -(2**63) + 1,
]  # fmt: skip
FLOATS = [0.0, -0.0, 1.0, -1.5, 2.5, 5e-324, -5e-324, 1e308, -1e308, 2.0**53, 2.0**63]
FLOATS += [float("inf"), float("-inf"), float("nan")]


def _programs(text: str) -> dict[str, str]:
    """A function of one argument for each name, below which stands its body."""
    programs: dict[str, str] = {}
    name = ""
    for line in text.strip().splitlines():
        if line.startswith(" "):
            programs[name] += f"{line}\n"
        else:
            name = line.rstrip(":")
            programs[name] = "import math\ndef f(a):\n"
    return programs


OF_INTS = _programs("""
sum-of-known-sign:
    b = a & 255
    return a + b, b + a, a - b, b - a
sum-of-known-size:
    b = a % 1000
    return b + 5, b - 2000, b * b * b
sum-of-negative:
    b = -(a & 7) - 1
    return a + b, b + a, a - b, b - a
multiple:
    return 3 * a
multiple-of-positive:
    return abs(a) * 1000003 + (a & 1) * 3
square:
    b = a * a
    return b // 7, b % 7, a ** 2
division-of-positive:
    b = abs(a)
    return b // 10, b % 10, divmod(b, 7)
division-by-positive:
    b = (a & 15) + 1
    return a // b, a % b, divmod(a, b)
division-of-both-positive:
    b = a & 15
    c = abs(a)
    return c // b, c % b
division-by-negative:
    b = -(a & 3)
    return a // b, a % b
division-by-powers:
    return a // 1, a % 1, a // 2**62, a % 2**62, a // -1
shifts:
    b = a & 63
    return a >> b, (a & 1) << b, a >> 63, (a & 255) << 55
shift-too-far:
    return (a & 255) << 56
shift-by-anything:
    return 1 << (a % 100), a >> a
negative:
    b = a % 100
    return -b, ~b, abs(-b), -a
compared:
    if 0 <= a < 3037000500:
        return a * a
    return a + 1
compared-just-not:
    if 0 <= a <= 3037000500:
        return a * a
    return 0
not-compared:
    if not (a > -5 and a != 7):
        return a - 1
    return a - 2
or-compared:
    if a < -10 or a > 10:
        return 0 - a
    return a * 2**59
in-chain:
    return a * 2**31 if -(2**32) <= a < 2**32 > a else -1
truth:
    b = a & 3
    return 12 // b if b else 0
choice:
    b = 0
    if a > 5:
        b = a * 3
    else:
        b = a - 1
    return b
choice-of-one:
    b = 7
    if a % 2 == 0:
        b = a + a
    return b
choice-of-two:
    b = c = a
    if a < 0:
        b = -a
        c = b + 1
    return b, c
choice-of-value:
    return a + 1 if a < 100 else a - 1
choice-within-bounds:
    b = a
    if a < 1000:
        b = a * 10**15
    return b
choice-of-bools:
    b = False
    if a & 1:
        b = True
    return b, a
loop-upwards:
    s = 0
    for i in range(a, a + 3):
        s = i
    return s
loop-downwards:
    s = 0
    for i in range(a, a - 3, -1):
        s = i + 1
    return s
loop-by-two:
    s = 0
    for i in range(a & ~7, a, 2):
        s += i
    return s
loop-that-grows:
    n = 1
    for _ in range(70):
        n = n * 2 + (a & 1)
    return n
loop-that-stays:
    n = a
    for _ in range(9):
        n = (n * 25214903917 + 11) % 2**31
    return n
loop-that-shrinks:
    n = abs(a)
    s = 0
    while n > 0:
        s = s * 3 + n % 10
        n //= 10
    return s
loop-left-early:
    i = -1
    for i in range(10):
        if i * i > a:
            break
    else:
        i = a
    return i + 1, -i
loop-in-loop:
    s = a & 7
    for i in range(5):
        for j in range(i, 5):
            s += i * j
            if s > 40:
                s -= 40
                continue
            s += 1
    return s
loop-with-else:
    n = a & 31
    while n < 100:
        n += 7
        if n % 9 == 0:
            break
    else:
        n = -n
    return n * 2**57
named-in-test:
    b = 1
    if (b := a) > 0 and b < 10:
        return b + 1
    return b - 1
named-in-loop:
    n = 0
    b = 5
    while n < 3 and (b := b * (a | 1)) != 0:
        n += 1
    return b
extremes:
    b = min(max(a, -5), 5)
    return b * 2**60, min(a, 0) - 1, max(a, 0) + 1
bits:
    return (a & 255) + 2**62, (abs(a) | 1) + 1, (abs(a) ^ 3) - 1
int-and-float:
    b = a & 1023
    return b / 8, b / 3, b < 2.5, a / 2
list-that-is-replaced:
    x = [1] * (a & 3)
    s = 0
    for i in range(len(x)):
        s += x[i]
        x = [2] * (a & 1)
    return s
index-that-is-moved:
    x = [1, 2, 3]
    i = s = 0
    while i < len(x):
        i += a & 1
        s = s * 10 + x[i - 1 + (a & 1)]
        i += 1
    return s
division-of-all:
    return a // 7, a % 7, a // 100, a % 100, a // (2**63 - 1), a % 3, a // 1000003
division-of-half-words:
    b = a & (2**33 - 1)
    c = (b >> 3) + 1
    return a // c, a % c, b // c, b % c, divmod(a, c), (b & (2**32 - 1)) % (c & (2**32 - 1) | 1)
division-that-is-asked-for-nothing:
    s = 0
    for b in range(1, 9):
        if a % b == 0 and (a + b) % -b != 0:
            s += a // b - a // -b
    return s
division-by-close-ones:
    b = a // 2 or 1
    return a // b, a % b, b // a if a else 0, (a - 1) % b if a > 0 else (a + 1) // b
multiples:
    return 3 * a + 1, a * 5 - 3
squares:
    b = a * a
    return b + 2**40, a + 1, a - 1
squares-in-loop:
    n = a & 7
    while n * n <= a:
        n = n * 3 + 1
    return n
square-of-positive:
    b = abs(a)
    return b * b, b + 1
turns:
    s = 0
    for i in range(a % 1000):
        s += i
    for i in range(a % 1000, -1, -1):
        s ^= i
    for i in range(a % 7, a % 2000, 3):
        s = s * 3 % 1000003 + i
    for i in range(a % 2000, -5, -4):
        i = s = s * 5 % 1000003 - i
    return s, i
turns-left-early:
    s = 0
    for i in range(600):
        if i == a % 777:
            break
        if i % 3 == 0:
            continue
        s += i
    else:
        s = -s
    return s, i
turns-to-the-ends:
    s = 0
    for i in range(a - 300, a):
        s ^= i
    for i in range(a, a - 600, -2):
        s ^= i * 2
    for i in range(a, 2**63 - 1, 2**60 + 1):
        s ^= i
    for i in range(a, -(2**63), -(2**62)):
        s ^= i
    for i in range(a, -(2**63), -(2**63)):
        s = s * 2 + 1 if s < 2**40 and s > -(2**40) else s ^ i
    return s
choice-by-comparison:
    b = 3 * a if a < 5 else a + 1
    c = 3 * a if not a >= 5 else a + 1
    return b, c
choice-with-multiples:
    n = a
    s = 0
    while n > 1 and s < 900:
        if n % 2 == 0:
            n //= 2
        else:
            n = 3 * n + 1
        s += 1
    return n, s
places-looked-at:
    x = [1, 2, 3, a]
    i = a % 6
    if a & 1:
        x[i] += 1
        x[i] = x[i] * 2 % 1000
    else:
        i = x[i - 3] % 5
    j = -(a % 5)
    x[j] = x[j] + x[j + 1] - x[i]
    return x[i], x[j], x[-1]
places-in-loops:
    x = [0] * 5
    for i in range(9):
        k = i if i < 5 else a & 7
        if i & 1 and x[k] < 9:
            x[k] += i
        elif x[k] > 2 or x[i - 5] < 3:
            x[k] -= 1
    return x[0], x[1], x[2], x[3], x[4]
places-in-a-list-that-grows:
    x = [a, 1]
    i = a & 3
    while i >= len(x):
        x.append(i)
    x[i] = x[i] + x[-2] - x[-1]
    x.append(x[-1])
    return x[i], x[-2], x[-3], len(x)
float-of-known-size:
    b = a & 1048575
    return int(b / 7), int(b * 0.5 - 3), round(b / 2), int(-b / 3), abs(b * -0.25), int(b * 1e13)
root-of-known-size:
    b = abs(a) >> 2
    c = int(math.sqrt(b))
    return c, c * c, math.sqrt(b & 1023), int(math.sqrt(b) * 3.0)
quotient-of-known-size:
    b = (a & 255) + 1
    return a / b, 1.5 / b, (a & 7) / b, -b / (b + 2**40), int(2**61 / b)
int-or-float:
    s = a
    t = 2**53 - 2
    if a % 3 == 1:
        s = 0.5
        t = 1
    s += 1
    t += a & 7
    return s, t, s - 1, s * 2, s // 3, s % -7, -s, abs(s), s ** 2, s == t, s < 2**53, s / 3
int-or-float-product:
    s = a % 94906267
    t = -0.5 if a & 1 else 0
    return s * s * 1, (t + 94906266) * (t + s), t * -1, -t, t - 0, (t or s) * 94906267
tuples:
    x, y = a & 7, a
    x, y = y, x
    return x + 1, y + 2**62
""")
"""Functions of one int."""

OF_FLOATS = _programs("""
by-powers-of-two:
    return a / 2.0, a / 4, a / 0.5, a / -8.0, a / 2.0**1000
by-largest-powers:
    return a / 2.0**1022, a / 2.0**1023, a / 2.0**-1022, a / 2.0**-1074
by-other-constants:
    return a / 3.0, a / 10, a / 1e308
by-zero:
    return a / 0.0
choice:
    b = a
    if a > 1.0:
        b = a * 0.5
    else:
        b = -a
    return b
choice-of-value:
    return a + 1.0 if a < 0.0 else a - 1.0
loop:
    s = 0.0
    for i in range(10):
        s = s * a + i / 4.0
    return s
whole:
    return int(a)
whole-of-halves:
    return round(a), math.floor(a / 2), math.ceil(a * 0.5), math.trunc(a)
root:
    return math.sqrt(a), math.sqrt(abs(a))
choice-by-comparison:
    return 1.0 if a < 2.5 else a + 1.0, 1.0 if not a >= 2.5 else a + 1.0
loop-while:
    n = 0
    while n < 20 and a * a < 4.0:
        a = a * a - 0.7
        n += 1
    return n, a
""")
"""Functions of one float."""
