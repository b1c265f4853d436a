"""A function's source as CPython's own `ast`, if it is what the function was compiled from.

A file may have changed since it was imported, a function may have been made by `exec` or by a
decorator. So what was read is compiled once more, and the code objects are compared: instructions,
constants, names. Anything that differs is refused.
"""

from __future__ import annotations

import ast
import linecache
import textwrap
from types import CodeType, FunctionType, ModuleType

from .refusals import Reason, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Definition = ast.FunctionDef | ast.Lambda

__all__ = ["definition"]


def definition(function: FunctionType) -> Definition:
    """The `def` or `lambda` of the function, its lines and columns those of the file.

    Raises:
        Refusal: the source isn't there or is another's.
    """
    try:
        found = _found(function)
    except _UNREADABLE:
        found = None
    if found is None:
        raise Refusal(Reason.NO_SOURCE, function.__code__.co_firstlineno)
    return found


# What reading and parsing raise where the file holds something else by now: no Python, no text, or
# more brackets than the parser takes.
_UNREADABLE = (SyntaxError, ValueError, MemoryError, RecursionError, ImportError, OSError)


def _found(function: FunctionType) -> Definition | None:
    code = function.__code__
    lines = _lines(code)
    text = textwrap.dedent("".join(lines))
    indent = len(lines[0].encode()) - len(text.splitlines(True)[0].encode()) if text else 0
    for tree in _parsed(text):
        ast.increment_lineno(tree, code.co_firstlineno - 1)
        for node in ast.walk(tree):
            if isinstance(node, ast.expr | ast.stmt | ast.arg | ast.keyword):
                node.col_offset += indent
                node.end_col_offset = (node.end_col_offset or node.col_offset) + indent
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.Lambda) and _is_source_of(node, function):
                return node
    return None


def _lines(code: CodeType) -> list[str]:
    first = code.co_firstlineno
    ends = [end for _, end, _, _ in code.co_positions() if end is not None]
    lines = linecache.getlines(code.co_filename)[first - 1 : max(ends, default=first)]
    if not lines:
        raise Refusal(Reason.NO_SOURCE, first)
    return lines


def _parsed(text: str) -> Iterator[ast.AST]:
    """The text as statements; that of a lambda may need something around it."""
    for attempt in (text, f"({text})", text.strip().rstrip(","), _from_lambda(text)):
        try:
            yield ast.parse(attempt)
        except SyntaxError:
            continue


def _from_lambda(text: str) -> str:
    """A lambda that is an argument, say: as much as is an expression."""
    start = text.find("lambda")
    for end in range(len(text), start, -1) if start >= 0 else ():
        try:
            ast.parse(text[start:end].strip(), mode="eval")
        except SyntaxError:
            continue
        return text[start:end].strip()
    return text


def _is_source_of(node: Definition, function: FunctionType) -> bool:
    code = function.__code__
    if (code.co_name == "<lambda>") != isinstance(node, ast.Lambda):
        return False
    if isinstance(node, ast.FunctionDef) and node.name != code.co_name:
        return False
    # The compiler calls functions of a module otherwise if it sees the module's import.
    names = {name for each in (code, *_codes_in(code)) for name in each.co_names}
    modules = [name for name in names if isinstance(function.__globals__.get(name), ModuleType)]
    for imports in ([], modules) if modules else ([],):
        again = _compiled(node, code, imports)
        if again is not None and _are_same(again, code):
            return True
    return False


def _compiled(node: Definition, code: CodeType, imports: list[str]) -> CodeType | None:
    """The node's own code object, compiled where the names that are free in the original are so."""
    statement: ast.stmt
    if isinstance(node, ast.Lambda):
        statement = ast.Expr(node)
    else:
        statement = ast.FunctionDef(
            node.name, node.args, node.body, [], node.returns, node.type_comment
        )
        for name in {"type_params"} & set(node._fields):  # from Python 3.12 on
            setattr(statement, name, getattr(node, name))
    ast.copy_location(statement, node)
    if code.co_freevars:
        around = ast.parse(f"def around({', '.join(code.co_freevars)}): pass").body[0]
        assert isinstance(around, ast.FunctionDef)
        around.body = [statement]
        statement = around
    before = [ast.parse(f"import {name}").body[0] for name in imports]
    module = ast.Module([*before, statement], [])
    try:
        codes = _codes_in(compile(module, code.co_filename, "exec", dont_inherit=True))
    except (SyntaxError, ValueError):
        return None
    return next((each for each in codes if each.co_name == code.co_name), None)


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes_in(constant)


def _are_same(one: CodeType, other: CodeType) -> bool:
    return (
        one.co_code == other.co_code
        and one.co_names == other.co_names
        and one.co_varnames == other.co_varnames
        and one.co_freevars == other.co_freevars
        and one.co_cellvars == other.co_cellvars
        and one.co_argcount == other.co_argcount
        and one.co_kwonlyargcount == other.co_kwonlyargcount
        and one.co_flags & ~_FUTURE_AND_NESTED == other.co_flags & ~_FUTURE_AND_NESTED
        and _are_same_constants(one.co_consts, other.co_consts)
    )


# CO_NESTED, and the bits of `from __future__` imports, which change no numeric code.
_FUTURE_AND_NESTED = 0x10 | 0x1FE0000


def _are_same_constants(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(
        _are_same(a, b)
        if isinstance(a, CodeType) and isinstance(b, CodeType)
        else type(a) is type(b)
        and (
            _are_same_constants(a, b)
            if isinstance(a, tuple) and isinstance(b, tuple)
            else repr(a) == repr(b)
        )
        for a, b in zip(one, other, strict=True)
    )
