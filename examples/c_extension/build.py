"""Builds the four extension modules into `out/c_extension`, and says where that is.

    python build.py        # prints the folder

Needs a compiler for C and what `pip install swig pybind11` installs; pybind11's modules need one
for C++, and are left out without. A module is built anew if a source is newer than it.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
FOLDER = HERE.parents[1] / "out" / "c_extension" / str(sys.implementation.cache_tag)
USUAL = {"CC": "cc", "LDSHARED": "cc", "CXX": "c++", "LDCXXSHARED": "c++"}
SWIG = ("gcd_swig_released", "gcd_swig_held")
PYBIND11 = ("gcd_pybind11_released", "gcd_pybind11_held")
"""Of each tool the one that lets the interpreter's lock go while it computes, and the one that
holds it.
"""


def modules() -> tuple[str, ...]:
    """Those that can be built here."""
    return (*SWIG, *PYBIND11) if shutil.which(_words("CXX")[0]) else SWIG


def build() -> Path:
    """The folder with the modules. Raises `SystemExit` if a tool is missing or fails."""
    work = FOLDER / "objects"
    work.mkdir(parents=True, exist_ok=True)
    newest = max(path.stat().st_mtime for path in HERE.iterdir() if path.is_file())
    old = [name for name in modules() if _built_at(name) < newest]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(_build_one, old))
    return FOLDER


def _built_at(name: str) -> float:
    path = _library(name)
    return path.stat().st_mtime if path.exists() else 0.0


def _library(name: str) -> Path:
    """SWIG's modules are Python, with the one in C beside them."""
    return FOLDER / f"{'_' if 'swig' in name else ''}{name}{SUFFIX}"


def _build_one(name: str) -> None:
    releases = name.endswith("_released")
    if "swig" in name:
        source = FOLDER / "objects" / f"{name}.c"
        threads = ["-threads"] if releases else []
        arguments = ["-module", name, "-outdir", str(FOLDER), "-o", str(source)]
        _run([_swig(), "-python", *threads, *arguments, str(HERE / "gcd.i")])
        wrapper = _compile("CC", source)
        linker = "LDSHARED"
    else:
        flags = ["-std=c++17", "-fvisibility=hidden", f"-DMODULE={name}"]
        flags += [f"-DRELEASES={int(releases)}", *_pybind11()]
        wrapper = _compile("CXX", HERE / "gcd_pybind11.cpp", name, *flags)
        linker = "LDCXXSHARED"
    objects = [_compile("CC", HERE / "gcd.c", f"{name}_gcd"), wrapper]
    _run([*_words(linker), *map(str, objects), "-o", str(_library(name))])


def _compile(compiler: str, source: Path, name: str | None = None, *flags: str) -> Path:
    """The object file of a source."""
    made = FOLDER / "objects" / f"{name or source.stem}.o"
    headers = [f"-I{HERE}", f"-I{sysconfig.get_path('include')}"]
    command = [*_words(compiler), *_words("CCSHARED"), "-O2", *headers, *flags]
    _run([*command, "-c", str(source), "-o", str(made)])
    return made


def _words(variable: str) -> list[str]:
    """How Python's own extension modules were built, with this machine's compiler if that is not
    here.
    """
    words = shlex.split(sysconfig.get_config_var(variable) or "")
    if variable in USUAL and not (words and shutil.which(words[0])):
        words[:1] = [USUAL[variable]]
    return words


def _swig() -> str:
    beside = Path(sys.executable).with_name("swig")
    found = str(beside) if beside.exists() else shutil.which("swig")
    if found is None:
        sys.exit("SWIG is not installed\nhint: `pip install swig`")
    return found


def _pybind11() -> list[str]:
    try:
        import pybind11
    except ImportError:
        sys.exit("pybind11 is not installed\nhint: `pip install pybind11`")
    return [f"-I{pybind11.get_include()}"]


def _run(command: list[str]) -> None:
    try:
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        sys.exit(f"`{command[0]}` is not installed\nhint: a compiler for C is needed")
    if ended.returncode:
        sys.exit(f"`{shlex.join(command)}` failed\n{ended.stdout}")


if __name__ == "__main__":
    print(build())
