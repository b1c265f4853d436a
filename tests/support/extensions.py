"""Machine code for tests: what `examples/c_extension` builds, and others made of its `gcd.c`."""

from __future__ import annotations

import importlib
import importlib.util
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "c_extension"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")

CYTHON = """
import cython

@cython.cfunc
@cython.nogil
@cython.cdivision(True)
@cython.exceptval(check=False)
def counted(a: cython.longlong, b: cython.longlong) -> cython.longlong:
    candidate: cython.longlong = a if a < b else b
    while candidate > 0:
        if a % candidate == 0 and b % candidate == 0:
            return candidate
        candidate -= 1
    return 0

def gcd_held(pair):
    a: cython.longlong = pair[0]
    b: cython.longlong = pair[1]
    return counted(a, b)

def gcd_released(pair):
    a: cython.longlong = pair[0]
    b: cython.longlong = pair[1]
    with cython.nogil:
        result: cython.longlong = counted(a, b)
    return result
"""


def _example() -> Any:
    spec = importlib.util.spec_from_file_location("build", EXAMPLE / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def example_modules() -> tuple[str, ...]:
    """The modules of the example; those of pybind11 where there is a compiler for C++."""
    return tuple(_example().modules())


def built_examples() -> str:
    """The folder with the modules of the example."""
    return str(_example().build())


def library(folder: Path) -> Path:
    """A shared library with `gcd(a, b)`, for ctypes and cffi."""
    return _linked(folder / "libgcd.so", [EXAMPLE / "gcd.c"])


def cffi_module(folder: Path) -> ModuleType:
    """What cffi makes of the declaration of `gcd`, in its API mode."""
    from cffi import FFI

    ffi: Any = FFI()
    ffi.cdef("long long gcd(long long a, long long b);")
    ffi.set_source("_gcd_cffi", '#include "gcd.h"')
    source = folder / "_gcd_cffi.c"
    ffi.emit_c_code(str(source))
    _linked(folder / f"_gcd_cffi{SUFFIX}", [source, EXAMPLE / "gcd.c"])
    return importlib.import_module("_gcd_cffi")


def cython_module(folder: Path) -> ModuleType:
    """Two functions in Cython's pure Python mode: one lets the lock go, one does not."""
    source = folder / "gcd_cython.py"
    source.write_text(CYTHON)
    generated = folder / "gcd_cython.c"
    _run([sys.executable, "-m", "cython", "-3", str(source), "-o", str(generated)])
    _linked(folder / f"gcd_cython{SUFFIX}", [generated])
    return importlib.import_module("gcd_cython")


def _linked(made: Path, sources: list[Path]) -> Path:
    flags = ["-O2", "-w", f"-I{EXAMPLE}", f"-I{sysconfig.get_path('include')}"]
    objects = []
    for source in sources:
        objects.append(str(made.with_name(f"{made.name}.{source.stem}.o")))
        compiler = [*_words("CC"), *_words("CCSHARED"), *flags]
        _run([*compiler, "-c", str(source), "-o", objects[-1]])
    _run([*_words("LDSHARED"), *objects, "-o", str(made)])
    return made


def _words(variable: str) -> list[str]:
    return shlex.split(sysconfig.get_config_var(variable) or "")


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert ended.returncode == 0, ended.stdout
