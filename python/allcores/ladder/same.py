"""Are two results equal? Whatever ran them: to the bit, type by type."""

from __future__ import annotations

import math
import pickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal: of one type, numbers to the bit, NaN like NaN, arrays and
    containers part by part, exceptions by type and arguments.
    """
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or (one == other and math.copysign(1, one) == math.copysign(1, other))
    if isinstance(one, BaseException):
        return same(one.args, other.args)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    try:
        if hasattr(one, "equals"):  # frames, series, Arrow tables
            return bool(one.equals(other))
        if one == other:
            return True
    except (TypeError, ValueError):
        pass  # an array's answer is an array
    try:
        return pickle.dumps(one, 5) == pickle.dumps(other, 5)
    except Exception:
        return False
