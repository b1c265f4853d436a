"""Which functions can neither read nor leave anything in the process that runs them.

Such a function is *closed*: whatever it refers to is a built-in of a short list, a constant, or
another closed function; it binds no global, imports nothing, sets no attribute, keeps no state in
defaults, closures or attributes, and asks values for their plain methods only. What it does with
plain arguments depends on nothing else, so it makes no difference which worker runs it.

```
   Closure(fn)      what fn refers to, as it is now       microseconds, before the first fork
   .is_closed()     may that be trusted? judged once      when a pool could be kept
   .is_right()      is all of it still the same?          by identity, when a kept pool is taken
```

When in doubt a function is not closed. Nothing here looks at arguments: those have to be plain.
"""

from __future__ import annotations

import builtins
import math
import operator
import sys
from collections.abc import Callable
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

from .._core import is_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BUILTINS = vars(builtins)
_ABSENT = object()

_SAFE_BUILTINS = (
    "abs all any bin bool chr complex dict divmod enumerate filter float frozenset hex int "
    "isinstance iter len list map max min next oct ord pow range repr reversed round set slice "
    "sorted str sum tuple zip ArithmeticError AssertionError Exception IndexError KeyError "
    "LookupError OverflowError RuntimeError StopIteration TypeError ValueError ZeroDivisionError"
)
_SAFE_OPERATORS = (
    "abs add and_ concat contains countOf delitem eq floordiv ge getitem gt index indexOf is_ "
    "is_not itemgetter le lshift lt matmul mod mul ne neg not_ or_ pos pow rshift setitem sub "
    "truediv truth xor"
)
_SAFE = {
    id(value): value
    for value in (
        *(_BUILTINS[name] for name in _SAFE_BUILTINS.split()),
        *(getattr(operator, name) for name in _SAFE_OPERATORS.split()),
        *(each for each in vars(math).values() if type(each) is BuiltinFunctionType),
    )
}
_MODULES = (math, operator)

# What looks at the locale, at codecs that somebody may have registered, or at attributes by name.
_UNSAFE_METHODS = frozenset({"decode", "encode", "format", "format_map"})

_SAFE_OPERATIONS = (
    "BINARY_ BUILD_ CACHE CALL CHECK_EXC_MATCH COMPARE_OP CONTAINS_OP CONVERT_VALUE COPY "
    "DELETE_FAST DELETE_SUBSCR DICT_ END_ EXTENDED_ARG FORMAT_SIMPLE FORMAT_VALUE FOR_ITER "
    "GET_ITER GET_LEN IS_OP JUMP KW_NAMES LIST_ LOAD_ASSERTION_ERROR LOAD_ATTR LOAD_CLOSURE "
    "LOAD_COMMON_CONSTANT LOAD_CONST LOAD_DEREF LOAD_FAST LOAD_GLOBAL LOAD_METHOD LOAD_SMALL_INT "
    "MAKE_CELL MAKE_FUNCTION MAP_ADD NOP NOT_TAKEN POP_ PRECALL PUSH_EXC_INFO PUSH_NULL "
    "RAISE_VARARGS RERAISE RESUME RETURN_ SET_ADD SET_FUNCTION_ATTRIBUTE SET_UPDATE STORE_DEREF "
    "STORE_FAST STORE_SLICE STORE_SUBSCR SWAP TO_BOOL UNARY_NEGATIVE UNARY_NOT UNPACK_ YIELD_VALUE"
)

_MOST_PARTS = 200
_MOST_KNOWN = 64


class Closure:
    """What a function refers to, as it was when this was made."""

    __slots__ = ("_functions", "_is_closed", "_names", "_others", "function")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._names: list[tuple[dict[str, Any], str, object]] = []
        """Where a name was looked up, and what was found."""
        self._functions: list[tuple[FunctionType, CodeType, object]] = []
        self._others: set[str] = set()
        """Names that can only be those of attributes."""
        self._is_closed: bool | None = None
        if not (self._is_held_by_its_module(function) and self._gather(function)):
            self._is_closed = False

    def is_right(self) -> bool:
        """Whether all of it is the same now."""
        for namespace, name, value in self._names:
            if namespace.get(name, _ABSENT) is not value:
                return False
        return all(
            function.__code__ is code
            and function.__defaults__ is defaults
            and not function.__kwdefaults__
            and not function.__dict__
            for function, code, defaults in self._functions
        )

    def is_closed(self) -> bool:
        """Whether it can read nothing and leave nothing, as long as it is right."""
        if self._is_closed is None:
            methods = _plain_methods()
            self._is_closed = self._others <= methods and all(
                _is_closed_code(code) for _, code, _ in self._functions
            )
        return self._is_closed

    @property
    def may_be_closed(self) -> bool:
        """Whether nothing was found yet that speaks against it."""
        return self._is_closed is not False

    def _is_held_by_its_module(self, function: Any) -> bool:
        """Workers find it by its name."""
        name = getattr(function, "__name__", None)
        module = sys.modules.get(getattr(function, "__module__", None) or "")
        if module is None or type(name) is not str or function.__qualname__ != name:
            return False
        self._names.append((vars(module), name, function))
        return vars(module).get(name) is function

    def _gather(self, value: object) -> bool:
        if id(value) in _SAFE or is_plain(value, True):
            return True
        if type(value) is not FunctionType:
            return False
        if any(function is value for function, _, _ in self._functions):
            return True
        if (
            value.__closure__
            or value.__kwdefaults__
            or value.__dict__
            or len(self._names) > _MOST_PARTS
            or value.__builtins__ is not _BUILTINS  # type: ignore[attr-defined, unused-ignore]
            or not is_plain(value.__defaults__, True)
        ):
            return False
        self._functions.append((value, value.__code__, value.__defaults__))
        return self._gather_names(value.__code__, value.__globals__)

    def _gather_names(self, code: CodeType, namespace: dict[str, Any]) -> bool:
        for name in code.co_names:
            found = namespace.get(name, _ABSENT)
            self._names.append((namespace, name, found))
            if found is _ABSENT:
                found = _BUILTINS.get(name, _ABSENT)
                self._names.append((_BUILTINS, name, found))
            if type(found) is ModuleType and found in _MODULES:
                if not self._gather_members(found, code.co_names):
                    return False
            elif found is _ABSENT:
                self._others.add(name)
            elif name.startswith(_UNSAFE_PREFIXES) or not self._gather(found):
                return False
        nested = (each for each in code.co_consts if type(each) is CodeType)
        return all(self._gather_names(each, namespace) for each in nested)

    def _gather_members(self, module: ModuleType, names: tuple[str, ...]) -> bool:
        members = vars(module)
        for name in names:
            if name in members:
                self._names.append((members, name, members[name]))
                if name.startswith("_") or not self._gather(members[name]):
                    return False
        return True


# An attribute with such a name leads from a value to what is behind it.
_UNSAFE_PREFIXES = ("__", "ag_", "co_", "cr_", "f_", "gi_", "tb_")

_methods: frozenset[str] = frozenset()
_operations: frozenset[int] = frozenset()
_format_value = -1


def _plain_methods() -> frozenset[str]:
    """The names that a closed function may ask a value, or a module, for."""
    global _methods
    if not _methods:
        kinds: tuple[type, ...] = (bytes, dict, float, frozenset, int, list, set, str, tuple)
        names = {name for kind in kinds for name in vars(kind)}
        names.update(name for module in _MODULES for name in vars(module))
        _methods = frozenset(
            name for name in names - _UNSAFE_METHODS if not name.startswith(("_", "attr"))
        )
    return _methods


def _is_closed_code(code: CodeType) -> bool:
    global _operations, _format_value
    if not _operations:
        import opcode

        safe = tuple(_SAFE_OPERATIONS.split())
        _operations = frozenset(
            number
            for name, number in opcode.opmap.items()
            if name.startswith(safe) and not name.startswith(_UNSAFE_OPERATIONS)
        )
        _format_value = opcode.opmap.get("FORMAT_VALUE", -1)
    operations, arguments = code.co_code[::2], code.co_code[1::2]
    if not _operations.issuperset(operations):
        return False
    if _format_value >= 0 and any(
        each == _format_value and argument & _HAS_SPEC
        for each, argument in zip(operations, arguments, strict=True)
    ):
        return False  # `n` asks the locale
    nested = (each for each in code.co_consts if type(each) is CodeType)
    return all(map(_is_closed_code, nested))


_UNSAFE_OPERATIONS = ("BUILD_TEMPLATE", "BUILD_INTERPOLATION")
_HAS_SPEC = 4  # of `FORMAT_VALUE`

_known: dict[int, Closure] = {}


def closure_of(function: Callable[..., Any]) -> Closure:
    """What the function refers to now: the same object as long as that is right."""
    known = _known.get(id(function))
    if known is None or known.function is not function or not known.is_right():
        known = _known[id(function)] = Closure(function)
        if len(_known) > _MOST_KNOWN:
            _known.pop(next(iter(_known)), None)
    return known


def all_right() -> dict[int, Closure]:
    """Those that have been asked for and are right now, by the `id` of their function."""
    found = tuple(_known.items())
    return {key: each for key, each in found if each.may_be_closed and each.is_right()}


__all__ = ["Closure", "all_right", "closure_of"]
