"""What changes the residual stream."""

import math

import numpy as np

from tests.oracles.base import Given, Result


def sinusoidal(
    given: Given, base: float = 10000.0, layers: tuple[int, ...] = (0,), scale: float = 1.0
) -> Result:
    """Vaswani et al. 2017, section 3.5."""
    if given.layer not in layers:
        return Result()
    x = given.x.copy()
    width = x.shape[-1]
    for b, t, channel in np.ndindex(x.shape):
        angle = given.q_pos[b, t] / base ** (channel // 2 * 2 / width)
        x[b, t, channel] += scale * (math.cos(angle) if channel % 2 else math.sin(angle))
    return Result(x=x)


def learned_absolute(given: Given, layers: tuple[int, ...] = (0,)) -> Result:
    """Gehring et al. 2017; between two whole positions, on the line between their rows."""
    if given.layer not in layers:
        return Result()
    x = given.x.copy()
    table = given.parameters["table"]
    for b, t in np.ndindex(x.shape[:2]):
        low = math.floor(given.q_pos[b, t])
        share = given.q_pos[b, t] - low
        x[b, t] += (1 - share) * table[low]
        if share:
            x[b, t] += share * table[low + 1]
    return Result(x=x)
