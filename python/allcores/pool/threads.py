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
from collections.abc import Iterable
from typing import Any, NamedTuple

from .nesting import CORES

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


def limit(cores: int, *, inherited: bool = False, after_threads: bool = False) -> None:
    """Limits the libraries of this process to `cores` threads; to be called before
    `nesting.settle`.

    Args:
        cores: the share of this process.
        inherited: it is a fork, so libraries may be there already.
        after_threads: and the process that was forked had more than one thread.
    """
    users = chosen_by_user(os.environ)
    _set_variables(cores, users)
    if inherited:
        for library in loaded_libraries(_mapped_files()):
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


# Libraries that are loaded.
# ------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """A family of libraries: how its files begin, what reads and what sets its threads."""

    starts: tuple[str, ...]
    variable: str
    getters: tuple[str, ...]
    setters: tuple[str, ...]


_OPENBLAS_NAMES = tuple(
    f"{before}openblas_%s_num_threads{after}"
    for before in ("", "scipy_")
    for after in ("", "64_", "_64", "64")
)

KINDS = (
    Kind(
        ("libopenblas", "libscipy_openblas"),
        "OPENBLAS_NUM_THREADS",
        tuple(name % "get" for name in _OPENBLAS_NAMES),
        tuple(name % "set" for name in _OPENBLAS_NAMES),
    ),
    Kind(
        ("libmkl_rt",),
        "MKL_NUM_THREADS",
        ("MKL_Get_Max_Threads",),
        ("MKL_Set_Num_Threads",),
    ),
    Kind(
        ("libblis",),
        "BLIS_NUM_THREADS",
        ("bli_thread_get_num_threads",),
        ("bli_thread_set_num_threads",),
    ),
    Kind(
        ("libgomp", "libomp", "libiomp"),
        OMP,
        ("omp_get_max_threads",),
        ("omp_set_num_threads",),
    ),
)


class Library(NamedTuple):
    """A library that this process has loaded."""

    kind: Kind
    path: str

    @property
    def waits_for_lost_threads(self) -> bool:
        """Whether it hangs with more than one thread where its threads are those of a parent."""
        return "/libgomp" in self.path

    def limit(self, threads: int) -> None:
        """Lowers its number of threads to that."""
        import ctypes

        try:
            loaded = ctypes.CDLL(self.path, mode=os.RTLD_NOW | os.RTLD_NOLOAD)
        except OSError:
            return
        for getter, setter in zip(self.kind.getters, self.kind.setters, strict=True):
            get, put = getattr(loaded, getter, None), getattr(loaded, setter, None)
            if get is not None and put is not None:
                now = get()
                if now > threads or now < 1:
                    put(threads)
                return


def loaded_libraries(files: Iterable[str]) -> list[Library]:
    """Those of the known kinds among the files that a process has mapped."""
    found = {}
    for path in files:
        name = path.rpartition("/")[2]
        if name.startswith("lib") and ".so" in name:
            for kind in KINDS:
                if name.startswith(kind.starts):
                    found[path] = Library(kind, path)
    return list(found.values())


def _mapped_files() -> list[str]:
    try:
        with open("/proc/self/maps") as file:
            return [line.split(None, 5)[5].rstrip("\n") for line in file if ".so" in line]
    except OSError:
        return []
