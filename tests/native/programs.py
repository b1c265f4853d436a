"""Random functions over the compiled language, and arguments at the edges of its types.

A program is text, grown from a seed. Its variables have one type each, mostly, so that few programs
are refused; its loops are short and its ints are kept from growing without end, so that CPython is
through with each in time. Everything else is left to chance.
"""

from __future__ import annotations

import array
import linecache
import math
import random
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]


class Whole(int):
    """A subclass of int, which may do as it likes, and does."""

    def __add__(self, other: object) -> Any:
        return "sum"


INTS = sorted(
    {
        sign * (base + near)
        for base in (0, 2, 7, 10, 63, 64, 1 << 31, 1 << 32, 1 << 53, 1 << 62, 1 << 63, 1 << 64)
        for near in (-1, 0, 1)
        for sign in (1, -1)
    }
    | {10**20, 3037000500, -3037000499, 6074001000, 1000000007}
)
MODULI = ["LIMIT", "2147483648", "9223372036854775807", "(-9223372036854775808)"]
"""What is raised to a power is brought below one of these, so that powers of powers stay short."""
SMALL_INTS = range(-12, 13)
FLOATS = [
    0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.5, -2.5, 3.0, 0.1, math.pi, -7.25, 1e16, 1e300, -1e308,
    5e-324, 2.2250738585072014e-308, float(1 << 53), float((1 << 53) + 2), 9.2e18, 2.0**63,
    -(2.0**63), math.nextafter(2.0**63, 0.0), math.inf, -math.inf, math.nan, 170.5, 709.5, 1023.0,
]  # fmt: skip

NAMES = """
    sqrt sin cos tan asin acos atan sinh cosh tanh exp expm1 log log2 log10 log1p fabs degrees
    radians
"""
MATH_OF_ONE = NAMES.split()


def argument(rng: random.Random, kind: str) -> Any:
    """A value of a kind, now and then of another, or of none that is compiled."""
    if rng.random() < 0.03:
        # Nothing that a product with a large int makes long.
        return rng.choice([None, "", Whole(7), 1j, (), frozenset({1}), 3, 2.5, True])
    match kind:
        case "int":
            return rng.choice(INTS) if rng.random() < 0.5 else rng.choice(SMALL_INTS)
        case "float":
            return rng.choice(FLOATS) if rng.random() < 0.7 else rng.uniform(-10, 10)
        case "ints":
            return ints(rng)
        case "floats":
            numbers = [argument_of(rng, "float") for _ in range(rng.randint(0, 4))]
            return rng.choice([list, lambda each: array.array("d", each)])(numbers)
        case _:
            return rng.random() < 0.5


def argument_of(rng: random.Random, kind: str) -> Any:
    """A value of a kind of number, and of no other."""
    if kind == "int":
        return rng.choice(INTS) if rng.random() < 0.3 else rng.choice(SMALL_INTS)
    return rng.choice(FLOATS)


def ints(rng: random.Random) -> Any:
    """A sequence of ints, as one of the things that hold some."""
    count = rng.randint(0, 4)
    if rng.random() < 0.5:
        return [argument_of(rng, "int") for _ in range(count)]
    code = rng.choice("bBhHiIlLqQ")
    least = 0 if code.isupper() else -100
    numbers = [rng.randint(least, 100) for _ in range(count)]
    if code == "B":
        return rng.choice([bytes, bytearray, lambda each: memoryview(bytes(each))])(numbers)
    return array.array(code, numbers)


class Writer:
    """Writes one program."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.kinds: dict[str, str] = {}
        self.lines: list[str] = []
        self.in_loop = 0
        self.in_each = 0
        self.sequences: dict[str, list[str]] = {"ints": [], "floats": []}
        self.lists: dict[str, list[str]] = {"ints": [], "floats": []}
        self.helpers: list[tuple[str, list[str], str]] = []
        self.counters = 0
        self.looping: list[str] = []

    def program(self) -> tuple[str, list[str]]:
        """The text, in which `f` is the function, and the kinds of its parameters."""
        for number in range(self.rng.choice([0, 0, 1, 2])):
            self.function(f"helper{number}", short=True)
        kinds = self.function("f", short=False)
        return "import math\nLIMIT = 1000003\nSCALE = 0.75\n" + "\n".join(self.lines) + "\n", kinds

    def function(self, name: str, *, short: bool) -> list[str]:
        kinds = [self.rng.choice(["int", "int", "float", "float", "bool"]) for _ in range(2)]
        if not short and self.rng.random() < 0.5:
            kinds.append(self.rng.choice(["int", "float"]))
        self.sequences = {"ints": [], "floats": []}
        self.lists = {"ints": [], "floats": []}
        names = "abc"[: len(kinds)]
        self.kinds = dict(zip(names, kinds, strict=True))
        if not short:
            for sequence in "de"[: self.rng.choice([0, 0, 1, 2])]:
                kinds.append(self.rng.choice(["ints", "ints", "floats"]))
                self.sequences[kinds[-1]].append(sequence)
                names += sequence
        self.in_loop = 0
        first = len(self.lines)
        self.lines.append(f"def {name}({', '.join(names)}):")
        if self.rng.random() < 0.4:
            self.list_of("p", self.rng.choice(["ints", "floats"]))
        if self.rng.random() < 0.3:
            self.assign_number("    ")
        for _ in range(self.rng.randint(0, 2) if short else self.rng.randint(1, 4)):
            self.statement(1)
        result = self.rng.choice(["int", "float", "bool", "int", "float"])
        made = [name for names in self.lists.values() for name in names]
        if "q" in self.kinds and self.rng.random() < 0.6:
            self.lines.append(f"    return q, {self.number_(2)}")
            result = ""
        elif made and self.rng.random() < 0.3:
            name = self.rng.choice(made)
            self.lines.append(f"    return {self.rng.choice([name, f'({name}, 0.5)'])}")
            result = ""
        elif short or self.rng.random() < 0.5:
            self.lines.append(f"    return {self.expression(result, 3)}")
        else:
            kind = self.rng.choice(["int", "float"])
            first, second = self.expression(result, 2), self.expression(kind, 2)
            self.lines.append(f"    return {first}, ({second}, {self.variable_or_literal('bool')})")
        if short and result:
            self.helpers.append((name, kinds, result))
            words = (" for ", " while ", *self.looping)
            if any(word in line for line in self.lines[first:] for word in words):
                self.looping.append(name)
        return kinds

    def statement(self, depth: int) -> None:
        pad = "    " * depth
        choice = self.rng.random()
        if self.rng.random() < 0.1 or (self.has_q and self.rng.random() < 0.25):
            self.assign_number(pad)
        elif self.rng.random() < 0.2 and any(self.lists.values()):
            self.store(pad)
        elif choice < 0.45 or depth > 2:
            self.assignment(pad)
        elif choice < 0.65:
            self.lines.append(f"{pad}if {self.test(2)}:")
            self.inner(depth)
            if self.rng.random() < 0.5:
                self.lines.append(f"{pad}else:")
                self.inner(depth)
        elif choice < 0.85:
            self.for_loop(depth, pad)
        else:
            self.while_loop(depth, pad)

    def assign_number(self, pad: str) -> None:
        """To a variable that is an int at one time and a float at another."""
        value = self.number_(2)
        if self.in_loop or any(each in value for each in ("*", "<<")):
            value = f"({value}) % {self.rng.choice(['LIMIT', '4503599627370497', '-7'])}"
        self.lines.append(
            f"{pad}q {self.rng.choice(['=', '=', '+=', '-=']) if self.has_q else '='} {value}"
        )
        self.kinds["q"] = "number"

    @property
    def has_q(self) -> bool:
        return "q" in self.kinds

    def number_(self, depth: int) -> str:
        """An int or a float, and it depends on the arguments which."""
        one = "q" if self.has_q and self.rng.random() < 0.7 else self.number(depth - 1)
        if depth <= 0:
            return one
        two = self.number_(depth - 1)
        return self.rng.choice(
            [
                lambda: one,
                lambda: f"({one} {self.rng.choice(['+', '-', '*', '//', '%'])} {two})",
                lambda: f"({two} {self.rng.choice(['+', '-', '*', '//', '%'])} {one})",
                lambda: f"(({one}) % 1000) ** {self.rng.choice([0, 2, 3, -1])}",
                lambda: f"({one} / {two})",
                lambda: f"(-({one}))",
                lambda: f"abs({one})",
                lambda: f"({one} if {self.test(1)} else {two})",
                lambda: f"({one} or {two})",
                lambda: f"({one} and {two})",
                lambda: f"{self.rng.choice(['min', 'max'])}({one}, {two})",
                lambda: f"(int({one}) + {two})",
                lambda: f"{self.expression('int', 1)}",
                lambda: f"{self.expression('float', 1)}",
                lambda: f"({one} < {two}) + {one}",
            ]
        )()

    def inner(self, depth: int) -> None:
        known = dict(self.kinds)
        for _ in range(self.rng.randint(1, 2)):
            self.statement(depth + 1)
        if self.in_loop and self.rng.random() < 0.25:
            word = self.rng.choice(["break", "continue"])
            self.lines.append("    " * (depth + 1) + f"if {self.test(1)}: {word}")
        elif self.rng.random() < 0.06:
            self.lines.append("    " * (depth + 1) + "raise ValueError(1)")
        elif self.rng.random() < 0.1:
            self.lines.append("    " * (depth + 1) + f"assert {self.test(1)}")
        if self.rng.random() < 0.9:
            self.kinds = known  # else a name may be used that has no value

    def list_of(self, name: str, kind: str) -> None:
        """A list that the function makes."""
        element = kind[:-1]
        values = [self.variable_or_literal(element) for _ in range(self.rng.randint(1, 3))]
        times = self.rng.choice(["", "", " * 2", f" * {self.small('int')}"])
        self.lines.append(f"    {name} = [{', '.join(values)}]{times}")
        choice = self.rng.random()
        if choice < 0.2:
            bound = " % 2147483648" if kind == "ints" else ""
            value, clauses = self.each(element, 1)
            self.lines[-1] = f"    {name} = [({value}){bound} {clauses}]"
        elif choice < 0.4:
            self.lines[-1] = f"    {name} = []"
            self.lines += [f"    {name}.append({value})" for value in values]
        self.sequences[kind].append(name)
        self.lists[kind].append(name)

    def store(self, pad: str) -> None:
        """A change of a list."""
        kind = self.rng.choice([kind for kind, names in self.lists.items() if names])
        name, element = self.rng.choice(self.lists[kind]), kind[:-1]
        value = self.expression(element, 2)
        if element == "int":
            value = f"({value}) % 2147483648"
        choice = self.rng.random()
        if choice < 0.4:
            self.lines.append(f"{pad}{name}[{self.place()}] = {value}")
        elif choice < 0.6:
            self.lines.append(f"{pad}{name}[{self.place()}] {self.rng.choice('+-')}= {value}")
        elif choice < 0.8 and pad == "    ":  # in a loop over the list it would never end
            self.lines.append(f"{pad}{name}.append({value})")
        else:
            one, two = self.place(), self.place()
            self.lines.append(f"{pad}{name}[{one}], {name}[{two}] = {name}[{two}], {name}[{one}]")

    def place(self) -> str:
        """An index, within bounds mostly."""
        return self.rng.choice(["0", "-1", "1", f"{self.small('int')}", self.whole(0)])

    def element(self, kind: str) -> str | None:
        """An element of a sequence, if there is one."""
        names = self.sequences[f"{kind}s"]
        return f"{self.rng.choice(names)}[{self.place()}]" if names else None

    def for_each(self, depth: int, pad: str) -> bool:
        """A loop over a sequence; False if there is none to loop over."""
        kind = self.rng.choice(["int", "float"])
        names = self.sequences[f"{kind}s"]
        target = {"int": "u", "float": "v"}[kind]
        if not names or self.kinds.get("i", "int") != "int":
            return False
        name = self.rng.choice(names)
        if self.rng.random() < 0.3:
            self.lines.append(
                f"{pad}for i, {target} in enumerate({name}, {self.rng.choice('017')}):"
            )
            self.kinds["i"] = "int"
        elif self.rng.random() < 0.3:
            other = self.rng.choice(names)
            self.lines.append(f"{pad}for {target}, {target}2 in zip({name}, {other}):")
            self.kinds[f"{target}2"] = kind
        else:
            self.lines.append(f"{pad}for {target} in {name}:")
        self.kinds[target] = kind
        self.body_of_loop(depth, pad)
        return True

    def for_loop(self, depth: int, pad: str) -> None:
        if self.rng.random() < 0.5 and self.for_each(depth, pad):
            return
        name = self.rng.choice("ijk")
        if self.kinds.get(name, "int") != "int":
            return self.assignment(pad)
        start, stop = self.rng.randint(-3, 3), self.rng.randint(-3, 6)
        step = self.rng.choice(["", "", ", 2", ", -1", ", -2", f", {self.small('int')}"])
        low = self.rng.choice([str(start), self.small("int")])
        bounds = f"{low}, {stop}{step}" if step or self.rng.random() < 0.6 else self.small("int")
        self.lines.append(f"{pad}for {name} in range({bounds}):")
        self.kinds[name] = "int"
        self.body_of_loop(depth, pad)

    def while_loop(self, depth: int, pad: str) -> None:
        self.counters += 1
        counter = f"n{self.counters}"
        self.lines.append(f"{pad}{counter} = 0")
        self.lines.append(f"{pad}while {counter} < {self.rng.randint(1, 5)} and {self.test(1)}:")
        self.lines.append(f"{pad}    {counter} += 1")
        self.body_of_loop(depth, pad)

    def body_of_loop(self, depth: int, pad: str) -> None:
        self.in_loop += 1
        self.inner(depth)
        self.in_loop -= 1
        if self.rng.random() < 0.2:
            self.lines.append(f"{pad}else:")
            outer, self.in_loop = self.in_loop, 0
            self.inner(depth)
            self.in_loop = outer

    def assignment(self, pad: str) -> None:
        if self.rng.random() < 0.15 and len(self.kinds) > 1:
            one, two = self.rng.sample(sorted(self.kinds), 2)
            if "n" not in (one[0], two[0]) and "q" not in (one, two):
                values = [self.expression(self.kinds[each], 1) for each in (one, two)]
                self.lines.append(f"{pad}{one}, {two} = {self.kept(values[0], one)}, ")
                self.lines[-1] += self.kept(values[1], two)
                return
        name = self.rng.choice("abcxyzw")
        kind = self.kinds.get(name) or self.rng.choice(["int", "float", "int", "bool"])
        value = self.expression(kind, 3)
        self.kinds[name] = kind
        if kind != "bool" and self.rng.random() < 0.2 and name in "abc":
            sign = self.rng.choice(["+", "-"])
            self.lines.append(f"{pad}{name} {sign}= {self.kept(value, name)}")
        else:
            self.lines.append(f"{pad}{name} = {self.kept(value, name)}")

    def kept(self, value: str, name: str) -> str:
        """The value, kept from growing with each turn of a loop, or each product."""
        grows = self.in_loop or "*" in value or "<<" in value
        if not grows or self.kinds[name] != "int":
            return value
        bound = self.rng.choice(["LIMIT", "2147483648", "-4611686018427387904", "9007199254740993"])
        return f"({value}) % {bound}"

    # Expressions

    def each(self, kind: str, depth: int) -> tuple[str, str]:
        """An expression of that kind, and for which few values, as a comprehension has it."""
        known = dict(self.kinds)
        self.in_loop += 1
        self.in_each += 1
        clauses = []
        for _ in range(self.rng.choice([1, 1, 1, 2])):
            name, element = self.rng.choice([("t", "int"), ("t", "int"), ("o", "float")])
            names = self.sequences[f"{element}s"]
            if names and self.rng.random() < 0.6:
                clause = f"for {name} in {self.rng.choice(names)}"
            else:
                name, element = "t", "int"
                clause = f"for t in range({self.small('int')}, {self.rng.randint(-1, 5)})"
            self.kinds[name] = element
            if self.rng.random() < 0.3:
                clause += f" if {self.test(1)}"
            clauses.append(clause)
        element = self.expression(kind, depth)
        self.in_each -= 1
        self.in_loop -= 1
        self.kinds = known
        return element, " ".join(clauses)

    def folded(self, kind: str, depth: int) -> str | None:
        """One value of many: by `sum`, `min`, `max`, `any` or `all`."""
        if self.in_each > 1:
            return None
        if kind == "bool":
            function = self.rng.choice(["any", "all"])
            sequences = [name for names in self.sequences.values() for name in names]
            if sequences and self.rng.random() < 0.3:
                return f"{function}({self.rng.choice(sequences)})"
            element, clauses = self.each(self.rng.choice(["bool", "int", "float"]), depth)
            return f"{function}({element} {clauses})"
        names = self.sequences[f"{kind}s"]
        function = self.rng.choice(["min", "max"])
        if names and self.rng.random() < 0.3:
            return f"{function}({self.rng.choice(names)})"
        is_sum = self.rng.random() < 0.5
        found = self.rng.choice(["int", "int", "bool"]) if is_sum and kind == "int" else kind
        element, clauses = self.each(found, depth)
        if not is_sum:
            return f"{function}({element} {clauses})"
        if kind == "float":
            return f"float(sum({element} {clauses}))"
        listed = self.rng.choice(["", "", "[]"])
        return f"sum({listed[:1]}{element} {clauses}{listed[1:]})"

    def test(self, depth: int) -> str:
        """Something whose truth is asked for."""
        if depth and self.rng.random() < 0.3:
            word = self.rng.choice(["and", "or"])
            return f"({self.test(depth - 1)} {word} {self.test(depth - 1)})"
        return self.expression(self.rng.choice(["bool", "bool", "int", "float"]), depth)

    def variable_or_literal(self, kind: str) -> str:
        names = [name for name, each in self.kinds.items() if each == kind]
        if names and self.rng.random() < 0.75:
            return self.rng.choice(names)
        match kind:
            case "int":
                number = self.rng.choice(INTS) if self.rng.random() < 0.15 else None
                number = self.rng.choice(SMALL_INTS) or 3 if number is None else number
                return self.rng.choice(["LIMIT", f"({number})", f"({number})"])
            case "float":
                numbers = [each for each in FLOATS if math.isfinite(each)]
                return self.rng.choice(["SCALE", "math.pi", f"({self.rng.choice(numbers)!r})"])
            case _:
                return self.rng.choice(["True", "False"])

    def small(self, kind: str) -> str:
        """An int near zero."""
        return f"(({self.variable_or_literal(kind)}) % {self.rng.choice([5, 6, -5])})"

    def expression(self, kind: str, depth: int) -> str:
        if kind != "bool" and self.rng.random() < 0.15:
            element = self.element(kind)
            if element is not None:
                return element
        if depth <= 0 or self.rng.random() < 0.12:
            return self.variable_or_literal(kind)
        if self.rng.random() < 0.12:
            parts = self.expression(kind, depth - 1), self.expression(kind, depth - 1)
            return self.rng.choice(
                [
                    f"({parts[0]} if {self.test(depth - 1)} else {parts[1]})",
                    f"({parts[0]} and {parts[1]})",
                    f"({parts[0]} or {parts[1]})",
                    f"({parts[0]}, {parts[1]})[{self.rng.choice([0, 1, -1, -2])}]",
                ]
            )
        if self.helpers and self.rng.random() < 0.12:
            fitting = [each for each in self.helpers if each[2] == kind]
            if self.in_loop:  # loops in loops of loops take CPython minutes
                fitting = [each for each in fitting if each[0] not in self.looping]
            if fitting:
                name, kinds, _ = self.rng.choice(fitting)
                return f"{name}({', '.join(self.expression(each, 1) for each in kinds)})"
        return {"int": self.int_, "float": self.float_, "bool": self.bool_}[kind](depth - 1)

    def number(self, depth: int) -> str:
        return self.expression(self.rng.choice(["int", "int", "float", "bool"]), depth)

    def whole(self, depth: int) -> str:
        return self.expression(self.rng.choice(["int", "int", "int", "bool"]), depth)

    def int_(self, depth: int) -> str:
        one, two = self.whole(depth), self.whole(depth)
        if self.rng.random() < 0.55:
            operation = self.rng.choice(["+", "-", "*", "//", "%", "&", "|", "^", "+", "-", "*"])
            if operation in "&|^":
                one = self.expression("int", depth)
            return f"({one} {operation} {two})"
        return self.rng.choice(
            [
                lambda: f"((({one}) % {self.rng.choice(MODULI)}) ** {self.small('int')})",
                lambda: f"({one} << {self.small('int')})",
                lambda: f"({one} << (({two}) % 66))",
                lambda: f"({one} >> {self.rng.choice([two, self.small('int')])})",
                lambda: f"(-({one}))",
                lambda: f"(~({self.expression('int', depth)}))",
                lambda: f"abs({one})",
                lambda: f"int({self.number(depth)})",
                lambda: f"round({self.number(depth)})",
                lambda: f"math.floor({self.number(depth)})",
                lambda: f"math.ceil({self.number(depth)})",
                lambda: f"math.trunc({self.number(depth)})",
                lambda: f"math.gcd({one}, {two})",
                lambda: f"math.isqrt({one})",
                lambda: f"pow({one}, {self.small('int')}, {two})",
                lambda: f"divmod({one}, {two})[{self.rng.choice([0, 1])}]",
                lambda: f"{self.rng.choice(['min', 'max'])}({self.several('int', depth)})",
                lambda: f"len(({one}, {two}, 1))",
                lambda: f"sum(({one}, {two}))",
                lambda: f"({one}, {two})[{self.small('int')}]",
                lambda: self.of_sequence() or one,
                lambda: self.folded("int", depth) or one,
                lambda: self.folded("int", depth) or one,
            ]
        )()

    def of_sequence(self) -> str | None:
        names = self.sequences["ints"]
        return f"{self.rng.choice(['sum', 'len'])}({self.rng.choice(names)})" if names else None

    def sum_(self) -> str | None:
        names = self.sequences["floats"]
        return f"float(sum({self.rng.choice(names)}))" if names else None

    def several(self, kind: str, depth: int) -> str:
        return ", ".join(self.expression(kind, depth) for _ in range(self.rng.choice([2, 2, 3])))

    def float_(self, depth: int) -> str:
        one, two = self.expression("float", depth), self.number(depth)
        if self.rng.random() < 0.5:
            left, right = self.rng.choice([(one, two), (two, one)])
            left = f"float({left})"  # an int in place of it may be raised to no end of digits
            return f"({left} {self.rng.choice(['+', '-', '*', '/', '//', '%', '**'])} {right})"
        return self.rng.choice(
            [
                lambda: f"({self.whole(depth)} / {self.whole(depth)})",
                lambda: f"(-({one}))",
                lambda: f"(+({one}))",
                lambda: f"abs({one})",
                lambda: f"float({two})",
                lambda: f"math.{self.rng.choice(MATH_OF_ONE)}({two})",
                lambda: f"math.{self.rng.choice(MATH_OF_ONE)}({one})",
                lambda: (
                    f"math.{self.rng.choice(['atan2', 'pow', 'fmod', 'copysign'])}({one}, {two})"
                ),
                lambda: f"divmod({one}, {two})[{self.rng.choice([0, 1])}]",
                lambda: f"{self.rng.choice(['min', 'max'])}({self.several('float', depth)})",
                lambda: self.sum_() or one,
                lambda: self.folded("float", depth) or one,
            ]
        )()

    def bool_(self, depth: int) -> str:
        comparisons = ["==", "!=", "<", "<=", ">", ">="]
        first = f"{self.number(depth)} {self.rng.choice(comparisons)} {self.number(depth)}"
        choice = self.rng.random()
        if choice < 0.5:
            return f"({first})"
        return self.rng.choice(
            [
                lambda: f"({first} {self.rng.choice(comparisons)} {self.number(depth)})",
                lambda: f"(not {self.test(depth)})",
                lambda: f"bool({self.number(depth)})",
                lambda: (
                    f"math.{self.rng.choice(['isnan', 'isinf', 'isfinite'])}({self.number(depth)})"
                ),
                lambda: (
                    f"({self.expression('bool', depth)} {self.rng.choice('&|^')} "
                    f"{self.expression('bool', depth)})"
                ),
                lambda: f"({self.variable_or_literal('int')} is not None)",
                lambda: f"({self.number(depth)} in (0, 2, -1, 1.5, True))",
                lambda: self.folded("bool", depth) or f"({first})",
            ]
        )()


def made(text: str, name: str) -> dict[str, Any]:
    """The program as a module's names; its source can be found."""
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(text, name, "exec"), namespace)
    return namespace
