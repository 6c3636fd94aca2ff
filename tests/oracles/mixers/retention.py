"""A recurrence whose states fade."""

import numpy as np

from tests.oracles.mixers.base import Array, Given, heads, linear, turned


def retention(given: Given) -> Array:
    """Sun et al. 2023, equations 5 and 8 with γ of equation 8, and its norm without the scores'."""
    parts = [np.split(linear(given, "qkvg", x), 4) for x in given.x]
    out = np.zeros_like(given.x)
    for i in range(len(given.x)):
        rows = []
        for h in range(given.n_heads):
            gamma = 1 - 2.0 ** (-5 - h)
            q, row = (heads(given, parts[i][n])[h] for n in (0, 2))
            q, row = turned(given, q, i), np.zeros_like(row)
            for j in range(i + 1):
                k, v = (heads(given, parts[j][n])[h] for n in (1, 2))
                row += gamma ** (i - j) * (q @ turned(given, k, j)) / len(k) ** 0.5 * v
            rows.append((row - row.mean()) / np.sqrt(row.var() + 1e-5))
        gate = parts[i][3]
        out[i] = linear(given, "out", gate / (1 + np.exp(-gate)) * np.concatenate(rows))
    return out
