"""Every reason why a function's source is not compiled, whatever its arguments.

Refusing is cheap and right: CPython runs what is refused. Reasons that depend on the types of the
arguments are the engine's (`crates/allcores-native/src/refuse.rs`).
"""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast

__all__ = ["Reason", "Refusal"]


class Reason(Enum):
    """Why; the value is what reports say."""

    NOT_A_FUNCTION = "only functions written in Python are compiled"
    NO_SOURCE = "the source isn't there, or isn't what the function was compiled from"
    SIGNATURE = "only plain parameters are supported: no `*`, no `/` after defaults, no `**`"
    GENERATOR = "generators and coroutines aren't supported"
    STATEMENT = "this statement isn't supported"
    EXPRESSION = "this expression isn't supported"
    CONSTANT = "this constant isn't supported"
    TARGET = "this can't be assigned to"
    ITERABLE = "this can't be looped over"
    NAME = "the name means nothing that can be compiled"
    CALL = "this function can't be called from compiled code"
    ARGUMENTS = "these arguments aren't supported"
    INDEX = "only numbers can be indices"
    GLOBAL = "variables outside the function can't be changed"
    TOO_LARGE = "the program has too many functions, or nests too deep"


class Refusal(Exception):
    """A reason, and where in the source.

    Attributes:
        reason: one of `Reason`.
        line: in the file, from 1; 0 if it is about no place in particular.
        column: in that line, from 0, in bytes.
    """

    def __init__(self, reason: Reason, line: int = 0, column: int = 0) -> None:
        super().__init__(reason, line, column)
        self.reason = reason
        self.line = line
        self.column = column

    def __str__(self) -> str:
        place = f", at line {self.line} column {self.column}" if self.line else ""
        return f"{self.reason.value}{place}"

    @classmethod
    def at(cls, node: ast.stmt | ast.expr | ast.arg, reason: Reason) -> Refusal:
        return cls(reason, node.lineno, node.col_offset)
