"""A function compiled by Numba, in `nopython` mode and with the interpreter's lock released.

Numba is not exact: its integers wrap at 64 bits without a word. So there is a warning when a
function is compiled, and a sample of the calls is made by CPython too: the first, the tenth, the
hundredth and so on. On a difference that call and all later ones raise `ResultDiffers`; what was
handed out before may be wrong as well. Python does not silently take over: who asks for Numba asks
for its speed, and who wants CPython's results has our own compiler.

Numbers agree if integers are equal and floats are to `DIGITS`; floats may be rounded otherwise, in
functions such as `sin`. A call may change its arguments, so CPython gets copies made before.
"""

from __future__ import annotations

import copy
import math
import sys
import warnings
from functools import update_wrapper
from importlib import import_module
from itertools import count
from numbers import Integral, Number
from pathlib import Path

from .callable import Native
from .compilers import IntegersWrap, ResultDiffers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DIGITS = 1e-12
"""Relative difference of floats that counts as none."""
PACKAGE = str(Path(__file__).resolve().parents[1])


class NumbaFunction:
    """The function compiled by Numba; call it like the function.

    Attributes:
        function: the function as CPython runs it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        """Warns that integers wrap."""
        numba: Any = import_module("numba")
        if isinstance(function, Native):
            function = function.function
        given: Any = function
        options = {}
        if hasattr(given, "py_func") and hasattr(given, "targetoptions"):  # a dispatcher
            function, options = given.py_func, given.targetoptions
        update_wrapper(self, function)
        self.function = function
        released = options.get("nogil", False)
        self._compiled = given if released else numba.njit(nogil=True)(function)
        self._calls = count(1)
        self._difference: str | None = None
        _warn(getattr(function, "__qualname__", repr(function)))

    def __repr__(self) -> str:
        return f"<numba {self.function!r}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the compiled function gives.

        Raises:
            ResultDiffers: this call, or one before, gave something else than CPython.
        """
        if self._difference is not None:
            raise ResultDiffers(self._difference)
        if not _is_power_of_ten(next(self._calls)):
            return self._compiled(*args, **kwargs)
        again = copy.deepcopy((args, kwargs))
        shown = _shown(args, kwargs)
        result = self._compiled(*args, **kwargs)
        try:
            right = self.function(*again[0], **again[1])
        except Exception as error:
            right = error
        if not agree((result, args, kwargs), (right, *again)):
            self._difference = self._told(shown, result, right)
            raise ResultDiffers(self._difference)
        return result

    def _told(self, shown: str, result: Any, right: Any) -> str:
        name = getattr(self.function, "__qualname__", repr(self.function))
        return (
            f"`{name}({shown})` gave {_short(result)} as compiled by Numba, and {_short(right)} in "
            "CPython\n"
            "hint: Numba's integers wrap at 64 bits, and it doesn't raise all that Python does; "
            "compiler='cranelift' gives what CPython gives"
        )


def agree(result: Any, right: Any) -> bool:
    """Whether a compiled function's result is CPython's, as far as Numba promises."""
    if isinstance(result, Number) and isinstance(right, Number):
        return _are_equal(result, right)
    if isinstance(right, (list, tuple)):
        is_alike = isinstance(result, (list, tuple)) and len(result) == len(right)
        return is_alike and all(map(agree, result, right))
    if isinstance(right, dict):
        is_alike = isinstance(result, dict) and result.keys() == right.keys()
        return is_alike and all(agree(result[key], right[key]) for key in right)
    if hasattr(right, "__array__"):
        numpy: Any = import_module("numpy")
        if getattr(result, "shape", None) != right.shape:
            return False
        if right.dtype.kind not in "fc":
            return bool(numpy.array_equal(result, right))
        return bool(numpy.allclose(result, right, rtol=DIGITS, atol=0.0, equal_nan=True))
    return type(result) is type(right) and bool(result == right)


def _are_equal(result: Any, right: Any) -> bool:
    if isinstance(result, complex) or isinstance(right, complex):
        return _are_equal(result.real, right.real) and _are_equal(result.imag, right.imag)
    if isinstance(result, Integral) or isinstance(right, Integral):
        return bool(result == right)
    if math.isnan(right) or math.isnan(result):
        return math.isnan(right) and math.isnan(result)
    return math.isclose(result, right, rel_tol=DIGITS)


def _is_power_of_ten(number: int) -> bool:
    while number % 10 == 0:
        number //= 10
    return number == 1


def _warn(name: str) -> None:
    """Warns at the line outside of this package that asked for it."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(
        f"`{name}` is compiled by Numba, whose integers wrap at 64 bits; a sample of its calls is "
        "compared with CPython's\n"
        "hint: compiler='cranelift' gives what CPython gives; "
        "warnings.simplefilter('ignore', allcores.native.IntegersWrap) if you know the numbers",
        IntegersWrap,
        stacklevel=level,
    )


def _shown(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    words = [*map(_short, args), *(f"{name}={_short(value)}" for name, value in kwargs.items())]
    return ", ".join(words)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
