"""What tests of starts have workers do."""

from __future__ import annotations


def matmul(row: int) -> float:
    """With as many threads as the library wants."""
    import numpy as np

    square = np.full((400, 400), 1.0)
    return float((square @ square)[row, 0])
