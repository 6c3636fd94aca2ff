"""How sure is one run's score, and the difference of two, by the sequences that were tested?"""

import math
from typing import NamedTuple

Z = 1.959963984540054  # of a normal distribution, 95 % lie within


class ScoreInterval(NamedTuple):
    """A number and the 95 % interval around it; low and high are None where nobody knows."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None and self.high is not None


def of_share(share: float, error: float, sequences: int) -> ScoreInterval:
    """Give the interval of a share, such as an accuracy.

    It is Wilson's score interval ("Probable inference, the law of succession, and statistical
    inference", JASA 22, 1927), for as many independent answers as have this standard error: the
    answers of one sequence depend on each other. Where all are right or all wrong, sequences count.

    Args:
        share: In [0, 1].
        error: Its standard error.
        sequences: That were tested, at least 1.

    Example:
        >>> low, high = of_share(1.0, 0.0, 100)[1:]
        >>> round(low, 3), high
        (0.963, 1.0)
    """
    n = share * (1 - share) / error**2 if error > 0 else float(sequences)
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + (Z / (2 * n)) ** 2)
    return ScoreInterval(share, max(0.0, middle - half), min(1.0, middle + half))


def difference(first: ScoreInterval, second: ScoreInterval) -> ScoreInterval:
    """Give the interval of second minus first, of which each was measured by itself.

    It follows from the two intervals, which need not be symmetric ("Construction of confidence
    limits about effect measures", Zou and Donner, Statistics in Medicine 27, 2008). Where both are
    of the same sequences it is wider than need be.

    Args:
        first: With or without an interval.
        second: Likewise.
    """
    d = second.value - first.value
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return ScoreInterval(d)
    return ScoreInterval(
        d,
        d - math.hypot(second.value - second.low, first.high - first.value),
        d + math.hypot(second.high - second.value, first.value - first.low),
    )
