"""A function of a module that Cython has compiled, in pure Python mode.

The whole module is compiled as it stands, its annotations included, into an extension module under
another name, which is kept in the user's cache folder (`XDG_CACHE_HOME`) for this source, this
Cython and this Python. Importing it runs the module's top level once more, and its globals are its
own. Compiled code holds the interpreter's lock like Python's, so its rung is that of processes,
each of which loads the extension module when it gets the function.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import threading
from functools import update_wrapper
from importlib.machinery import ExtensionFileLoader
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX") or ".so"


class _Importing(threading.local):
    """The compiled modules that this thread is importing."""

    def __init__(self) -> None:
        self.modules: list[str] = []


_importing = _Importing()


class CythonFunction:
    """One function of a compiled module; call it like the function, here or in another process.

    Attributes:
        path: of the extension module.
        module: its dotted name; the package is that of the module it was compiled from.
    """

    def __init__(self, path: str, module: str, qualname: str) -> None:
        """Loads the extension module, unless it is loaded."""
        self.path = path
        self.module = module
        self._told = (path, module, qualname)
        found: Any = _loaded(path, module)
        for name in qualname.split("."):
            found = getattr(found, name)
        self._compiled: Callable[..., Any] = found
        update_wrapper(self, found)
        self.__qualname__ = qualname

    def __reduce__(self) -> tuple[Any, ...]:
        return CythonFunction, self._told

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function from its module as compiled by Cython; as it is, if Cython made it already.

    Raises:
        NotImplementedError: it does not stand in a module's file, or the module runs into this call
            when it is imported.
        RuntimeError: Cython or the C compiler failed.
    """
    name = getattr(function, "__qualname__", repr(function))
    if _importing.modules:
        raise NotImplementedError(
            f"`{_importing.modules[-1]}` runs a map of `{name}` when it is imported, and what was "
            "compiled has to be imported\n"
            "hint: put what the program does below `if __name__ == '__main__':`"
        )
    if type(function).__name__ == "cython_function_or_method":
        return function
    home = sys.modules.get(getattr(function, "__module__", None) or "")
    file = getattr(home, "__file__", None)
    if not isinstance(function, FunctionType) or "<" in name or not str(file).endswith(".py"):
        raise NotImplementedError(
            f"`{name}` can't be compiled by Cython, which compiles modules\n"
            "hint: define it at the top of a module's file"
        )
    assert home is not None
    path, module = _built(Path(str(file)).resolve(), home.__package__ or "")
    return CythonFunction(str(path), module, name)


def _loaded(path: str, module: str) -> ModuleType:
    found = sys.modules.get(module)
    if found is not None and getattr(found, "__file__", None) == path:
        return found
    spec = spec_from_file_location(module, path, loader=ExtensionFileLoader(module, path))
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    sys.modules[module] = made
    _importing.modules.append(module)
    try:
        spec.loader.exec_module(made)
    except BaseException:
        sys.modules.pop(module, None)
        raise
    finally:
        _importing.modules.pop()
    return made


def _built(source: Path, package: str) -> tuple[Path, str]:
    """The extension module, made now if it isn't kept, and its dotted name."""
    text = source.read_bytes()
    mark = f"{source} {version('cython')} {sys.implementation.cache_tag} {SUFFIX}"
    digest = hashlib.sha256(text + mark.encode()).hexdigest()[:16]
    name = f"{source.stem}_{digest}"
    kept = _folder() / f"{name}{SUFFIX}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as work:
            os.replace(_compile(source, name, Path(work)), kept)
    return kept, f"{package}.{name}" if package else name


def _folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(home)) / "allcores" / "cython"


def _compile(source: Path, name: str, work: Path) -> Path:
    generated, made = work / f"{name}.c", work / f"{name}{SUFFIX}"
    cython = [sys.executable, "-m", "cython", "-3", "--module-name", name]
    _run([*cython, str(source), "-o", str(generated)], source)
    flags = ["-O2", f"-I{sysconfig.get_path('include')}", *_words("CCSHARED")]
    # Generated code is nobody's to mend.
    command = [*_words("CC"), *flags, "-w", "-c", str(generated), "-o", str(work / "it.o")]
    _run(command, source)
    _run([*_words("LDSHARED"), str(work / "it.o"), "-o", str(made)], source)
    return made


def _words(variable: str) -> list[str]:
    """How Python's own extension modules were built."""
    return shlex.split(sysconfig.get_config_var(variable) or "")


def _run(command: list[str], source: Path) -> None:
    try:
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        raise RuntimeError(
            f"`{source.name}` could not be compiled: `{command[0]}` is not installed\n"
            "hint: Cython needs a C compiler"
        ) from None
    if ended.returncode:
        raise RuntimeError(
            f"`{source.name}` could not be compiled: `{shlex.join(command)}` failed\n{ended.stdout}"
        )
