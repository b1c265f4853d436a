"""The front of the compiled rung: `allcores.native(function)`, and `allcores.native.report`."""

from __future__ import annotations

import sys
from types import ModuleType

from .callable import Native, Report, report
from .callable import native as _native
from .compilers import IntegersWrap, ResultDiffers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["IntegersWrap", "Native", "Report", "ResultDiffers", "native", "report"]


class _Callable(ModuleType):
    """The package is called like a function, whichever way it was imported."""

    def __call__(self, function: Callable[..., Any]) -> Native:
        return _native(function)


native = sys.modules[__name__]
native.__class__ = _Callable
