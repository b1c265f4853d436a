"""The greatest common divisor, found the slow way: try every number from the smaller one down.

It is the textbook's example of work that keeps one core busy and shares nothing. `math.gcd` needs a
microsecond for what takes this loop a tenth of a second; here the slowness is the point, and
`math.gcd` checks the answers.
"""

from __future__ import annotations

NUMBERS = [
    (1963309, 2265973),
    (2030677, 3814172),
    (1551645, 2229620),
    (2039045, 2020802),
    (1823712, 1924928),
    (2293129, 1020491),
    (1281238, 2273782),
    (3823812, 4237281),
    (3812741, 4729139),
    (1292391, 2123811),
]


def gcd(pair: tuple[int, int]) -> int:
    """The greatest common divisor of two positive numbers."""
    a, b = pair
    for candidate in range(min(a, b), 0, -1):
        if a % candidate == 0 and b % candidate == 0:
            return candidate
    raise ValueError(f"both numbers must be positive: {pair}")
