"""Comprehensions, and what `sum`, `any`, `all`, `min` and `max` make of them, as loops.

```
   any(x > a for x in xs if x)         for :x in xs:
                                           if :x:
                                               if :x > a: return True
                                       return False
```

The loop is the body of a function of its own: its variables are seen by nobody else, and what it
uses of the function around it are its arguments. Names with a colon are the expression's own, those
with a point are ours. Where nothing has an effect, nobody sees that a generator runs step by step.
"""

from __future__ import annotations

import ast
import builtins
import copy

from .refusals import Reason, Refusal

__all__ = ["OWN_SUM", "Fold", "fold", "listed"]

OWN_SUM = ".sum"
"""The name by which a loop calls `sum`, whatever that name means around it."""

STEPS = {
    builtins.any: ("", "if _:\n return True", "return False"),
    builtins.all: ("", "if not _:\n return False", "return True"),
    # It depends on the types of the elements how `sum` adds, so they are put down first.
    builtins.sum: ("made = []", "made.append(_)", "return sum(made)"),
    builtins.min: (
        "some = False",
        "value = _\nif not some:\n best = value\n some = True\nelif value < best:\n best = value",
        "if not some:\n raise\nreturn best",
    ),
    builtins.max: (
        "some = False",
        "value = _\nif not some:\n best = value\n some = True\nelif value > best:\n best = value",
        "if not some:\n raise\nreturn best",
    ),
}
LISTING = ("made = []", "made.append(_)", "return made")
COUNTING = ("total = 0", "total += _", "return total")


class Fold:
    """The function that a call became.

    Attributes:
        body: what it does.
        stored: the names that it gives values to.
        loaded: the names that it asks for, each once.
    """

    def __init__(self, body: list[ast.stmt]) -> None:
        self.body = body
        self.stored: dict[str, None] = {}
        self.loaded: dict[str, None] = {}
        for statement in body:
            self._note(statement, frozenset())

    def _note(self, node: ast.AST, hidden: frozenset[str]) -> None:
        """Notes the names in a part, but for those that comprehensions around it have for
        themselves.
        """
        match node:
            case ast.Name(name, context) if name not in hidden:
                (self.stored if isinstance(context, ast.Store) else self.loaded)[name] = None
            case ast.GeneratorExp(element, generators) | ast.ListComp(element, generators):
                self._note(generators[0].iter, hidden)
                hidden |= _targets(generators)
                parts = [test for each in generators for test in each.ifs]
                for part in (element, *parts, *(each.iter for each in generators[1:])):
                    self._note(part, hidden)
            case _:
                for child in ast.iter_child_nodes(node):
                    self._note(child, hidden)


def _targets(generators: list[ast.comprehension]) -> set[str]:
    """The names that a comprehension gives values to."""
    return {
        part.id
        for each in generators
        for part in ast.walk(each.target)
        if isinstance(part, ast.Name)
    }


def fold(called: object, node: ast.Call) -> Fold | None:
    """The loop that such a call is; None if it isn't one.

    Raises:
        Refusal: it is one that has no twin.
    """
    steps = next((each for function, each in STEPS.items() if function is called), None)
    if steps is None or len(node.args) != 1:
        return None
    (argument,) = node.args
    match argument:
        case ast.GeneratorExp(element, generators):
            pass
        case ast.ListComp(element, generators) if called not in (any, all):  # these would end early
            pass
        case ast.ListComp():
            raise Refusal.at(argument, Reason.EXPRESSION)
        case _ if called not in (any, all):
            return None  # which the engine knows
        case _:
            element = ast.Name("element", ast.Load())
            target = ast.Name("element", ast.Store())
            generators = [ast.comprehension(target, argument, [], 0)]
    if called is sum and _is_whole(element):
        steps = COUNTING
    return Fold(_looped(steps, element, generators, node))


def listed(node: ast.ListComp) -> Fold:
    """The loop that a list comprehension is.

    Raises:
        Refusal: it has no twin.
    """
    return Fold(_looped(LISTING, node.elt, node.generators, node))


def _looped(
    steps: tuple[str, str, str],
    element: ast.expr,
    generators: list[ast.comprehension],
    around: ast.expr,
) -> list[ast.stmt]:
    for part in (element, *generators):
        if any(isinstance(each, ast.NamedExpr) for each in ast.walk(part)):
            raise Refusal.at(around, Reason.EXPRESSION)
    own = _Renamed(_targets(generators))
    before, body, after = (_ours(each, own.visit(copy.deepcopy(element)), around) for each in steps)
    for place, generator in reversed(list(enumerate(generators))):
        if generator.is_async:
            raise Refusal.at(around, Reason.GENERATOR)
        for test in reversed(generator.ifs):
            body = [ast.If(own.visit(copy.deepcopy(test)), body, [])]
        # The first is evaluated around the expression, where its names mean what they mean there.
        values = copy.deepcopy(generator.iter)
        values = own.visit(values) if place else values
        body = [ast.For(own.visit(copy.deepcopy(generator.target)), values, body, [])]
    whole = [*before, *body, *after]
    for part in (part for statement in whole for part in ast.walk(statement)):
        if "lineno" in part._attributes and not hasattr(part, "lineno"):
            ast.copy_location(part, around)
    return whole


class _Ours(ast.NodeTransformer):
    """Our own names with a point, and `_` as the element."""

    def __init__(self, element: ast.expr) -> None:
        self._element = element

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == "_":
            return self._element
        return ast.copy_location(ast.Name(f".{node.id}", node.ctx), node)


def _ours(text: str, element: ast.expr, around: ast.expr) -> list[ast.stmt]:
    tree = ast.parse(text)
    for part in ast.walk(tree):
        if "lineno" in part._attributes:
            ast.copy_location(part, around)
    _Ours(element).visit(tree)
    return tree.body


class _Renamed(ast.NodeTransformer):
    """The names of the expression's own variables with a colon."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self._names:
            return node
        return ast.copy_location(ast.Name(f":{node.id}", node.ctx), node)


def _is_whole(element: ast.expr) -> bool:
    """Is it an int or a bool, whatever the types of the arguments?"""
    match element:
        case ast.Constant(int()) | ast.UnaryOp(ast.Not()):
            return True
        case ast.Compare(_, operations, _):
            return all(not isinstance(each, ast.In | ast.NotIn) for each in operations)
    return False
