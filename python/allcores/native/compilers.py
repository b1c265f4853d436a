"""The compilers that the native rung can use, by the names that users give.

`cranelift` is ours, is always here, and gives exactly CPython's results. The others are optional
extras, for whoever knows them or has functions that ours refuses.
"""

from __future__ import annotations

from importlib.util import find_spec

DEFAULT = "cranelift"
_PACKAGES = {"numba": "numba", "cython": "Cython"}
NAMES = (DEFAULT, *_PACKAGES)


class IntegersWrap(RuntimeWarning):
    """A function is compiled by Numba, whose integers wrap at 64 bits."""


class ResultDiffers(ArithmeticError):
    """A function compiled by Numba gave something else than CPython."""


def checked(name: str) -> str:
    """The name of a compiler, if it is one. Raises `ValueError` if not."""
    if name not in NAMES:
        known = ", ".join(f"`{each}`" for each in NAMES)
        raise ValueError(f"there is no compiler `{name}`\nhint: one of {known}")
    return name


def missing(name: str) -> str | None:
    """The package that a compiler needs and that is not installed; None if it is."""
    package = _PACKAGES.get(name)
    return package if package is not None and find_spec(package) is None else None
