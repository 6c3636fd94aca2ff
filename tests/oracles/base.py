"""What every encoding adds, transcribed from its equation in float64, pair by pair.

Plain loops over numpy arrays, no line shared with the package. An oracle is a function
`(given, **hyperparameters) -> Result`; what it leaves None the method does not touch.

Shapes: B sequences, T queries, S keys, H heads, G key-value heads, K channels of a head, D = H·K.
"""

from collections.abc import Callable

import numpy as np

from lightning_posenc.testing.oracle import Array, Given, Oracle, Result

__all__ = ["Array", "Given", "Oracle", "Result", "nothing", "of_layer", "pairs"]


def nothing(given: Given) -> Result:
    """NoPE."""
    return Result()


def pairs(given: Given, entry: Callable[[int, float], float]) -> Array:
    """A bias from one function of the head and of query position minus key position."""
    bias = np.zeros((*given.q.shape[:3], given.k_pos.shape[1]))
    for b, h, i, j in np.ndindex(bias.shape):
        bias[b, h, i, j] = entry(h, float(given.q_pos[b, i] - given.k_pos[b, j]))
    return bias


def of_layer(table: Array, layer: int) -> Array:
    """The layer's own table, or the one that all layers share."""
    return table[layer] if len(table) > 1 else table[0]
