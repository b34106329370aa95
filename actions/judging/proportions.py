"""What a share of n requests says of the share behind it: one-sided bounds that also hold for small n.

Wilson's score interval (1927), and for a difference of two shares Newcombe's method 10 (1998), which is made of it.
Neither needs n × share to be large, as the textbook's normal interval does: 0 of 50 is not "exactly none".
"""

from math import sqrt


def wilson(share: float, n: float, z: float) -> tuple[float, float]:
    """The lower and the upper bound of the share behind `share` of `n` requests; `z` = 2.33 leaves 1 % on each side."""
    if n <= 0:
        return 0.0, 1.0
    square = z * z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = z * sqrt(max(0.0, share * (1 - share)) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def least_difference(share: float, n: float, other: float, other_n: float | None, z: float) -> float:
    """The lower bound of `share` - `other`; `other_n` None: `other` is known exactly."""
    lower, _ = wilson(share, n, z)
    upper = other if other_n is None else wilson(other, other_n, z)[1]
    return share - other - sqrt((share - lower) ** 2 + (upper - other) ** 2)
