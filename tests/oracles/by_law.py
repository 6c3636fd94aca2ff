"""RoPE whose far keys seem to be elsewhere: the logit of every pair at its own distance."""

import cmath
import math
from collections.abc import Callable

import numpy as np

from tests.oracles.base import Given, Result
from tests.oracles.rotary import geometric, turned


def rerope(given: Given, window: int, stretch: float = math.inf, layout: str = "half") -> Result:
    """Su 2023: min(i - j, w); leaky: w + (i - j - w) / k beyond w."""

    def distance(i: float, j: float) -> float:
        return min(i - j, window + (i - j - window) / stretch)

    return _at(given, distance, layout, lambda p: p)


def self_extend(given: Given, window: int, group: int, layout: str = "half") -> Result:
    """Jin et al. 2024, section 3.2: floor division of positions beyond a window, and a shift."""

    def distance(i: float, j: float) -> float:
        shift = window - window // group
        return i - j if i - j < window else i // group - j // group + shift

    return _at(given, distance, layout, lambda p: p)


def dual_chunk(given: Given, chunk: int, local: int, layout: str = "half") -> Result:
    """An et al. 2024, section 3: within a chunk, from the one before, from older ones."""
    size = chunk - local

    def distance(i: float, j: float) -> float:
        between = i // size - j // size
        query = i % size if between <= 0 else chunk
        if between == 1:
            query = min(i % size + size, chunk)
        return query - j % size

    return _at(given, distance, layout, lambda p: p % size)


def _at(
    given: Given,
    distance: Callable[[float, float], float],
    layout: str,
    plain: Callable[[float], float],
) -> Result:
    """Queries and keys turned by `plain` positions, and what is missing to the true logits."""
    theta = geometric(10000.0, given.q.shape[-1])
    q, k = given.q.copy(), given.k.copy()
    for b in range(len(q)):
        for x, positions in ((q, given.q_pos), (k, given.k_pos)):
            places = [plain(float(p)) for p in positions[b]]
            x[b] = turned(x[b], [[cmath.exp(1j * p * f) for f in theta] for p in places], layout)
    share = q.shape[1] // k.shape[1]
    bias = np.zeros((*q.shape[:3], k.shape[2]))
    for b, h, i, j in np.ndindex(bias.shape):
        at_i, at_j = float(given.q_pos[b, i]), float(given.k_pos[b, j])
        if at_j > at_i:
            continue  # which nobody sees
        away = [[cmath.exp(-1j * distance(at_i, at_j) * f) for f in theta]]
        key = turned(given.k[b, h // share, j][None, None], away, layout)[0, 0]
        wanted = given.q[b, h, i] @ key
        bias[b, h, i, j] = (wanted - q[b, h, i] @ k[b, h // share, j]) / math.sqrt(q.shape[-1])
    return Result(q=q, k=k, bias=bias)
