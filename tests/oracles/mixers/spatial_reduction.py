"""Attention to the patches of a grid."""

import numpy as np

from tests.oracles.mixers.base import Array, Given, heads, linear
from tests.oracles.mixers.softmax import softmax


def spatial_reduction(given: Given, grid: tuple[int, int], ratio: tuple[int, int]) -> Array:
    """Wang et al. 2021 (PVT), equations 2 and 3: keys and values of normed patches."""
    kernel = given.parameters["reduction.weight"]  # (D, D, r, s)
    gain, shift = given.parameters["norm.weight"], given.parameters["norm.bias"]
    cells = given.x.reshape(*grid, -1)
    (down, across), keys, values = ratio, [], []
    for row, column in np.ndindex(grid[0] // down, grid[1] // across):
        patch = given.parameters["reduction.bias"].copy()
        for i, j in np.ndindex(down, across):
            patch += kernel[:, :, i, j] @ cells[row * down + i, column * across + j]
        patch = gain * (patch - patch.mean()) / np.sqrt(patch.var() + 1e-5) + shift
        _, k, v = np.split(linear(given, "qkv", patch), 3)
        keys.append(heads(given, k))
        values.append(heads(given, v))
    out = np.zeros_like(given.x)
    for i, x in enumerate(given.x):
        q = heads(given, np.split(linear(given, "qkv", x), 3)[0])
        row = np.zeros_like(q)
        for h in range(given.n_heads):
            weights = softmax([q[h] @ key[h] / q.shape[1] ** 0.5 for key in keys])
            row[h] = sum(weight * value[h] for weight, value in zip(weights, values, strict=True))
        out[i] = linear(given, "out", row.reshape(-1))
    return out
