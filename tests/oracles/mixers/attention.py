"""Attention with a softmax, over the logits of one equation or another."""

import math
from collections.abc import Callable

import numpy as np

from tests.oracles.mixers.base import (
    Array,
    Given,
    heads,
    linear,
    queries_keys_values,
    seen,
    turned,
)

Logit = Callable[[int, Array, Array], float]  # of a head, its query and a key


def mixed(given: Given, logit: Logit, sinks: Array | None = None) -> Array:
    """Vaswani et al. 2017, equation 1, of any logit: (T, H, K)."""
    q, k, v = queries_keys_values(given)
    out = np.zeros_like(q)
    for i, h in np.ndindex(q.shape[:2]):
        query = turned(given, q[i, h], i)
        powers = {j: math.exp(logit(h, query, turned(given, k[j, h], j))) for j in seen(given, i)}
        total = sum(powers.values()) + (0.0 if sinks is None else math.exp(sinks[h]))
        for j, power in powers.items():
            out[i, h] += power / total * v[j, h]
    return out


def scaled(_: int, q: Array, k: Array) -> float:
    return float(q @ k) / math.sqrt(len(k))


def projected(given: Given, rows: Array) -> Array:
    return np.stack([linear(given, "out", row.reshape(-1)) for row in rows])


def attention(given: Given) -> Array:
    """Vaswani et al. 2017, equation 1."""
    return projected(given, mixed(given, scaled))


def attention_with_sinks(given: Given) -> Array:
    """Agarwal et al. 2025 (gpt-oss), section 2.2: a learned logit below the line."""
    return projected(given, mixed(given, scaled, given.parameters["sinks"]))


def gated_attention(given: Given) -> Array:
    """Qiu et al. 2025, equation 5: what attention gives times a sigmoid of what it is given."""
    rows = mixed(given, scaled)
    for i, x in enumerate(given.x):
        rows[i] *= heads(given, 1 / (1 + np.exp(-linear(given, "gate", x))))
    return projected(given, rows)


def additive(given: Given) -> Array:
    """Bahdanau, Cho, Bengio 2015, appendix A.1.2, in every head."""
    u = given.parameters["u"]

    def logit(h: int, q: Array, k: Array) -> float:
        return sum(float(u[h, c]) * math.tanh(q[c] + k[c]) for c in range(len(q)))

    return projected(given, mixed(given, logit))
