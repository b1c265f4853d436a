"""Where compiled arithmetic could differ from CPython's: edges of types, names, memory, threads."""

from __future__ import annotations

import builtins
import enum
import itertools
import math
import operator
import struct
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy
import pytest

import allcores
from native import differences, programs


def function_of(text: str, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = programs.made(text, f"<exactness-{name}>")["f"]
    return function


def assert_same(text: str, name: str, calls: list[tuple[Any, ...]]) -> allcores.native.Report:
    function = function_of(text, name)
    compiled = allcores.native(function)
    for arguments in calls:
        expected = differences.outcome(function, arguments)
        assert differences.outcome(compiled, arguments) == expected, arguments
    report = allcores.native.report(compiled)
    assert report.refusal is None
    assert not any("[" in result for result in report.types.values()), report
    return report


class Small(enum.IntEnum):
    ONE = 1


class Odd(int):
    """An int that multiplies otherwise."""

    def __mul__(self, other: object) -> Any:
        return "odd"

    __rmul__ = __mul__


class Strange(float):
    def __lt__(self, other: object) -> bool:
        return True


NEAR = [near for end in (2**53, 2**62, 2**63) for near in range(end - 2, end + 3)]
WHOLE = [0, 1, -1, *NEAR, *(-near for near in NEAR)]
REAL = [0.0, -0.0, 0.5, 1.5, 2.5, -0.5, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan]
REAL += [sign * value for value in map(float, NEAR) for sign in (1, -1)]


@pytest.mark.parametrize("sign", "+-")
def test_rests_of_sums_are_exact_at_every_edge(sign: str) -> None:
    text = f"def f(a, b, c):\n    d = a {sign} b\n    return d % c, divmod(d, c), d // c\n"
    edges = [2**31, 2**32, 2**62, 2**63]
    whole = [0, 1, 3, 7, *(near for edge in edges for near in (edge - 1, edge, edge + 1))]
    whole += [-value for value in whole if value]
    report = assert_same(text, f"rests{sign}", list(itertools.product(whole, repeat=3)))
    assert report.items - sum(report.left.values()) > 9_000


def test_subclasses_are_left_to_python() -> None:
    text = "def f(a, b):\n    return a * b, a < b, a + 1, -a\n"
    values = [3, 2.5, True, Small.ONE, Odd(3), Strange(9.0), numpy.float64(0.5), numpy.int64(2**62)]
    report = assert_same(text, "subclasses", list(itertools.product(values, repeat=2)))
    assert report.left["type"] == 8 * 8 - 3 * 3


def test_elements_of_subclasses_are_left_to_python() -> None:
    text = "def f(a):\n    s = 0\n    for x in a:\n        s = s + x * 2\n    return s\n"
    mixed = [[1, Odd(2)], [Odd(2)], [1.5, 2], [1, 2.5], [True, 2], [1, True], [2.5, None], [2**64]]
    function = function_of(text, "elements")
    compiled = allcores.native(function)
    for values in mixed:
        expected = differences.outcome(function, (values,))
        assert differences.outcome(compiled, (values,)) == expected, values
    assert allcores.native.report(compiled).left == {"type": len(mixed)}


def test_bools_are_no_ints_where_that_shows() -> None:
    text = (
        "def f(a, b):\n    c = a and b\n    return a, -a, +a, a + b, a * b, a & b, a == b, a ** b,"
        " abs(a), int(a), c, min(a, b), (a, b)[a], a / (b + 1), a // (b + 1), a << b, round(a)\n"
    )
    assert_same(text, "bools", list(itertools.product([True, False], repeat=2)))


@pytest.mark.parametrize("symbol", ["<", "<=", ">", ">=", "==", "!="])
def test_comparisons_of_ints_with_floats_are_exact(symbol: str) -> None:
    text = f"def f(a, b):\n    return a {symbol} b, b {symbol} a, 1 if a {symbol} b else 2\n"
    assert_same(text, f"comparisons{symbol}", list(itertools.product(WHOLE, REAL)))


@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "//", "%"])
def test_arithmetic_of_ints_with_floats_rounds_as_cpython(symbol: str) -> None:
    text = f"def f(a, b):\n    return a {symbol} b\n"
    assert_same(text, f"mixed{symbol}", list(itertools.product(WHOLE, REAL)))
    assert_same(text, f"turned{symbol}", list(itertools.product(REAL, WHOLE)))
    assert_same(text, f"whole{symbol}", list(itertools.product(WHOLE, WHOLE)))


def test_zeros_keep_their_signs() -> None:
    text = (
        "import math\ndef f(a, b):\n    s = a\n    for i in range(2):\n        s = s * b\n"
        "    return (a + b, a - b, a * b, -a, abs(a), min(a, b), max(a, b), a % 1.0, a // 1.0, s,"
        " math.copysign(1.0, a), math.floor(a), round(a), a or b, a and b, math.sqrt(a), 0 * a,"
        " 0 - a, sum((1, 2)) * a, math.fmod(a, 1.0), math.atan2(a, b), a ** 3, 0.0 + a)\n"
    )
    assert_same(text, "zeros", list(itertools.product([0.0, -0.0], repeat=2)))


def bits(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(bits, value))
    return struct.pack("<d", value) if isinstance(value, float) else value


def test_nan_keeps_its_bits_where_it_is_handed_on() -> None:
    text = (
        "def f(a, b):\n    c = a if b > 0 else b\n    x = [a] * 2\n    x[1] = c\n"
        "    return a, (b, c), x[0], x[1], -a, abs(a), +a, min(a, b), max(b, a)\n"
    )
    function = function_of(text, "nans")
    compiled = allcores.native(function)
    nans = [
        struct.unpack("<d", struct.pack("<Q", pattern))[0]
        for pattern in (0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000123)
    ]
    for arguments in itertools.product([*nans, 1.0], repeat=2):
        assert bits(compiled(*arguments)) == bits(function(*arguments))
    assert allcores.native.report(compiled).left == {}


def test_rounding_is_half_to_even() -> None:
    text = "import math\ndef f(a):\n    return round(a), math.floor(a), math.ceil(a), int(a)\n"
    halves = [n + 0.5 for n in range(-6, 6)]
    near = [
        math.nextafter(0.5, 0),
        math.nextafter(0.5, 1),
        -math.nextafter(0.5, 0),
        4503599627370497.5,
    ]
    assert_same(text, "halves", [(each,) for each in [*halves, *near, *REAL]])


def test_powers_with_exponents_below_zero() -> None:
    text = "def f(a, b):\n    return a ** b, pow(a, b)\n"
    values = [0, 1, -1, 2, -2, 3, 0.0, -0.0, 0.5, -2.0, 2.0, True]
    exponents = [-1, -2, -3, 0, 1, 62, 63, 64, -0.5, 0.5, -1.0, True, False]
    assert_same(text, "powers", list(itertools.product(values, exponents)))
    assert_same("def f(a, b, c):\n    return pow(a, b, c)\n", "modular", [
        (3, -1, 7), (2, -1, 4), (3, 5, -7), (0, 0, 1), (5, 3, 0), (2**62, 2**62, 2**63 - 1),
        (-(2**63), 3, -(2**63)), (7, 0, -1),
    ])  # fmt: skip


def test_floats_beyond_ints_of_64_bits() -> None:
    text = "import math\ndef f(a):\n    return int(a), math.trunc(a)\n"
    ends = [2.0**63, -(2.0**63), math.nextafter(2.0**63, 0), math.nextafter(-(2.0**63), -math.inf)]
    assert_same(text, "beyond", [(each,) for each in [*ends, 1e300, -1e300, *REAL]])


@pytest.mark.parametrize("name", ["abs", "len", "range", "enumerate"])
def test_rebound_builtins_are_seen(name: str) -> None:
    text = (
        "def f(a):\n    s = abs(-a)\n    for i, x in enumerate((1, 2)):\n        s += i * x\n"
        "    for i in range(3):\n        s += len((1, i))\n    return s\n"
    )
    true = getattr(builtins, name)
    function = function_of(text, f"rebound-{name}")
    own = dict(vars(builtins))
    function = FunctionType(function.__code__, {"__builtins__": own}, "f")
    compiled = allcores.native(function)
    assert compiled(5) == function(5) == 13
    own[name] = lambda *a: list(true(*a)) if name in ("range", "enumerate") else 7
    assert compiled(5) == function(5)
    own[name] = true
    assert compiled(5) == 13


def test_rebound_functions_of_modules_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import math\ndef f(a):\n    return math.sqrt(a) + math.pi\n"
    compiled = allcores.native(function_of(text, "modules"))
    assert compiled(4.0) == 2.0 + math.pi
    monkeypatch.setattr(math, "sqrt", operator.neg)
    assert compiled(4.0) == -4.0 + math.pi
    monkeypatch.setattr(math, "pi", 3)
    assert repr(compiled(4)) == "-1"


def test_other_code_and_defaults_of_a_function_are_seen() -> None:
    text = (
        "def g(a, b=2):\n    return a * b\ndef h(a, b=3):\n    return a + b\n"
        "def f(a):\n    return g(a)\n"
    )
    namespace = programs.made(text, "<exactness-code>")
    compiled = allcores.native(namespace["f"])
    assert compiled(5) == 10
    namespace["g"].__defaults__ = (7,)
    assert compiled(5) == 35
    namespace["g"].__code__ = namespace["h"].__code__
    assert compiled(5) == 12


def test_calls_go_as_deep_as_in_python() -> None:
    text = "def f(n):\n    return 0 if n == 0 else 1 + f(n - 1)\n"
    function = function_of(text, "deep")
    compiled = allcores.native(function)
    limit = sys.getrecursionlimit()
    for depth in (limit // 2, limit - 150, 2 * limit):
        try:
            expected: object = function(depth)
        except RecursionError:
            expected = RecursionError
        try:
            actual: object = compiled(depth)
        except RecursionError:
            actual = RecursionError
        assert actual == expected, depth


SPIN = """
def f(data, turns):
    s = 0
    for i in range(turns):
        s = (s + data[i % 4] * (i & 3)) % 1000003
    return s, len(data)
"""


@pytest.mark.parametrize("make", [list, bytearray])
def test_what_others_change_meanwhile_is_seen_wholly_or_not_at_all(make: Any) -> None:
    function = function_of(SPIN, f"meanwhile-{make.__name__}")
    before, after = make([1, 2, 3, 4]), make([9, 9, 9, 9, 9])
    turns = 3_000_000
    possible = [allcores.native(function)(each, turns) for each in (before, after)]
    data = make(before)
    with allcores.Executor("native", max_workers=2) as executor:
        futures = [executor.submit(function, data, turns) for _ in range(4)]
        data[:] = after  # longer than it was, which an exported buffer would not allow
        assert all(future.result() in possible for future in futures)
    assert data == after


def test_lists_in_results_are_new_each_time() -> None:
    text = "def f(n):\n    x = [n] * 3\n    y = x\n    y[0] = 5\n    return x\n"
    compiled = allcores.native(function_of(text, "new"))
    one, other = compiled(1), compiled(1)
    assert one == other == [5, 1, 1]
    one.append(7)
    assert compiled(1) == other
    assert compiled.map(range(500)) == [[5, n, n] for n in range(500)]
    assert allcores.native.report(compiled).left == {}


@pytest.mark.parametrize("fold", ["sum", "max", "any", "all"])
def test_recursion_through_generators_is_too_deep_where_it_is_in_python(fold: str) -> None:
    text = f"def f(n):\n    return 1 if n < 1 else 1 + {fold}(f(n - k) for k in (1,))\n"
    function = function_of(text, f"deep-{fold}")
    compiled = allcores.native(function)

    def outcome(called: Callable[..., Any], n: int) -> object:
        try:
            return called(n)
        except RecursionError:
            return "too deep"

    for n in (10, 100, 200, *range(250, 550, 10), 900, 5000):
        assert outcome(compiled, n) == outcome(function, n), n
    assert allcores.native.report(compiled).refusal is None
