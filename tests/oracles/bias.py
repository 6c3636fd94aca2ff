"""What adds to the logits."""

import math
from fractions import Fraction

import numpy as np

from tests.oracles.base import Given, Result, of_layer, pairs


def alibi(given: Given, form: str | None = None) -> Result:
    """Press et al. 2022, section 3; two-sided: the future has the mirrored head's slope."""
    n_heads = given.q.shape[1]
    form = form or ("symmetric" if given.causal else "two_sided")

    def entry(h: int, delta: float) -> float:
        mirrored = form == "two_sided" and delta < 0
        slopes = alibi_slopes(n_heads)
        return -slopes[n_heads - 1 - h if mirrored else h] * abs(delta)

    return Result(bias=pairs(given, entry))


def alibi_slopes(n_heads: int) -> list[float]:
    """The recursion of the authors' code: a power of two, then every other slope of the next."""
    if n_heads & (n_heads - 1) == 0:
        ratio = 2.0 ** (-8.0 / n_heads)
        return [ratio ** (h + 1) for h in range(n_heads)]
    power = 1 << (n_heads.bit_length() - 1)
    return alibi_slopes(power) + alibi_slopes(2 * power)[::2][: n_heads - power]


def learned_relative_bias(given: Given, max_distance: int) -> Result:
    """Shaw et al. 2018 with scalars: b_h[clip(delta)]."""
    table = of_layer(given.parameters["table"], given.layer)

    def entry(h: int, delta: float) -> float:
        return table[h, max(-max_distance, min(max_distance, round(delta))) + max_distance]

    return Result(bias=pairs(given, entry))


def t5(given: Given, n_buckets: int, max_distance: int) -> Result:
    """Raffel et al. 2020, section 2.1, with the buckets of `t5_bucket`."""
    table = of_layer(given.parameters["table"], given.layer)

    def entry(h: int, delta: float) -> float:
        return table[h, t5_bucket(delta, n_buckets, max_distance, given.causal)]

    return Result(bias=pairs(given, entry))


def t5_bucket(delta: float, n_buckets: int, max_distance: int, causal: bool) -> int:
    """Raffel et al. 2020, in exact arithmetic.

    floor(n · ln(d/e) / ln(M/e)) is the largest m with (d/e)^n >= (M/e)^m, a comparison of rational
    numbers, where a logarithm would have to be rounded just at a bucket's edge.
    """
    side, offset, distance = n_buckets, 0, Fraction(max(delta, 0))
    if not causal:
        side, distance = n_buckets // 2, Fraction(abs(delta))
        offset = side if delta < 0 else 0
    exact = side // 2
    if distance < exact:
        return offset + math.floor(distance)
    bucket = exact
    while bucket < side - 1 and (distance / exact) ** (side - exact) >= Fraction(
        max_distance, exact
    ) ** (bucket + 1 - exact):
        bucket += 1
    return offset + bucket


def shaw(given: Given, max_distance: int) -> Result:
    """Shaw et al. 2018, equation 5 without its first term: q_i · a^K_ij / sqrt(K); and, where there
    are vectors for the values, equation 3 without its own: Σ_j weight_ij · a^V_ij.
    """
    tables = [
        table[given.layer if len(table) > 1 else 0]
        for name in ("table", "value_table")
        if (table := given.parameters.get(name)) is not None
    ]
    batch, n_heads, n_queries, width = given.q.shape
    bias = np.zeros((batch, n_heads, n_queries, given.k_pos.shape[1]))
    added = np.zeros(given.q.shape)
    for b, h, i, j in np.ndindex(bias.shape):
        offset = round(float(given.k_pos[b, j] - given.q_pos[b, i]))
        rows = [
            table[max(-max_distance, min(max_distance, offset)) + max_distance] for table in tables
        ]
        bias[b, h, i, j] = sum(given.q[b, h, i] * rows[0]) / math.sqrt(width)
        for row in rows[1:]:
            added[b, h, i] += given.weights[b, h, i, j] * row
    return Result(bias=bias, mixed=given.mixed + added)
