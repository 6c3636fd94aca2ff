"""Attention to mixtures of tokens."""

import numpy as np

from tests.oracles.mixers.base import Array, Given, linear, queries_keys_values, turned
from tests.oracles.mixers.softmax import softmax


def linformer(given: Given) -> Array:
    """Wang et al. 2020, equation 7."""
    q, k, v = queries_keys_values(given)
    n_tokens, n_heads, width = q.shape
    e, f = given.parameters["of_keys"], given.parameters["of_values"]
    rank = e.shape[1]
    out = np.zeros_like(q)
    for h in range(n_heads):
        of_keys, of_values = e[h % len(e)], f[h % len(f)]
        keys, values = np.zeros((rank, width)), np.zeros((rank, width))
        for r, j in np.ndindex(rank, n_tokens):
            keys[r] += of_keys[r, j] * turned(given, k[j, h], j)
            values[r] += of_values[r, j] * v[j, h]
        for i in range(n_tokens):
            query = turned(given, q[i, h], i)
            weights = softmax([query @ keys[r] / width**0.5 for r in range(rank)])
            out[i, h] = sum(weights[r] * values[r] for r in range(rank))
    return np.stack([linear(given, "out", row.reshape(-1)) for row in out])
