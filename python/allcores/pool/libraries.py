"""Numerical libraries that a process has loaded, and how to lower their number of threads.

A variable of the environment says nothing to a library that is there already, as it may be in a
worker that was forked; it is told through its own functions. Imported only where there is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple


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
        "OMP_NUM_THREADS",
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


def among(files: Iterable[str]) -> list[Library]:
    """Those of the known kinds among the files that a process has mapped."""
    found = {}
    for path in files:
        name = path.rpartition("/")[2]
        if name.startswith("lib") and ".so" in name:
            for kind in KINDS:
                if name.startswith(kind.starts):
                    found[path] = Library(kind, path)
    return list(found.values())


def files_in(mapped: bytes) -> list[str]:
    """The libraries' files named by `/proc/self/maps`."""
    lines = mapped.decode("utf-8", "replace").splitlines()
    return [line.split(None, 5)[5] for line in lines if ".so" in line]
