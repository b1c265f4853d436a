"""How a leverage is said: seconds of computing per second of moving data."""

from __future__ import annotations


def leverage_words(leverage: tuple[float, float, float]) -> str:
    """A leverage, as the median item and what a tenth of the items are below and above."""
    value, low, high = leverage
    words = f"{value:,.3g} seconds of computing per second of moving data"
    words += f" ({low:,.3g} to {high:,.3g} for nine items of ten)"
    return words + ("; below 1, so processes can't pay" if value < 1 else "")
