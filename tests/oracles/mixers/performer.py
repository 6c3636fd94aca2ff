"""The softmax by random features."""

import math

import numpy as np

from tests.oracles.mixers.base import Array, Given, linear, queries_keys_values, seen, turned


def performer(given: Given) -> Array:
    """Choromanski et al. 2020, lemma 1, of the features that are given."""
    omega = given.parameters["features"]

    def features(x: Array, position: int) -> list[float]:
        x = turned(given, x, position) / len(x) ** 0.25
        return [math.exp(w @ x - x @ x / 2) / math.sqrt(len(omega)) for w in omega]

    q, k, v = queries_keys_values(given)
    out = np.zeros_like(q)
    for i, h in np.ndindex(q.shape[:2]):
        of_query, total = features(q[i, h], i), 0.0
        for j in seen(given, i):
            weight = math.fsum(a * b for a, b in zip(of_query, features(k[j, h], j), strict=True))
            out[i, h] += weight * v[j, h]
            total += weight
        out[i, h] /= total
    return np.stack([linear(given, "out", row.reshape(-1)) for row in out])
