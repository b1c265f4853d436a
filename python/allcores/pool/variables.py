"""Makes context variables travel: by name, or once a process.

A `ContextVar` does not pickle, and a copy would be another variable. So it goes as

* the name under which a module holds it; the other side imports the module;
* the name under which `__main__` holds it (`main_module` sends the definition: name and default);
* else its token and its definition: the other side makes it once and finds it again.
"""

from __future__ import annotations

import os
import sys
from contextvars import Context, ContextVar
from importlib import import_module

from .definitions import MAIN_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Definition = tuple[str, tuple[Any, ...]]
    """Name and default, the latter in a tuple that is empty if there is none."""

_homes: dict[ContextVar[Any], tuple[str, str]] = {}
_tokens: dict[ContextVar[Any], bytes] = {}
_by_token: dict[bytes, ContextVar[Any]] = {}


def definition_of(variable: ContextVar[Any]) -> Definition:
    """What is needed to make it anew."""
    try:
        return variable.name, (Context().run(variable.get),)
    except LookupError:
        return variable.name, ()


def home_of(variable: ContextVar[Any]) -> tuple[str, str] | None:
    """The module that holds it, and under which name; `__main__` only if no other module does."""
    known = _homes.get(variable)
    if known is not None and _holds(*known, variable):
        return known
    modules = [each for each in list(sys.modules.items()) if each[0] not in MAIN_NAMES]
    for module_name, module in (*modules, ("__main__", sys.modules["__main__"])):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is variable:
                _homes[variable] = module_name, name
                return module_name, name
    return None


def _holds(module_name: str, name: str, variable: ContextVar[Any]) -> bool:
    return getattr(sys.modules.get(module_name), name, None) is variable


def token_of(variable: ContextVar[Any]) -> bytes:
    """Its token; what is forked after this call knows it, too."""
    token = _tokens.get(variable)
    if token is None:
        token = _tokens[variable] = os.urandom(12)
        _by_token[token] = variable
    return token


def by_token(variable: ContextVar[Any]) -> tuple[Any, ...]:
    """What a pickle has of one that no module holds."""
    return find_or_make, (token_of(variable), definition_of(variable))


# What the pickles call.
# ------------------------------------------------------------------------------------------


def find(module_name: str, name: str) -> Any:
    """The variable that a module holds."""
    return getattr(import_module(module_name), name)


def make(definition: Definition) -> ContextVar[Any]:
    """A variable of that name and default."""
    name, default = definition
    return ContextVar(name, default=default[0]) if default else ContextVar(name)


def find_or_make(token: bytes, definition: Definition) -> ContextVar[Any]:
    """The variable with that token; made if this process has not got it yet."""
    found = _by_token.get(token)
    if found is None:
        found = _by_token[token] = make(definition)
        _tokens[found] = token
    return found
