"""Each element of the compiled language, each reason to refuse, each guard, as small programs."""

from __future__ import annotations

import array
from typing import Any

import numpy

Calls = list[tuple[Any, ...]]


def one(expression: str, parameters: str = "a, b") -> str:
    return f"import math\ndef f({parameters}):\n    return {expression}\n"


PAIRS: Calls = [(7, 2), (-7, 2), (7, -2), (-7, -2), (7.5, 2), (-7, 2.5), (True, 3), (0.0, -1.5)]
WHOLE: Calls = [(7, 2), (-7, 5), (12, 12), (0, 3), (True, 4)]
REALS: Calls = [(0.5,), (1,), (True,), (0.25,)]
ROUNDED: Calls = [(2.5,), (-2.5,), (3.5,), (-0.5,), (7,), (True,), (1e15,)]

ELEMENTS: dict[str, tuple[str, Calls]] = {
    "add": (one("a + b"), PAIRS),
    "subtract": (one("a - b"), PAIRS),
    "multiply": (one("a * b"), PAIRS),
    "divide": (one("a / b"), PAIRS),
    "floor-divide": (one("a // b"), PAIRS),
    "modulo": (one("a % b"), PAIRS),
    "by-constants": (one("(a // 8, a % 8, a // 7, a % 7, a % -3)", "a"), [(9,), (-9,), (0,)]),
    "power": (one("a ** b"), [(2, 10), (-3, 3), (0, 0), (2.0, 0.5), (-2.0, 3), (1, 9)]),
    "shifts": (one("(a << b, a >> b)"), WHOLE),
    "bits": (one("(a & b, a | b, a ^ b)"), [*WHOLE, (True, False)]),
    "unary": (one("(-a, +a)", "a"), [(1,), (2.5,), (-0.0,), (True,)]),
    "invert": (one("~a", "a"), [(5,), (-1,)]),
    "not": (one("not a", "a"), [(0,), (1,), (0.0,), (True,), ((),), ((1,),), (None,)]),
    "comparisons": (one("(a == b, a != b, a < b, a <= b, a > b, a >= b)"), PAIRS),
    "chains": (one("a < b < 10 != a"), PAIRS),
    "and-or": (one("(a and b, a or b)"), [(0, 5), (3, 4), (0.0, 2.5), (True, False)]),
    "conditional": (one("a if a > b else b"), [(1, 2), (2.5, 1.5)]),
    "is-none": (one("(a is None, a is not None)", "a"), [(None,), (1,)]),
    "tuples": (one("((a, b) + (b,), (a, b)[-1], len((a, b)))"), PAIRS),
    "nested-tuple-argument": (one("a[1][0] + a[0]", "a"), [((1, (2, 3)),), ((0.5, (1.5,)),)]),
    "named": (one("(c := a + b) * c"), PAIRS),
    "numbers": (one("(abs(a), int(a), float(a), bool(a))", "a"), [(-2,), (-2.5,), (True,)]),
    "extremes": (one("(min(a, b), max(a, b, a), min((a, b)))"), [(1, 2), (-0.0, 0.0), (2.5, 1.0)]),
    "round": (one("(round(a), math.floor(a), math.ceil(a), math.trunc(a))", "a"), ROUNDED),
    "divmod": (one("divmod(a, b)"), PAIRS),
    "pow": (one("(pow(a, 2), pow(a, 5, b))"), [(3, 7), (-3, 7), (3, -7), (2**31, 2**62 - 1)]),
    "math-of-one": (
        one(
            "(math.sqrt(a), math.sin(a), math.cos(a), math.tan(a), math.asin(a), math.acos(a),"
            " math.atan(a), math.sinh(a), math.cosh(a), math.tanh(a), math.exp(a), math.expm1(a),"
            " math.log(a), math.log2(a), math.log10(a), math.log1p(a), math.fabs(a),"
            " math.degrees(a), math.radians(a))",
            "a",
        ),
        REALS,
    ),
    "math-of-two": (
        one("(math.atan2(a, b), math.pow(a, b), math.fmod(a, b), math.copysign(a, b))"),
        [(1.5, 2), (2, 0.5), (7.5, -2)],
    ),
    "math-questions": (
        one("(math.isnan(a), math.isinf(a), math.isfinite(a))", "a"),
        [(1.5,), (2,), (float("inf"),), (float("nan"),)],
    ),
    "math-of-ints": (one("(math.gcd(a, b), math.isqrt(a * a))"), WHOLE),
    "assignments": (
        "def f(a, b):\n    x = y = a\n    x, (y, z) = b, (x, y)\n    z: float\n    a += 1\n"
        "    return x, y, z, a\n",
        PAIRS[:2],
    ),
    "if": (
        "def f(a):\n    if a > 1:\n        b = 1\n    elif a > 0 and not a == 1:\n        b = 2\n"
        "    else:\n        b = 3\n    return b\n",
        [(2,), (1,), (0,), (0.5,)],
    ),
    "while": (
        "def f(a):\n    n = 0\n    while a > 1:\n        a -= 1\n        if a == 7:\n"
        "            continue\n        if a == 3:\n            break\n        n += a\n    else:\n"
        "        n = -n\n    return n\n",
        [(10,), (2,), (1,), (0,), (3,)],
    ),
    "for": (
        "def f(a, b, c):\n    s = 0\n    i = -1\n    for i in range(a, b, c):\n        s += i\n"
        "        i = 100\n        if s > 50: break\n    else:\n        s = -s\n    return s, i\n",
        [(0, 5, 1), (5, 0, -2), (5, 0, 1), (0, 100, 3), (2**63 - 3, 2**63 - 1, 5), (1, True, 1)],
    ),
    "for-of-one-and-two": (
        "def f(a):\n    s = 0\n    for i in range(a):\n        for j in range(i, a):\n"
        "            s += i * j\n    return s\n",
        [(0,), (1,), (6,), (-3,)],
    ),
    "buffers": (
        "def f(a, i):\n    s = 0 * a[0]\n    for x in a:\n        s += x\n"
        "    return s, a[i], a[-1], a[i - len(a)], len(a), bool(a)\n",
        [
            ([3, -4, 2**62], 1),
            ([0.5, -0.0, 2.5], 2),
            (b"abc", 0),
            (bytearray(b"xyz"), True),
            ((1, 2, 3), 1),
            *((array.array(code, [1, 2, 100]), 1) for code in "bBhHiIlLqQfd"),
            (memoryview(b"abc"), 2),
            (memoryview(array.array("d", [1.5, 2.5])), 0),
        ],
    ),
    "tables": (
        "def f(a, n, m):\n    s = 0\n    for i in range(n):\n        for j in range(m):\n"
        "            s = s * 3 + a[i, j] - a[-1, j - m]\n    return s\n",
        [(memoryview(bytes(range(6))).cast("B", (2, 3)), 2, 3)],
    ),
    "of-other-libraries": (
        "def f(a, b, i, j):\n    s = 0.0\n    for x in a:\n        s += float(x)\n"
        "    return s, float(b[i, j]), int(b[i, j]), int(a[i]), len(b)\n",
        [
            (numpy.array(a, kind), numpy.array([[1, 2], [3, 4]], other), 1, -1)
            for a, kind in [
                ([1.5, 2.25], "f4"),
                ([1.5, -2.5], "f8"),
                ([3, -4], "i2"),
                ([1, 0], "?"),
            ]
            for other in ("i8", "u4", "f8", "u1")
        ],
    ),
    "loops-over-several": (
        "def f(a, b):\n    s = 0\n    for i, x in enumerate(a, 5):\n        if x == 7:\n"
        "            continue\n        s += i * x\n    for x, y in zip(a, b):\n"
        "        if y > 5:\n            break\n        s += x * y\n    else:\n        s = -s\n"
        "    for x in (a[0], b[0]):\n        s += x\n    return s, x\n",
        [([1, 7, 3], [4, 5]), (b"ab", [1, 2, 3]), ((7, 8), array.array("i", [9, 1]))],
    ),
    "generators": (
        "def f(a, b):\n"
        "    return (\n"
        "        any(x > b for x in a), all(x > b for x in a), any(a), all(a),\n"
        "        sum(x * b for x in a), sum(x / 2 for x in a if x > b), sum(x > b for x in a),\n"
        "        min(abs(x - b) for x in a), max(-x for x in a), sum([x for x in a]),\n"
        "        sum(1 for x in a for y in range(b) if x < y if x), sum(a for a in a),\n"
        "        sum(sum(x * y for x in range(y)) for y in range(b)),\n"
        "        sum(x * y for x, y in zip(a, a)), sum(i * x for i, x in enumerate(a, b)),\n"
        "        max([x for x in a if x]), sum(not x for x in a), min(-0.0 * x for x in a),\n"
        "    )\n",
        [([3, 1, 2], 2), (b"abc", 3), ((1, -5, 2), 0), ([7], True), (array.array("h", [1]), 1)],
    ),
    "generators-of-floats": (
        "def f(a, b):\n    return sum(x * b for x in a), sum(x for x in a), max(a), min(a)\n",
        [([0.1] * 10, 3), ([1e16, 1.0, -1e16], 1), ([-0.0], 2), ([0.0, -0.0, float("nan")], 1)],
    ),
    "generators-that-call-back": (
        "def f(n, k):\n    return 1 if n < 2 else sum(f(n - i, k) for i in range(1, k + 1))\n",
        [(8, 2), (5, 3), (1, 1)],
    ),
    "comprehensions": (
        "def f(n, b):\n    x = [i * b for i in range(n)]\n    y = [v / 2 for v in x if v]\n"
        "    x = [x - b for x in x]\n    z = [i * j for i in range(n) for j in range(i)]\n"
        "    if n > 3:\n        return sum(y), [v + 1 for v in x]\n"
        "    return sum(z), [v for v in x if v > 0]\n",
        [(3, 2), (1, 0), (2, -5)],
    ),
    "comprehensions-in-each-other": (
        "def f(a, y):\n"
        "    return (\n"
        "        sum(y + sum(y * x for y in range(x)) for x in a), y,\n"
        "        [max([y for y in range(x + 1)]) for x in a if any(y > x for x in a)],\n"
        "        sum(len([x for x in range(x)]) for x in a), sum(sum(a) for x in a),\n"
        "    )\n",
        [([1, 3, 2], 2), (b"ab", 97), ((2, 2), 0)],
    ),
    "comprehension-as-result": (one("[x * 2 for x in a if x > b]"), [([1, 2, 3], 1), (b"", 1)]),
    "extremes-of-sequences": (
        "def f(a):\n    return min(a), max(a)\n",
        [([3, 1, 2],), (b"abc",), ((2, 0.5),), ([0.5, -0.0, 0.0],), (array.array("f", [1, 2]),)],
    ),
    "sums": (one("(sum(a), sum((1, b, True)))"), [([1, 2, 3], 4), (b"abc", False), ([], 1)]),
    "lists": (
        "def f(a, b):\n    x = [0] * a\n    y = [b, b + 1]\n    z = 2 * y\n    for i in range(a):\n"
        "        x[i] = i * i\n        x[i] += 1\n        y.append(b - i)\n"
        "    x[0], x[-1] = x[-1], x[0]\n    n = 0\n    for v in z:\n        if n < 5:\n"
        "            z.append(v)\n        n += 1\n    t = [True, a > 5]\n    t[0] = t[1]\n"
        "    r = [0.5] * 3\n    r[1] = -0.0\n    r[2] /= 3\n"
        "    return x[0], x[a - 1], sum(x), len(y), y[-1], z[-1], n, len(z), t[0], r[1], r[2]\n",
        [(3, 4), (10, -2), (1, 2**40)],
    ),
    "rows": (
        "def f(a, b):\n    x = [0] * len(a)\n    y = [0.5, -0.5] * 2\n    for i in range(len(x)):\n"
        "        x[i] = a[i] * 2\n        x[i] -= b\n        if x[i] > 5:\n"
        "            x = [1] * 20\n"
        "    for i in range(len(y)):\n        y[i] = y[i] * 2 + y[-i - 1]\n    s = 0\n    i = 0\n"
        "    while i < len(x) and i < len(a):\n        s += x[i] - a[i]\n        i += 1\n"
        "        if i < len(a):\n            s += a[i]\n    z = 2 * x * 0\n"
        "    return s, x[0], y[1], y[-1], len(z), bool(z), x[-1], [7, 8, 9][b]\n",
        [([1, 2, 3], 0), (b"abc", 2), ((1, 2), -1), ([9], 1)],
    ),
    "lists-of-helpers": (
        "def made(n):\n    x = [1] * n\n    return x\n"
        "def filled(x, v):\n    for i in range(len(x)):\n        x[i] += v\n    return None\n"
        "def f(n):\n    x = made(n)\n    y = x\n    filled(x, 3)\n    y[0] = 7\n"
        "    return sum(x), x[0], bool(x), 1 if y else 2\n",
        [(1,), (5,)],
    ),
    "lists-without-elements": (
        "def f(a, b):\n    found = []\n    other: list[float] = []\n    for k in range(2, a):\n"
        "        for p in found:\n            if p * p > k:\n                found.append(k)\n"
        "                break\n            if k % p == 0:\n                break\n"
        "        else:\n            found.append(k)\n        other.append(k / b)\n"
        "        if k == 11:\n            other = []\n"
        "    return len(found), sum(found), sum(other), len(other), found[-1]\n",
        [(30, 2), (12, 0.1), (13, 3)],
    ),
    "lists-as-results": (
        "def made(n):\n    x = [0] * n\n    for i in range(n):\n        x[i] = i * i\n"
        "    return x\ndef f(n, b):\n    x = made(n)\n    return n, (x, b), -1.5\n",
        [(0, True), (1, 2), (5, -0.5)],
    ),
    "grown-lists-as-results": (
        "def f(a, n):\n    out = []\n    s = -a * 0\n    for i in range(n):\n        s += a\n"
        "        out.append(s)\n    return out\n",
        [(0.5, 3), (7, 2), (-0.0, 1), (1.5, 1000)],
    ),
    "bools-as-results": (
        "def f(a, n):\n    out = [False] * n\n    out[-1] = a > 1\n    return out\n",
        [(0.5, 3), (7, 1)],
    ),
    "ints-and-floats": (
        "def shifted(x):\n    x += 1\n    x *= 0.5\n    return x\n"
        "def f(a, b, n):\n    s = r = 0\n    p = 1\n    for i in range(n):\n        s += b\n"
        "        r = r * b + a\n        p = -p * (a if i & 1 else b)\n"
        "    lo = min(max(a, b), n)\n    return (s, r, p, lo, (s, r)[n & 1], s - r, s / 3, abs(p),"
        " +s, not r, s < r <= p, int(r), round(s), float(p), bool(s), shifted(n), r or s, s and 2,"
        " math.floor(p), math.sqrt(abs(s)), -(s * 0), s == 0, r != p, 1 if s > r else 0.5)\n"
        "import math\n",
        [
            (1, 0.5, 0),
            (1, 0.5, 3),
            (2, -0.0, 1),
            (-3, 1.25, 5),
            (0, -1.5, 4),
            (1, float("inf"), 0),
            (7, 0.1, 2),
            (0, 0.0, 3),
        ],
    ),
    "ints-and-floats-divided": (
        "def f(a, b, n):\n    s = 7\n    t = -3\n    for i in range(n):\n        s -= b\n"
        "        t += b\n    return s // 2, s % 2, t // 2, t % -2, t // s, s % t, s ** 2, t ** 2,"
        " s ** n, pow(t, 3), 5 % s, 5 // t, 2 ** t, s // t * 0, a ** (t + 5)\n",
        [(2, 0.5, 0), (2, 0.5, 1), (3, 2.0, 2), (1, 0.25, 3), (2, 1.5, 1)],
    ),
    "ints-or-floats-as-results": (
        "def half(a):\n    if a % 2 == 0:\n        return a // 2\n    return a / 2\n"
        "def f(a):\n    x = half(a)\n    y = x\n    if a > 5:\n        y = 0\n"
        "    return half(a), (x, y + 1), y\n",
        [(4,), (5,), (7,), (8,)],
    ),
    "membership": (
        "def f(a):\n    n = 0\n    for c in a:\n        if c in (32, 10, -1):\n            n += 1\n"
        "        elif c + 1 not in [2, 4.0, True]:\n            n += 100\n"
        "        elif c in {1}:\n            n += 10000\n    return n\n",
        [(b"a b\n",), ([1, 3, -1, 0, 31],), ([0.5, 32.0, float("nan")],)],
    ),
    "logarithms": (one("(math.log(a, 2), math.log(a, b))"), [(8, 3), (0.5, 10), (1, 2.5)]),
    "sums-of-floats": (
        one("(sum(a), sum(a) * 2, len(a))", "a"),
        [
            ([],),
            ([0.1] * 10,),
            ([1e16, 1.0, -1e16],),
            ([-0.0],),
            ([float("inf"), 1.0],),
            ([1e308, 1e308, -1e308],),
            ([float("nan"), 1.0],),
            ([3.0, 1e100, 3.0, -1e100],),
            (array.array("d"),),
            (array.array("f", [0.1, 0.2]),),
            ([float("inf"), float("-inf")],),
        ],
    ),
    "calls": (
        "def even(n):\n    return True if n == 0 else odd(n - 1)\n"
        "def odd(n):\n    return False if n == 0 else even(n - 1)\n"
        "def scaled(a, by=2):\n    return a * by\n"
        "def f(n):\n    return even(n), scaled(n), scaled(n, 0.5)\n",
        [(0,), (7,), (20,)],
    ),
    "globals": (
        "from math import sqrt\nK = 3\nPAIR = (1, 0.5)\ndef f(a):\n"
        "    return sqrt(a) * K + PAIR[1]\n",
        [(4,), (2.25,)],
    ),
    "nothing": ("def f(a):\n    'says nothing'\n    pass\n", [(1,)]),
    "nothing-to-take": ("def f():\n    return 1\n", [()]),
    "assert": ("def f(a):\n    assert a > 0, 'small'\n    return a\n", [(1,)]),
    "raise": ("def f(a):\n    if a < 0:\n        raise ValueError(a)\n    return a\n", [(1,)]),
}

REFUSED_SOURCES: dict[str, tuple[str, int]] = {
    "SIGNATURE": ("def f(*a):\n    return 1\n", 1),
    "GENERATOR": ("def f(a):\n    yield a\n", 1),
    "STATEMENT": ("def f(a):\n    try:\n        return a\n    finally:\n        pass\n", 2),
    "EXPRESSION": ("def f(a):\n    return {a}\n", 2),
    "CONSTANT": ("def f(a):\n    return 'text'\n", 2),
    "TARGET": ("def f(a):\n    a.b = 1\n", 2),
    "ITERABLE": ("def f(a):\n    for i in reversed(a):\n        pass\n", 2),
    "NAME": ("def f(a):\n    return nothing_of_that_name\n", 2),
    "CALL": ("def f(a):\n    return print(a)\n", 2),
    "ARGUMENTS": ("def f(a):\n    return int(*a)\n", 2),
    "INDEX": ("def f(a, i):\n    return a[i:]\n", 2),
    "GLOBAL": ("def f(a):\n    global k\n    k = a\n", 2),
}

REFUSED_FOR_TYPES: dict[str, tuple[str, tuple[Any, ...], int]] = {
    "variable-of-two-types": ("def f(a):\n    b = 1\n    b = a\n    return b\n", (True,), 3),
    "result-of-two-types": ("def f(a):\n    if a:\n        return 1\n    return a\n", (True,), 4),
    "operands-of-two-types": ("def f(a):\n    return a or 1\n", (True,), 2),
    "operand": ("def f(a):\n    return a + 1\n", ((1, 2),), 2),
    "argument": ("def f(a):\n    return min(a, 1)\n", (True,), 2),
    "not-a-tuple": ("def f(a):\n    x, y = a\n    return x\n", ([1, 2],), 2),
    "index": ("def f(a):\n    return a[0]\n", (1,), 2),
    "not-a-list": ("def f(a):\n    a[0] = 1\n", ([1, 2],), 2),
    "escapes": ("def f(a):\n    return [a], [a]\n", (1,), 1),
    "tuple-length": ("def f(a):\n    x, y = a\n    return x\n", ((1, 2, 3),), 2),
    "too-large": (
        "def g(a, n):\n    return n if n == 0 else g((a, a), n - 1)\n"
        "def f(a):\n    return g(a, 3)\n",
        (1,),
        2,
    ),
}

LEFT: dict[str, tuple[str, Calls]] = {
    "overflow": (
        one("(a + b, a * b, -a, abs(a), a // b, int(a * 1.0))"),
        [(2**62, 2**62), (-(2**63), -1), (2**63 - 1, 1)],
    ),
    "zero-division": (one("(a / b, a // b, a % b)"), [(1, 0), (1.5, 0), (1, -0.0), (1, False)]),
    "inexact": (one("a < b or a / 3 > b"), [(2**53 + 1, 2.0**53), (-(2**60), 0.5)]),
    "domain": (
        one("(a ** b, math.sqrt(a), math.log(b))"),
        [(-1.5, 0.5), (1e300, 1e10), (0.0, -1), (2.0, 0.0)],
    ),
    "index": (
        "def f(a, i):\n    x = [0] * 2\n    x[i] = 1\n    return a[i], (1, 2)[i]\n",
        [
            ([1, 2], 2),
            ([1, 2], -3),
            ([1, 2], -(2**63)),
            (b"", 0),
            ([1], 2**62),
            ((1, 2, 3), 2),
            ([], -1),
        ],
    ),
    "memory": ("def f(a):\n    x = [0] * a\n    return len(x)\n", [(2**62,), (2**63 - 1,)]),
    "unbound": ("def f(a):\n    if a:\n        b = 1\n    return b\n", [(0,), (False,)]),
    "raised": (
        "def f(a):\n    assert a != 1\n    if a < 0:\n        raise ValueError(a)\n    return a\n",
        [(1,), (-1,)],
    ),
    "type": (
        "def f(a, b):\n    if b:\n        return a ** b\n",
        [(2**64, 1), ("a", 1), (2, -1), (3, 0), ({1}, 0)],
    ),
}
