"""What turns queries and keys."""

import cmath

import numpy as np

from tests.oracles.base import Array, Given, Result


def rope(given: Given, base: float = 10000.0, layout: str = "half") -> Result:
    """Su et al. 2021, equations 14-16: multiplication by exp(i·p·theta) in the complex plane."""

    def turned(x: Array, positions: Array) -> Array:
        result = x.copy()
        n_pairs = x.shape[-1] // 2
        for b, h, t, pair in np.ndindex(*x.shape[:3], n_pairs):
            one, other = (pair, pair + n_pairs) if layout == "half" else (2 * pair, 2 * pair + 1)
            angle = positions[b, t] * base ** (-pair / n_pairs)
            z = complex(x[b, h, t, one], x[b, h, t, other]) * cmath.exp(1j * angle)
            result[b, h, t, one], result[b, h, t, other] = z.real, z.imag
        return result

    return Result(q=turned(given.q, given.q_pos), k=turned(given.k, given.k_pos))
