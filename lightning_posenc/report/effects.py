"""How large is a difference, measured by how much it varies from seed to seed?"""

import math
from collections.abc import Sequence
from typing import NamedTuple

REFERENCES = (
    "Lakens, Frontiers in Psychology 4 (2013), for d_z; Hedges, Journal of Educational Statistics "
    "6 (1981), for the correction; Goulet-Pelletier and Cousineau, The Quantitative Methods for "
    "Psychology 14 (2018), for the interval"
)


class EffectSize(NamedTuple):
    """A standardised difference of pairs, d_z, and its 95 % interval.

    Args:
        d: Mean of the differences over their standard deviation, corrected for few pairs.
        low: Lower end.
        high: Upper end.
    """

    d: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.d:.2f} [{self.low:.2f}, {self.high:.2f}]"


def effect(differences: Sequence[float]) -> EffectSize | None:
    """Give Cohen's d of paired differences, the effect size that belongs to a paired t test.

    d_z = mean / standard deviation, times Hedges' J, since that ratio is too large for few pairs.
    t = d_z sqrt(n) follows a noncentral t distribution, whose noncentralities give the interval.

    Args:
        differences: One for each pair, at least 2 that differ.

    Returns:
        None where it has no meaning.

    Example:
        >>> found = effect([1.0, 2.0, 3.0, 2.0])
        >>> round(found.d, 2)
        1.77
    """
    import numpy as np
    from scipy.special import gammaln, nctdtrinc

    n = len(differences)
    if n < 2:
        return None
    spread = float(np.std(differences, ddof=1))
    mean = float(np.mean(differences))
    if not spread > 1e-12 * max(1.0, abs(mean)):  # ties: as in `statistics.paired`
        return None
    df = n - 1
    j = math.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / math.sqrt(df / 2) if df > 1 else 1.0
    t = mean / spread * math.sqrt(n)
    ends = (float(nctdtrinc(df, p, t)) / math.sqrt(n) for p in (0.975, 0.025))
    low, high = (j * end for end in ends)
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return EffectSize(j * mean / spread, low, high)
