"""Which handwritten digits look like another digit?

Each of scikit-learn's 1,797 digits is compared with all others: the nearest ones vote, and where
they vote for another digit than the one that was written, a reader may hesitate too.

    python examples/command/digits.py > digits.jsonl
    allcores run examples/command/digits.py:vote digits.jsonl -o votes.jsonl --args kwargs
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

NEIGHBOURS = 5


@cache
def digits() -> Any:
    """The data, loaded once in each worker."""
    return load_digits()


def vote(number: int) -> dict[str, Any]:
    """What the nearest neighbours of a digit take it for."""
    data = digits()
    distances = np.linalg.norm(data.data - data.data[number], axis=1)
    distances[number] = np.inf
    nearest = np.argsort(distances, kind="stable")[:NEIGHBOURS]
    votes = np.bincount(data.target[nearest], minlength=10)
    return {
        "number": number,
        "written": data.target[number],
        "read": votes.argmax(),
        "agree": votes.max() / NEIGHBOURS,
    }


if __name__ == "__main__":
    for number in range(len(digits().target)):
        print(json.dumps({"number": number}))
