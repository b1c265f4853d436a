"""`allcores.native`: the language, what is refused, what is left to Python, how it ends."""

from __future__ import annotations

import linecache
import math
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import allcores
from allcores.native.encode import BINARY, BUILTINS, COMPARISONS, UNARY
from allcores.native.folds import STEPS
from allcores.native.refusals import Reason
from native import differences, edges, programs
from native.elements import ELEMENTS, LEFT, REFUSED_FOR_TYPES, REFUSED_SOURCES

ROOT = Path(__file__).parent.parent.parent


def function_of(text: str, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = programs.made(text, f"<{name}>")["f"]
    return function


def left_by(function: Any) -> dict[str, int]:
    return dict(allcores.native.report(function).left)


@pytest.mark.parametrize("name", ELEMENTS)
def test_every_element_of_the_language_gives_what_cpython_gives(name: str) -> None:
    text, calls = ELEMENTS[name]
    function = function_of(text, name)
    compiled = allcores.native(function)
    for arguments in calls:
        assert differences.outcome(compiled, arguments) == differences.outcome(function, arguments)
    report = allcores.native.report(compiled)
    assert report.refusal is None
    assert report.items == len(calls), report
    assert report.left == {}, report


def test_every_operator_and_function_is_among_the_elements() -> None:
    texts = "\n".join(text for text, _ in ELEMENTS.values())
    names = [*BUILTINS, *(function.__name__ for function in STEPS)]
    assert [name for name in names if not re.search(rf"\b{re.escape(name)}\(", texts)] == []
    symbols = {
        "Add": "+", "Sub": "-", "Mult": "*", "Div": "/", "FloorDiv": "//", "Mod": "%", "Pow": "**",
        "LShift": "<<", "RShift": ">>", "BitAnd": "&", "BitOr": "|", "BitXor": "^", "Eq": "==",
        "NotEq": "!=", "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">=", "USub": "-", "UAdd": "+",
        "Invert": "~", "Not": "not",
    }  # fmt: skip
    for table in (BINARY, COMPARISONS, UNARY):
        for operation in table:
            assert symbols[operation.__name__] in texts


@pytest.mark.parametrize("name", REFUSED_SOURCES)
def test_every_reason_of_the_source_is_given_with_its_place(name: str) -> None:
    text, line = REFUSED_SOURCES[name]
    compiled = allcores.native(function_of(text, name))
    refusal = allcores.native.report(compiled).refusal
    assert refusal is not None
    assert refusal.reason is Reason[name]
    assert refusal.line == line


def test_every_reason_of_the_source_has_its_test() -> None:
    elsewhere = {"NOT_A_FUNCTION", "NO_SOURCE", "TOO_LARGE"}
    assert {reason.name for reason in Reason} == REFUSED_SOURCES.keys() | elsewhere


def test_only_functions_of_python_are_compiled() -> None:
    compiled = allcores.native(divmod)
    assert compiled(7, 2) == (3, 1)
    refusal = allcores.native.report(compiled).refusal
    assert refusal is not None
    assert refusal.reason is Reason.NOT_A_FUNCTION


def test_function_whose_source_has_changed_runs_in_python() -> None:
    function = function_of("def f(a):\n    return a + 1\n", "changed")
    programs.made("def f(a):\n    return a + 2\n", "<changed>")
    compiled = allcores.native(function)
    assert compiled(1) == 2
    refusal = allcores.native.report(compiled).refusal
    assert refusal is not None
    assert refusal.reason is Reason.NO_SOURCE


@pytest.mark.parametrize(
    "text",
    ["def f(a:\n", "(" * 300, "\0", "return '\ud800'\n", "-" * 100_000, "lambda" * 4, '"""', ""],
    ids=["cut-off", "brackets", "null", "surrogate", "deep", "lambda", "open-string", "empty"],
)
def test_function_whose_file_is_no_python_by_now_runs_in_python(text: str) -> None:
    function = function_of("def f(a):\n    return a + 1\n", "rewritten")
    name = function.__code__.co_filename
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    compiled = allcores.native(function)
    assert compiled(1) == 2
    refusal = allcores.native.report(compiled).refusal
    assert refusal is not None
    assert refusal.reason is Reason.NO_SOURCE


def test_program_of_too_many_functions_runs_in_python() -> None:
    helpers = [f"def g{n}(a):\n    return g{n + 1}(a) + 1" for n in range(70)]
    text = "\n".join([*helpers, "def g70(a):\n    return a", "def f(a):\n    return g0(a)\n"])
    compiled = allcores.native(function_of(text, "large"))
    assert compiled(1) == 71
    refusal = allcores.native.report(compiled).refusal
    assert refusal is not None
    assert refusal.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("name", REFUSED_FOR_TYPES)
def test_every_reason_of_types_is_given_with_its_place(name: str) -> None:
    text, arguments, line = REFUSED_FOR_TYPES[name]
    function = function_of(text, name)
    compiled = allcores.native(function)
    assert differences.outcome(compiled, arguments) == differences.outcome(function, arguments)
    (words,) = allcores.native.report(compiled).types.values()
    assert words.endswith(f"[{name}], at line {line} column {words.rpartition(' ')[2]}")


def listed(file: str) -> set[str]:
    """The names in a list of the engine's source."""
    text = (ROOT / "crates" / "allcores-native" / "src" / file).read_text()
    return set(re.findall(r'^    \w+ = (?:\d+ )?"([a-z-]+)":', text, re.MULTILINE))


def test_every_reason_of_types_has_its_test() -> None:
    assert listed("refuse.rs") == REFUSED_FOR_TYPES.keys()


@pytest.mark.parametrize("name", LEFT)
def test_every_guard_leaves_the_item_to_python(name: str) -> None:
    text, calls = LEFT[name]
    function = function_of(text, name)
    compiled = allcores.native(function)
    for arguments in calls:
        assert differences.outcome(compiled, arguments) == differences.outcome(function, arguments)
    assert left_by(compiled) == {name: len(calls)}


def test_every_guard_has_its_test() -> None:
    assert listed("guard.rs") == LEFT.keys() | {"depth", "stopped"}


def test_calls_too_deep_are_left_to_python() -> None:
    text = "def f(n):\n    return 0 if n == 0 else 1 + f(n - 1)\n"
    compiled = allcores.native(function_of(text, "deep"))
    assert compiled(100) == 100
    assert left_by(compiled) == {}
    with pytest.raises(RecursionError):
        compiled(10**6)
    assert left_by(compiled) == {"depth": 1}


SHORTCUTS = [
    *((name, text, edges.INTS) for name, text in edges.OF_INTS.items()),
    *((f"float-{name}", text, edges.FLOATS) for name, text in edges.OF_FLOATS.items()),
]


@pytest.mark.parametrize(("name", "text", "values"), SHORTCUTS, ids=[each[0] for each in SHORTCUTS])
def test_every_shortcut_gives_what_cpython_gives(name: str, text: str, values: list[Any]) -> None:
    function = function_of(text, f"shortcut-{name}")
    compiled = allcores.native(function)
    for value in values:
        expected = differences.outcome(function, (value,))
        assert differences.outcome(compiled, (value,)) == expected, value
    report = allcores.native.report(compiled)
    assert report.refusal is None
    assert not any("[" in result for result in report.types.values()), report


SEED = 2
"""Of the short run, so that it takes the same time always; `make fuzz-native` takes any."""


def test_random_programs_give_what_cpython_gives() -> None:
    tally = differences.run(SEED, 20_000)
    print(tally)
    assert tally.differences == []
    assert tally.items - tally.left.total() > tally.executions // 5


def test_int_beyond_64_bits_is_right() -> None:
    square = allcores.native(function_of("def f(a):\n    return a * a\n", "square"))
    assert square(10**10) == 10**20
    assert square.map([3, 10**10, 2.5, True, 4]) == [9, 10**20, 6.25, 1, 16]


def test_map_raises_what_the_first_failing_item_raises() -> None:
    text = "def f(a, b):\n    return a // b\n"
    divide = allcores.native(function_of(text, "divide"))
    assert divide.map([(7, 2), (-7, 2)]) == [3, -4]
    with pytest.raises(ZeroDivisionError):
        divide.map([(7, 2), (7, 0), ("a", 1)])
    with pytest.raises(TypeError):
        divide.map([(7, 2), (7,)])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_map_keeps_the_order_on_any_number_of_threads(threads: int) -> None:
    text = (
        "def f(a):\n    s = 0\n    for i in range(a % 50):\n        s += i * a\n    return s, a\n"
    )
    function = function_of(text, "order")
    items = list(range(5000))
    assert allcores.native(function).map(items, threads) == [function(item) for item in items]


def test_rebound_names_are_seen_at_the_next_call() -> None:
    text = "import math\nK = 2\ndef g(a):\n    return a + K\ndef f(a):\n    return g(abs(a))\n"
    namespace = programs.made(text, "<rebound>")
    compiled = allcores.native(namespace["f"])
    assert compiled(-1) == 3
    namespace["K"] = 10
    assert compiled(-1) == 11
    namespace["abs"] = lambda a: 100
    assert compiled(-1) == 110
    namespace["g"] = lambda a: "other"
    assert compiled(-1) == "other"
    del namespace["g"]
    with pytest.raises(NameError):
        compiled(-1)


def test_closure_over_numbers_follows_them() -> None:
    def outer() -> tuple[Any, Callable[[float], None]]:
        factor = 2.0

        def scale(a: float) -> float:
            return a * factor

        def change(to: float) -> None:
            nonlocal factor
            factor = to

        return scale, change

    scale, change = outer()
    compiled = allcores.native(scale)
    assert compiled(3) == 6.0
    change(0.5)
    assert compiled(3) == 1.5
    assert allcores.native.report(compiled).refusal is None


def test_defaults_and_keywords_are_those_of_the_function() -> None:
    text = "def f(a, b=3, c=0.5):\n    return a * b + c\n"
    compiled = allcores.native(function_of(text, "defaults"))
    assert compiled(2) == 6.5
    assert compiled(2, c=1.0) == 7.0
    with pytest.raises(TypeError):
        compiled()


@allcores.native
def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def test_decorated_function_calls_itself_as_machine_code() -> None:
    assert fibonacci(20) == 6765
    assert allcores.native.report(fibonacci).left == {}


def test_lambda_is_compiled() -> None:
    compiled = allcores.native(lambda a, b: (a // b, a % b))
    assert compiled(-1, 7) == (-1, 6)
    assert allcores.native.report(compiled).refusal is None


def test_threads_may_call_at_once() -> None:
    text = "def f(a):\n    s = 0\n    for i in range(20000):\n        s += i ^ a\n    return s\n"
    function = function_of(text, "at-once")
    compiled = allcores.native(function)
    results: dict[int, int] = {}
    threads = [
        threading.Thread(target=lambda n=n: results.update({n: compiled(n)})) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: function(n) for n in range(8)}


def test_forked_child_runs_machine_code() -> None:
    assert fibonacci(15) == 610
    child = os.fork()
    if child == 0:
        os._exit(0 if fibonacci(16) == 987 and fibonacci.map([3, 4]) == [2, 3] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


ENDLESS = """
import signal, sys, allcores
from native import programs
signal.signal(signal.SIGINT, signal.default_int_handler)
function = programs.made("def f(a):\\n    while True:\\n        pass\\n", "<endless>")["f"]
endless = allcores.native(function)
assert allcores.native.report(endless).refusal is None
try:
    print("ready", flush=True)
    endless.map([1, 2, 3, 4]) if sys.argv[1] == "map" else endless(1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("how", ["call", "map"])
def test_ctrl_c_stops_an_endless_loop(how: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, how],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
    assert process.returncode == 0


def test_importing_allcores_loads_nothing_of_this_rung() -> None:
    code = "import sys, allcores; sys.exit(any('allcores.native' in each for each in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_zero_and_nan_keep_what_python_gives_them() -> None:
    compiled = allcores.native(function_of("def f(a, b):\n    return a % b, a // b\n", "zero"))
    rest, quotient = compiled(-0.0, 3.0)
    assert (math.copysign(1, rest), math.copysign(1, quotient)) == (1.0, -1.0)
    rest, quotient = compiled(4.0, -2.0)
    assert (math.copysign(1, rest), quotient) == (-1.0, -2.0)
