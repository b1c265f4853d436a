"""A function's source as a program for the engine, or a refusal that says where and why.

Names that aren't local are looked up once: numbers become constants, functions of Python's that
have a twin in machine code are named, other functions of Python source become part of the program.
What the program relies on so is written down as `Bindings`, and compared at each call.
"""

from __future__ import annotations

import ast
import builtins
import math
import sys
from types import CellType, FunctionType, ModuleType

from . import encode
from .encode import Mark, Tag, count, counted, tagged, text
from .folds import OWN_SUM, fold, listed
from .refusals import Reason, Refusal
from .source import definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .folds import Fold
    from .source import Definition

__all__ = ["Bindings", "Lowered", "lower"]

MOST_FUNCTIONS = 64
ABSENT = object()
SUMS_COMPENSATE = sys.version_info >= (3, 12)

TWINS: dict[int, str] = {
    id(getattr(math, name[5:]) if name.startswith("math.") else getattr(builtins, name)): name
    for name in encode.BUILTINS
}


class Bindings:
    """What names meant when a program was written."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, str], tuple[dict[str, object], str, object]] = {}
        self._cells: dict[int, tuple[CellType, object]] = {}
        self._codes: dict[int, tuple[FunctionType, object, object]] = {}

    def note_name(self, namespace: dict[str, object], name: str) -> None:
        """That the name means there what it means now, or nothing."""
        key = (id(namespace), name)
        self._names[key] = (namespace, name, namespace.get(name, ABSENT))

    def note_cell(self, cell: CellType) -> None:
        self._cells[id(cell)] = (cell, cell.cell_contents)

    def note_function(self, function: FunctionType) -> None:
        self._codes[id(function)] = (function, function.__code__, function.__defaults__)

    def hold(self) -> bool:
        """Does all mean what it meant?"""
        for namespace, name, value in self._names.values():
            if namespace.get(name, ABSENT) is not value:
                return False
        for function, code, defaults in self._codes.values():
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return False
        try:
            return all(cell.cell_contents is value for cell, value in self._cells.values())
        except ValueError:  # a cell was emptied
            return False


class Lowered:
    """A program, what it relies on, and whether it calls itself.

    Attributes:
        frames_a_call: how many frames at most Python has where compiled code has a call: two if a
            loop stands for a call of `sum`, say, and the frame of a generator.
    """

    def __init__(self, code: bytes, program: _Program) -> None:
        self.code = code
        self.bindings = program.bindings
        self.is_recursive = program.is_recursive
        has_loops = any(isinstance(each, _Loop) for each in program.functions)
        self.frames_a_call = 2 if has_loops else 1


def lower(function: FunctionType, unwrap: Callable[[object], object]) -> Lowered:
    """The program of `function`; `unwrap` gives the function behind a compiled one.

    Raises:
        Refusal: it can't be compiled, whatever the arguments.
    """
    program = _Program(unwrap)
    program.number_of(function)
    codes: list[bytes] = []
    try:
        while len(codes) < len(program.functions):
            each = program.functions[len(codes)]
            writer = _Function(program, each) if isinstance(each, FunctionType) else each
            codes.append(writer.lowered())
    except RecursionError:
        raise Refusal(Reason.TOO_LARGE, function.__code__.co_firstlineno) from None
    head = bytes([SUMS_COMPENSATE])
    return Lowered(head + counted(codes), program)


class _Program:
    def __init__(self, unwrap: Callable[[object], object]) -> None:
        self.functions: list[FunctionType | _Loop] = []
        self.bindings = Bindings()
        self.is_recursive = False
        self.unwrap = unwrap

    def number_of(self, function: FunctionType) -> int | None:
        """The function's place in the program; None if there is no place any more."""
        for number, known in enumerate(self.functions):
            if known is function:
                # It may not be recursion, but then only a little time is lost.
                self.is_recursive = True
                return number
        place = self.place_for(function)
        if place is not None:
            self.bindings.note_function(function)
        return place

    def place_for(self, function: FunctionType | _Loop) -> int | None:
        if len(self.functions) == MOST_FUNCTIONS:
            return None
        self.functions.append(function)
        return len(self.functions) - 1


class _Function:
    """The writer of one function."""

    def __init__(self, program: _Program, function: FunctionType) -> None:
        self.program = program
        self.function = function
        self.code = function.__code__
        self.node: Definition = definition(function)
        self.check_signature()
        names = dict.fromkeys((*self.code.co_varnames, *self.code.co_cellvars))
        self.locals: dict[str, int] = {name: number for number, name in enumerate(names)}
        self.spare = 0

    def check_signature(self) -> None:
        arguments = self.node.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
            raise self.refusal(Reason.SIGNATURE)
        if self.code.co_flags & (0x20 | 0x80 | 0x200):
            raise self.refusal(Reason.GENERATOR)

    def refusal(self, reason: Reason) -> Refusal:
        return Refusal(reason, self.code.co_firstlineno)

    def lowered(self) -> bytes:
        if isinstance(self.node, ast.Lambda):
            body = count(1) + bytes([Mark.RETURN]) + self.expression(self.node.body)
        else:
            body = self.body(self.node.body)
        place = (self.node.lineno, self.node.col_offset)
        return self.written(place, self.code.co_argcount, body)

    def written(self, place: tuple[int, int], parameters: int, body: bytes) -> bytes:
        name, names = text(self.function.__qualname__), counted(map(text, self.locals))
        return b"".join([name, *map(count, place), count(parameters), names, body])

    # Statements

    def body(self, statements: Iterable[ast.stmt]) -> bytes:
        return counted(part for each in statements for part in self.statement(each))

    def statement(self, node: ast.stmt) -> list[bytes]:
        match node:
            case ast.Pass():
                return []
            case ast.Expr(ast.Constant()):
                return []
            case ast.Expr(ast.Call(ast.Attribute(value, "append"), [item], [])) if self.is_local(
                value
            ):
                return [bytes([Mark.APPEND]) + self.expression(value) + self.expression(item)]
            case ast.Expr(value):
                return [bytes([Mark.EVALUATE]) + self.expression(value)]
            case ast.Assign([ast.Name() as target], ast.List([]) as value) | ast.AnnAssign(
                ast.Name() as target, _, ast.List([]) as value
            ):
                empty = tagged(Tag.LIST, value, counted([]))
                return [bytes([Mark.ASSIGN]) + self.target(target) + empty]
            case ast.Assign(targets, value):
                return self.assignment(targets, value)
            case ast.AnnAssign(ast.Name() as target, _, value):
                return self.assignment([target], value) if value else []
            case ast.AugAssign(ast.Name(name) as target, operation, value):
                left = tagged(Tag.LOCAL, target, count(self.local(target, name)))
                right = self.expression(value)
                result = tagged(Tag.BINARY, node, self.operation(node, operation), left, right)
                return [bytes([Mark.ASSIGN]) + self.target(target) + result]
            case ast.AugAssign(ast.Subscript(value, index) as target, operation, addend):
                return self.item_assignment(node, (target, value, index), operation, addend)
            case ast.If(test, body, otherwise):
                return [self.branches(Mark.IF, test, body, otherwise)]
            case ast.While(test, body, otherwise):
                return [self.branches(Mark.WHILE, test, body, otherwise)]
            case ast.For(target, iterable, body, otherwise):
                return self.loop(target, iterable, body, otherwise)
            case ast.Break():
                return [bytes([Mark.BREAK])]
            case ast.Continue():
                return [bytes([Mark.CONTINUE])]
            case ast.Return(value):
                return [bytes([Mark.RETURN]) + self.value(value, node)]
            case ast.Raise():
                return [bytes([Mark.LEAVE])]
            case ast.Assert(test, _):
                if not __debug__:
                    return []
                leave = count(1) + bytes([Mark.LEAVE])
                return [bytes([Mark.IF]) + self.expression(test) + count(0) + leave]
            case ast.Global() | ast.Nonlocal():
                raise Refusal.at(node, Reason.GLOBAL)
        raise Refusal.at(node, Reason.STATEMENT)

    def assignment(self, targets: list[ast.expr], value: ast.expr) -> list[bytes]:
        if len(targets) == 1:
            return [bytes([Mark.ASSIGN]) + self.target(targets[0]) + self.expression(value)]
        spare = count(self.spare_local())
        first = bytes([Mark.ASSIGN, 0]) + spare + self.expression(value)
        copy = tagged(Tag.LOCAL, value, spare)
        return [first, *(bytes([Mark.ASSIGN]) + self.target(each) + copy for each in targets)]

    def branches(
        self, mark: int, test: ast.expr, body: list[ast.stmt], otherwise: list[ast.stmt]
    ) -> bytes:
        return bytes([mark]) + self.expression(test) + self.body(body) + self.body(otherwise)

    def loop(
        self, target: ast.expr, iterable: ast.expr, body: list[ast.stmt], otherwise: list[ast.stmt]
    ) -> list[bytes]:
        match iterable:
            case ast.Call(ast.Name(name), arguments, []) if self.means(name) is range:
                pass
            case _:
                return self.loop_over_items(target, iterable, body, otherwise)
        if not isinstance(target, ast.Name):
            raise Refusal.at(target, Reason.TARGET)
        zero, one = (tagged(Tag.INT, iterable, encode.int64(each)) for each in (0, 1))
        bounds = [self.expression(each) for each in arguments]
        match bounds:
            case [stop]:
                bounds = [zero, stop, one]
            case [start, stop]:
                bounds = [start, stop, one]
            case [_, _, _]:
                pass
            case _:
                raise Refusal.at(iterable, Reason.ARGUMENTS)
        head = bytes([Mark.FOR_RANGE]) + count(self.local(target, target.id)) + b"".join(bounds)
        return [head + self.body(body) + self.body(otherwise)]

    def loop_over_items(
        self, target: ast.expr, iterable: ast.expr, body: list[ast.stmt], otherwise: list[ast.stmt]
    ) -> list[bytes]:
        """As a `while` with an index, which is how the iterators of Python go along."""
        sequences: list[ast.expr] = [iterable]
        start: ast.expr | None = None
        match iterable:
            case ast.Call(ast.Name("enumerate"), [values], []):
                sequences, start = [values], ast.Constant(0)
            case ast.Call(ast.Name("enumerate"), [values, begin], []):
                sequences, start = [values], begin
            case ast.Call(ast.Name("zip"), [_, *_] as values, []):
                sequences = values
            case ast.Call(ast.Name(name), _, _) if (
                name in ("enumerate", "zip", "reversed") or self.means(name) is range
            ):
                raise Refusal.at(iterable, Reason.ITERABLE)
        if isinstance(iterable, ast.Call) and sequences[0] is not iterable:
            called = iterable.func
            assert isinstance(called, ast.Name)
            if self.means(called.id) not in (enumerate, zip):
                raise Refusal.at(iterable, Reason.ITERABLE)
        before: list[bytes] = []
        spares = [self.kept(before, self.expression(each), iterable) for each in sequences]
        first = None
        if start is not None:
            ast.copy_location(start, iterable)
            first = self.kept(before, self.expression(start), iterable)
        zero, one = (tagged(Tag.INT, iterable, encode.int64(each)) for each in (0, 1))
        index = self.spare_local()
        at = tagged(Tag.LOCAL, iterable, count(index))
        before.append(bytes([Mark.ASSIGN, 0]) + count(index) + zero)
        add, less = bytes([encode.BINARY[ast.Add]]), bytes([encode.COMPARISONS[ast.Lt]])
        length = bytes([encode.BUILTINS["len"]])
        tests, items = [], []
        for spare in spares:
            size = tagged(Tag.BUILTIN, iterable, length, counted([spare]))
            tests.append(tagged(Tag.COMPARE, iterable, at, counted([less + size])))
            items.append(tagged(Tag.INDEX, iterable, spare, counted([at])))
        if first is not None:
            items.insert(0, tagged(Tag.BINARY, iterable, add, at, first))
        is_one = len(items) == 1 and sequences[0] is iterable
        value = items[0] if is_one else tagged(Tag.TUPLE, iterable, counted(items))
        further = tagged(Tag.BINARY, iterable, add, at, one)
        turn = [
            bytes([Mark.ASSIGN]) + self.target(target) + value,
            bytes([Mark.ASSIGN, 0]) + count(index) + further,
            *(part for each in body for part in self.statement(each)),
        ]
        test = tests[0]
        if len(tests) > 1:
            test = tagged(Tag.JUNCTION, iterable, bytes([0]), counted(tests))
        head = bytes([Mark.WHILE]) + test
        return [*before, head + counted(turn) + self.body(otherwise)]

    def kept(self, before: list[bytes], value: bytes, node: ast.expr) -> bytes:
        """A variable of our own with that value."""
        spare = count(self.spare_local())
        before.append(bytes([Mark.ASSIGN, 0]) + spare + value)
        return tagged(Tag.LOCAL, node, spare)

    def item_assignment(
        self,
        node: ast.AugAssign,
        parts: tuple[ast.Subscript, ast.expr, ast.expr],
        operation: ast.operator,
        addend: ast.expr,
    ) -> list[bytes]:
        """`value[index] += addend`, where value and index are looked at once."""
        target, value, index = parts
        if isinstance(index, ast.Slice | ast.Tuple):
            raise Refusal.at(index, Reason.INDEX)
        before: list[bytes] = []
        held = self.kept(before, self.expression(value), target)
        place = self.kept(before, self.expression(index), target)
        old = tagged(Tag.INDEX, target, held, counted([place]))
        code = self.operation(node, operation)
        new = tagged(Tag.BINARY, node, code, old, self.expression(addend))
        return [*before, bytes([Mark.ASSIGN, 2]) + held + place + new]

    def is_local(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self.locals

    def target(self, node: ast.expr) -> bytes:
        match node:
            case ast.Subscript(value, index) if not isinstance(index, ast.Slice | ast.Tuple):
                return bytes([2]) + self.expression(value) + self.expression(index)
            case ast.Name(name):
                return bytes([0]) + count(self.local(node, name))
            case ast.Tuple(items) | ast.List(items):
                return bytes([1]) + counted(self.target(each) for each in items)
        raise Refusal.at(node, Reason.TARGET)

    def local(self, node: ast.expr, name: str) -> int:
        if name not in self.locals:
            raise Refusal.at(node, Reason.GLOBAL)
        return self.locals[name]

    def spare_local(self) -> int:
        self.spare += 1
        self.locals[f".{self.spare}"] = number = len(self.locals)
        return number

    # Expressions

    def value(self, node: ast.expr | None, around: ast.stmt) -> bytes:
        return tagged(Tag.NONE, around) if node is None else self.expression(node)

    def operation(self, node: ast.stmt | ast.expr, operation: ast.operator) -> bytes:
        code = encode.BINARY.get(type(operation))
        if code is None:
            raise Refusal.at(node, Reason.EXPRESSION)
        return bytes([code])

    def expression(self, node: ast.expr) -> bytes:
        match node:
            case ast.Constant(value):
                return self.constant(node, value)
            case ast.Name(name):
                if name in self.locals:
                    return tagged(Tag.LOCAL, node, count(self.locals[name]))
                return self.constant(node, self.meaning(node))
            case ast.Attribute():
                return self.constant(node, self.meaning(node))
            case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)) if (
                type(value) is not bool
            ):
                return self.constant(node, -value)
            case ast.UnaryOp(operation, operand):
                code = bytes([encode.UNARY[type(operation)]])
                return tagged(Tag.UNARY, node, code, self.expression(operand))
            case ast.BinOp(left, operation, right):
                operands = self.expression(left), self.expression(right)
                return tagged(Tag.BINARY, node, self.operation(node, operation), *operands)
            case ast.BoolOp(operation, operands):
                code = bytes([isinstance(operation, ast.Or)])
                return tagged(Tag.JUNCTION, node, code, counted(map(self.expression, operands)))
            case ast.Compare():
                return self.comparison(node)
            case ast.IfExp(test, then, otherwise):
                parts = map(self.expression, (test, then, otherwise))
                return tagged(Tag.CONDITIONAL, node, *parts)
            case ast.Tuple(items):
                return tagged(Tag.TUPLE, node, counted(map(self.expression, items)))
            case ast.Subscript(value, index):
                return self.item(node, value, index)
            case ast.List([_, *_] as items):
                return tagged(Tag.LIST, node, counted(map(self.expression, items)))
            case ast.NamedExpr(ast.Name(name) as target, value):
                local = count(self.local(target, name))
                return tagged(Tag.NAMED, node, local, self.expression(value))
            case ast.Call():
                return self.call(node)
            case ast.ListComp():
                return self.folded(node, listed(node))
        raise Refusal.at(node, Reason.EXPRESSION)

    def constant(self, node: ast.expr, value: object) -> bytes:
        if value is None:
            return tagged(Tag.NONE, node)
        if type(value) is bool:
            return tagged(Tag.BOOL, node, bytes([value]))
        if type(value) is int and -(2**63) <= value < 2**63:
            return tagged(Tag.INT, node, encode.int64(value))
        if type(value) is float:
            return tagged(Tag.FLOAT, node, encode.float64(value))
        if type(value) is tuple:
            return tagged(Tag.TUPLE, node, counted(self.constant(node, each) for each in value))
        raise Refusal.at(node, Reason.CONSTANT)

    def item(self, node: ast.Subscript, value: ast.expr, index: ast.expr) -> bytes:
        match index:
            case ast.Constant(number) if type(number) is int and abs(number) < 2**31:
                return tagged(Tag.ITEM, node, self.expression(value), encode.int64(number))
            case ast.UnaryOp(ast.USub(), ast.Constant(number)) if (
                type(number) is int and abs(number) < 2**31
            ):
                return tagged(Tag.ITEM, node, self.expression(value), encode.int64(-number))
            case ast.Slice():
                raise Refusal.at(index, Reason.INDEX)
            case ast.Tuple(indices):
                if any(isinstance(each, ast.Slice | ast.Starred) for each in indices):
                    raise Refusal.at(index, Reason.INDEX)
            case _:
                indices = [index]
        operands = self.expression(value), counted(map(self.expression, indices))
        return tagged(Tag.INDEX, node, *operands)

    def comparison(self, node: ast.Compare) -> bytes:
        match node:
            case ast.Compare(left, [ast.Is() | ast.IsNot() as identity], [ast.Constant(None)]):
                expected = bytes([isinstance(identity, ast.Is)])
                return tagged(Tag.IS_NONE, node, self.expression(left), expected)
            case ast.Compare(left, [ast.In() | ast.NotIn() as membership], [values]):
                return self.membership(node, left, values, isinstance(membership, ast.In))
        rest = []
        for operation, right in zip(node.ops, node.comparators, strict=True):
            code = encode.COMPARISONS.get(type(operation))
            if code is None:
                raise Refusal.at(node, Reason.EXPRESSION)
            rest.append(bytes([code]) + self.expression(right))
        return tagged(Tag.COMPARE, node, self.expression(node.left), counted(rest))

    def membership(
        self, node: ast.Compare, left: ast.expr, values: ast.expr, expected: bool
    ) -> bytes:
        """`left in (1, 2)`: is it equal to one of these constants, looked at once?"""
        if not isinstance(values, ast.Tuple | ast.List | ast.Set) or not values.elts:
            raise Refusal.at(node, Reason.EXPRESSION)
        spare = count(self.spare_local())
        value = tagged(Tag.NAMED, left, spare, self.expression(left))
        equal = bytes([encode.COMPARISONS[ast.Eq]])
        tests = []
        for each in values.elts:
            try:
                constant = ast.literal_eval(each)
            except ValueError:  # what it is, and whether it raises, shows at run time
                raise Refusal.at(each, Reason.EXPRESSION) from None
            right = self.constant(each, constant)
            tests.append(tagged(Tag.COMPARE, node, value, counted([equal + right])))
            value = tagged(Tag.LOCAL, left, spare)
        found = tagged(Tag.JUNCTION, node, bytes([1]), counted(tests))
        return found if expected else tagged(Tag.UNARY, node, bytes([encode.UNARY[ast.Not]]), found)

    # Calls and names

    def call(self, node: ast.Call) -> bytes:
        called = self.program.unwrap(self.meaning(node.func))
        if not node.keywords and (found := fold(called, node)) is not None:
            return self.folded(node, found)
        if node.keywords or any(isinstance(each, ast.Starred) for each in node.args):
            raise Refusal.at(node, Reason.ARGUMENTS)
        arguments = [self.expression(each) for each in node.args]
        if isinstance(called, FunctionType):
            arguments += self.defaults(node, called)
            number = self.program.number_of(called)
            if number is None:
                raise Refusal.at(node, Reason.TOO_LARGE)
            return tagged(Tag.CALL, node, count(number), counted(arguments))
        twin = TWINS.get(id(called))
        if twin is None:
            raise Refusal.at(node, Reason.CALL)
        if twin == "math.log" and len(arguments) == 2:  # CPython divides two logarithms too
            log = bytes([encode.BUILTINS[twin]])
            parts = [tagged(Tag.BUILTIN, node, log, counted([each])) for each in arguments]
            return tagged(Tag.BINARY, node, bytes([encode.BINARY[ast.Div]]), *parts)
        return tagged(Tag.BUILTIN, node, bytes([encode.BUILTINS[twin]]), counted(arguments))

    def folded(self, node: ast.expr, found: Fold) -> bytes:
        """A loop as a function that is called with those of our variables which it uses."""
        names = [name for name in found.loaded if name in self.locals and name not in found.stored]
        number = self.program.place_for(_Loop(self, node, names, found))
        if number is None:
            raise Refusal.at(node, Reason.TOO_LARGE)
        values = [tagged(Tag.LOCAL, node, count(self.locals[name])) for name in names]
        return tagged(Tag.CALL, node, count(number), counted(values))

    def defaults(self, node: ast.Call, called: FunctionType) -> list[bytes]:
        """The arguments that the call leaves out."""
        missing = called.__code__.co_argcount - len(node.args)
        defaults = called.__defaults__ or ()
        if not 0 <= missing <= len(defaults):
            raise Refusal.at(node, Reason.ARGUMENTS)
        return [self.constant(node, each) for each in defaults[len(defaults) - missing :]]

    def means(self, name: str) -> object:
        """What a name that isn't local means just now; `ABSENT` if nothing."""
        if name in self.locals:
            return ABSENT
        if name in self.code.co_freevars:
            cell = (self.function.__closure__ or ())[self.code.co_freevars.index(name)]
            try:
                self.program.bindings.note_cell(cell)
            except ValueError:
                return ABSENT
            return cell.cell_contents
        for namespace in (self.function.__globals__, self.function.__builtins__):
            self.program.bindings.note_name(namespace, name)
            if name in namespace:
                return namespace[name]
        return ABSENT

    def meaning(self, node: ast.expr) -> object:
        match node:
            case ast.Name(name):
                value = sum if name == OWN_SUM else self.means(name)
            case ast.Attribute(ast.Name(), attribute):
                module = self.meaning(node.value)
                if not isinstance(module, ModuleType):
                    raise Refusal.at(node, Reason.EXPRESSION)
                self.program.bindings.note_name(module.__dict__, attribute)
                value = module.__dict__.get(attribute, ABSENT)
            case ast.Attribute():
                raise Refusal.at(node, Reason.EXPRESSION)
            case _:
                raise Refusal.at(node, Reason.CALL)
        if value is ABSENT:
            raise Refusal.at(node, Reason.NAME)
        return value


class _Loop(_Function):
    """The writer of a loop that is an expression of another function."""

    def __init__(self, around: _Function, node: ast.expr, names: list[str], found: Fold) -> None:
        self.program = around.program
        self.function = around.function
        self.code = around.code
        self.place = (node.lineno, node.col_offset)
        self.parameters = len(names)
        self.locals = {name: number for number, name in enumerate((*names, *found.stored))}
        self.spare = 0
        self.statements = found.body

    def lowered(self) -> bytes:
        return self.written(self.place, self.parameters, self.body(self.statements))
