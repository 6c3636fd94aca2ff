"""What several seeds allow to be said: intervals, paired tests, corrections for many of them."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

LEVEL = 0.05

K = TypeVar("K", bound=Hashable)


class Estimate(NamedTuple):
    """A mean over seeds.

    Args:
        mean: Of the values; NaN of none.
        half: Half of the 95 % interval of Student's t; None for fewer than two values.
        n: Number of values.
    """

    mean: float
    half: float | None
    n: int


class Paired(NamedTuple):
    """A paired comparison.

    Args:
        difference: Mean of first minus second.
        p: Two-sided p of Student's paired t test; None for fewer than two pairs.
        n: Number of pairs.
    """

    difference: float
    p: float | None
    n: int


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % interval."""
    import numpy as np
    from scipy import stats

    n = len(values)
    if n == 0:
        return Estimate(math.nan, None, 0)
    mean = float(np.mean(values))
    if n < 2:
        return Estimate(mean, None, n)
    half = stats.t.ppf(1 - LEVEL / 2, n - 1) * stats.sem(values)
    return Estimate(mean, float(half), n)


def paired(first: Mapping[K, float], second: Mapping[K, float]) -> Paired:
    """Compare two rows of numbers by what they have in common, such as seeds.

    Where all differences are equal, t is infinite (p = 0), or there is no difference (p = 1).
    """
    import numpy as np
    from scipy import stats

    common = [key for key in first if key in second]
    a, b = (np.array([row[key] for key in common]) for row in (first, second))
    differences = a - b
    if len(common) < 2:
        return Paired(float(differences.mean()) if common else math.nan, None, len(common))
    mean = float(differences.mean())
    if np.ptp(differences) <= 1e-12 * max(1.0, np.abs(a).max(), np.abs(b).max()):
        return Paired(mean, 1.0 if math.isclose(mean, 0, abs_tol=1e-12) else 0.0, len(common))
    return Paired(mean, float(stats.ttest_rel(a, b).pvalue), len(common))


def holm(p_values: Mapping[K, float]) -> dict[K, float]:
    """Holm's correction for many tests: the i-th smallest of m times m - i + 1, never decreasing.

    "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics
    6 (1979).
    """
    corrected: dict[K, float] = {}
    largest = 0.0
    for done, key in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[key]))
        corrected[key] = largest
    return corrected
