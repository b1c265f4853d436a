"""The bytes that the engine reads a program from: prefix order, one tag a node.

The other half of the agreement is `crates/allcores-native/src/ir.rs`, which says what they mean.
"""

from __future__ import annotations

import ast
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BINARY",
    "BUILTINS",
    "COMPARISONS",
    "UNARY",
    "count",
    "float64",
    "int64",
    "tagged",
    "text",
]

UNARY: dict[type[ast.unaryop], int] = {ast.USub: 0, ast.UAdd: 1, ast.Invert: 2, ast.Not: 3}

BINARY: dict[type[ast.operator], int] = {
    ast.Add: 0, ast.Sub: 1, ast.Mult: 2, ast.Div: 3, ast.FloorDiv: 4, ast.Mod: 5, ast.Pow: 6,
    ast.LShift: 7, ast.RShift: 8, ast.BitAnd: 9, ast.BitOr: 10, ast.BitXor: 11,
}  # fmt: skip

COMPARISONS: dict[type[ast.cmpop], int] = {
    ast.Eq: 0, ast.NotEq: 1, ast.Lt: 2, ast.LtE: 3, ast.Gt: 4, ast.GtE: 5,
}  # fmt: skip

NAMES = """
    abs min max int float bool round divmod pow len sum
    math.sqrt math.sin math.cos math.tan math.asin math.acos math.atan math.sinh math.cosh
    math.tanh math.exp math.expm1 math.log math.log2 math.log10 math.log1p math.fabs math.floor
    math.ceil math.trunc math.atan2 math.pow math.fmod math.copysign math.isnan math.isinf
    math.isfinite math.gcd math.isqrt math.degrees math.radians
"""
BUILTINS = {name: code for code, name in enumerate(NAMES.split())}


class Tag:
    """The tags of expressions."""

    INT, FLOAT, BOOL, NONE, LOCAL, UNARY, BINARY, COMPARE = range(8)
    JUNCTION, CONDITIONAL, TUPLE, ITEM, BUILTIN, CALL, NAMED, IS_NONE = range(8, 16)
    INDEX, LIST = range(16, 18)


class Mark:
    """The tags of statements."""

    ASSIGN, EVALUATE, IF, WHILE, FOR_RANGE, BREAK, CONTINUE, RETURN, LEAVE, APPEND = range(10)


def count(number: int) -> bytes:
    return struct.pack("<I", number)


def int64(number: int) -> bytes:
    return struct.pack("<q", number)


def float64(number: float) -> bytes:
    return struct.pack("<d", number)


def text(words: str) -> bytes:
    data = words.encode(errors="replace")
    return count(len(data)) + data


def tagged(tag: int, node: ast.expr | ast.stmt, *parts: bytes) -> bytes:
    """An expression: its tag, its place, its parts."""
    return struct.pack("<BII", tag, node.lineno, node.col_offset) + b"".join(parts)


def counted(parts: Iterable[bytes]) -> bytes:
    parts = list(parts)
    return count(len(parts)) + b"".join(parts)
