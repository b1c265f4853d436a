"""How a leverage is said: seconds of computing per second of moving data."""

from __future__ import annotations

import math


def leverage_words(leverage: tuple[float, float, float]) -> str:
    """A leverage, as the median item and what a tenth of the items are below and above."""
    value, low, high = leverage
    words = f"{_figure(value)} seconds of computing per second of moving data"
    words += f" ({_figure(low)} to {_figure(high)} for eight items of ten)"
    return words + ("; below 1, so processes can't pay" if value < 1 else "")


def _figure(value: float) -> str:
    """Three digits that count, and none of an exponent."""
    if value < 1000 or not math.isfinite(value):
        return f"{value:.3g}"
    return f"{round(value, 2 - math.floor(math.log10(value))):,.0f}"
