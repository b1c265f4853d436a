"""Keeps the threads of numerical libraries within the cores of a worker.

BLAS and OpenMP start one thread for each core they see. In n workers that is n times too many, so
each worker limits them to its share (`nesting`):

* the variables that the libraries read when they are loaded are set, unless the user has set them;
* what a forked worker has loaded already is told through its own functions. The number is only
  ever lowered.

GNU's OpenMP can't start threads in a child of a process in which it had some: it waits for them
for ever. In a worker forked from a process with threads it gets one thread, whatever the share.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from .. import _core
from .nesting import CORES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .libraries import Library

OURS = "ALLCORES_LIMITED"
"""The environment variable that names those which were set here, not by the user."""

OMP = "OMP_NUM_THREADS"

FOLLOWERS = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Without their own variable, these libraries do what `OMP_NUM_THREADS` says."""

OTHERS = (
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
)

VARIABLES = (OMP, *FOLLOWERS, *OTHERS)

_MARKS = (b"openblas", b"libmkl_rt", b"libblis", b"libgomp", b"libomp", b"libiomp")
"""In the name of every library that `libraries` knows."""


def limit(cores: int, *, inherited: bool = False, after_threads: bool = False) -> None:
    """Limits the libraries of this process to `cores` threads; to be called before
    `nesting.settle`.

    Args:
        cores: the share of this process.
        inherited: it is a fork of a process that `may_have_libraries`.
        after_threads: and the process that was forked had more than one thread.
    """
    users = chosen_by_user(os.environ)
    _set_variables(cores, users)
    if inherited:
        for library in _loaded_libraries():
            if after_threads and library.waits_for_lost_threads:
                library.limit(1)
            elif library.kind.variable not in users:
                library.limit(cores)


def chosen_by_user(environment: Any) -> set[str]:
    """The variables that the user decides: those set and not by an outer worker, and those that
    follow one of them.
    """
    outer = environment.get(CORES)
    ours = set(environment.get(OURS, "").split(","))
    found = {
        name
        for name in VARIABLES
        if environment.get(name) and not (name in ours and environment[name] == outer)
    }
    return found.union(FOLLOWERS) if OMP in found else found


def _set_variables(cores: int, users: set[str]) -> None:
    ours = [name for name in VARIABLES if name not in users]
    if "numba" in sys.modules and "NUMBA_NUM_THREADS" in ours:
        ours.remove("NUMBA_NUM_THREADS")  # a change after its threads have started is an error
    for name in ours:
        os.environ[name] = str(cores)
    os.environ[OURS] = ",".join(ours)


def may_have_libraries() -> bool:
    """False if nothing but the standard library's and our own machine code was ever loaded. To be
    asked before a fork: a look at everything that is there makes a child copy much of it.
    """
    return (
        "_ctypes" in sys.modules
        or "LD_PRELOAD" in os.environ
        or any(_is_foreign(vars(module).get("__file__")) for module in _modules())
    )


def _modules() -> list[ModuleType]:
    return [module for module in tuple(sys.modules.values()) if type(module) is ModuleType]


def _is_foreign(file: object) -> bool:
    return (
        isinstance(file, str)
        and file.endswith(".so")
        and os.sep + "lib-dynload" + os.sep not in file
        and file != _core.__file__
    )


def _loaded_libraries() -> list[Library]:
    """Of most processes a glance at what they have mapped says that there are none."""
    try:
        with open("/proc/self/maps", "rb") as file:
            mapped = file.read()
    except OSError:
        return []
    if not any(mark in mapped for mark in _MARKS):
        return []
    from . import libraries

    return libraries.among(libraries.files_in(mapped))
