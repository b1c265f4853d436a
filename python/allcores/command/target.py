"""Finds the function that the user names: `module:function`, or `file.py:function`."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any


class Refused(Exception):
    """What was asked for can't be meant; the text is for the user."""


class Failed(Exception):
    """What went wrong in the middle; the text is for the user."""


def find(target: str) -> Callable[..., Any]:
    """The function that `target` names. Raises `Refused` if there is none."""
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name:
        raise Refused(
            f"`{target}` names no function\n"
            "hint: write `module:function`, for instance `shop.prices:price`, or `prices.py:price`"
        )
    module = _module(where)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise Refused(f"`{where}` has no `{part}`\nhint: {_alternatives(found, part)}")
        found = getattr(found, part)
    if not callable(found):
        raise Refused(
            f"`{target}` can't be called, it is of type `{type(found).__name__}`\n"
            "hint: name a function"
        )
    from inspect import iscoroutinefunction

    if iscoroutinefunction(found):
        raise Refused(
            f"`{target}` is a coroutine function\n"
            "hint: name a plain one that does `asyncio.run(...)`"
        )
    return found  # type: ignore[no-any-return]


def fingerprint(target: str) -> str:
    """What tells the code of `target` from another's: a hash of the file it stands in."""
    fn = find(target)
    module = sys.modules.get(getattr(fn, "__module__", None) or "")
    path = getattr(module, "__file__", None)
    try:
        with open(path or "", "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()[:16]
    except OSError:
        return f"Python {sys.version.split()[0]}"


def _module(where: str) -> Any:
    from importlib import import_module

    name = where
    if where.endswith(".py"):
        folder, file = os.path.split(os.path.abspath(where))
        name = file.removesuffix(".py")
        if not os.path.isfile(where):
            raise Refused(f"there is no file `{where}`\nhint: look at its path")
        if folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        module = import_module(name)
        _is_from(module, where)
        return module
    except (KeyboardInterrupt, Refused):
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise Refused(
                f"there is no module `{error.name}`\n"
                f"hint: modules are looked for in `{os.getcwd()}` and where this Python "
                f"(`{sys.executable}`) has its packages; a file is named `path/to/file.py:function`"
            ) from None
        raise _unimportable(where, error) from error
    except BaseException as error:
        raise _unimportable(where, error) from error


def _is_from(module: Any, where: str) -> None:
    """Raises `Refused` if another module has taken the name of the file `where`."""
    found = getattr(module, "__file__", None)
    if not where.endswith(".py") or (found and os.path.samefile(found, where)):
        return
    raise Refused(
        f"`{where}` is hidden by another module of its name, `{found or module.__name__}`\n"
        "hint: rename the file"
    )


def _unimportable(where: str, error: BaseException) -> Refused:
    kind = type(error).__name__
    text = f"{kind}: {error}" if str(error) else kind
    place = _place(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename:
        text = f"{kind}: {error.msg}"
        place = f" (line {error.lineno} of `{error.filename}`)"
    module = where.removesuffix(".py").rpartition("/")[2]
    return Refused(
        f"`{where}` can't be imported: {text}{place}\n"
        f'hint: `{os.path.basename(sys.executable)} -c "import {module}"` shows the whole traceback'
    )


def _place(traceback: TracebackType | None) -> str:
    """Where an exception was raised, if not in Python's own import."""
    place = ""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith("<frozen") and file != __file__ and "importlib" not in file:
            place = f" (line {traceback.tb_lineno} of `{file}`)"
        traceback = traceback.tb_next
    return place


def _alternatives(found: object, part: str) -> str:
    from difflib import get_close_matches

    names = [name for name in dir(found) if not name.startswith("_")]
    near = get_close_matches(part, names, 3)
    if near:
        return "did you mean " + " or ".join(f"`{name}`" for name in near) + "?"
    own = getattr(found, "__name__", None)
    named = [name for name in names if getattr(getattr(found, name), "__module__", "") == own]
    if named:
        return "it has " + ", ".join(f"`{name}`" for name in named[:8])
    return "it defines no functions"
