"""What several seeds allow to be said: intervals, paired tests, corrections for many of them."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from lightning_posenc.report.effects import EffectSize, effect

LEVEL = 0.05
MIN_PAIRS = 3  # two leave one degree of freedom: there is next to nothing that they could show

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
        difference: Mean of first minus second over the pairs; NaN of none.
        half: Half of the 95 % interval of that mean; None for fewer than two pairs.
        p: Two-sided; None if it was not tested.
        n: Number of pairs.
        untested: Why not; empty if it was.
        effect: The difference over its spread from seed to seed; None where that has no meaning.
    """

    difference: float
    half: float | None
    p: float | None
    n: int
    untested: str = ""
    effect: EffectSize | None = None


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % interval."""
    import numpy as np

    n = len(values)
    if n == 0:
        return Estimate(math.nan, None, 0)
    mean = float(np.mean(values))
    if n < 2:
        return Estimate(mean, None, n)
    return Estimate(mean, needed(1, n) * float(np.std(values, ddof=1)) / math.sqrt(n), n)


def paired(
    first: Mapping[K, float], second: Mapping[K, float], others: Sequence[Mapping[K, float]] = ()
) -> Paired:
    """Compare two rows of numbers by what they have in common, such as seeds.

    The p is the larger of two: that of Student's paired t test, and that of the same difference
    against the scatter of all rows that have these seeds, the residuals of rows x seeds. Few seeds
    happen to lie close together, above all where a run either solves its task or does not, and the
    paired test alone then calls equal models different (three seeds, seven rows: in 15 of 100
    tables); `benchmarks/false_alarms.py` measures both. Of two rows alone the two are the same.

    Args:
        first: By seed.
        second: Likewise.
        others: Further rows of the same kind of number.
    """
    import numpy as np
    from scipy.special import stdtr

    common = [key for key in first if key in second]
    n = len(common)
    if n == 0:
        return Paired(math.nan, None, None, 0, "no common seed")
    rows = [first, second, *(row for row in others if all(key in row for key in common))]
    table = np.array([[row[key] for key in common] for row in rows], dtype=float)
    differences = table[0] - table[1]
    mean, half, _ = estimate(differences.tolist())
    if n < MIN_PAIRS:
        seeds = f"{n} common seed{'s' if n > 1 else ''}"
        return Paired(mean, half, None, n, f"{seeds}, {MIN_PAIRS} are needed")
    if np.ptp(differences) <= 1e-12 * max(1.0, float(np.abs(table).max())):
        # Accuracies are multiples of 1/N: equal differences are ties, and no sign of certainty.
        return Paired(mean, half, None, n, "all differences are alike")
    own = differences.std(ddof=1) / math.sqrt(n), n - 1
    residuals = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    freedom = (len(rows) - 1) * (n - 1)
    shared = math.sqrt(2 * (residuals**2).sum() / freedom / n), freedom
    p = max(2 * float(stdtr(df, -abs(mean) / error)) for error, df in (own, shared))
    return Paired(mean, half, p, n, effect=effect(differences.tolist()))


def needed(tests: int, pairs: int) -> float:
    """How many standard errors a difference must have to be significant whatever the other tests
    of its family say, by the paired test.

    Args:
        tests: In the family.
        pairs: Of this one, at least 2.
    """
    from scipy.special import stdtrit

    return float(stdtrit(pairs - 1, 1 - LEVEL / (2 * tests)))


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
