"""A mixture of experts, token by token, in float64."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from tests.oracles.base import Array


class Mixed(NamedTuple):
    """What the layer gives (B, T, D), its two losses, and how many choices found no place."""

    out: Array
    unbalance: float
    z: float
    n_dropped: int


def silu(x: Array) -> Array:
    """x · sigmoid(x)."""
    return x / (1 + np.exp(-x))


def gelu(x: Array) -> Array:
    """x · Φ(x)."""
    return x * np.vectorize(lambda y: (1 + math.erf(y / math.sqrt(2))) / 2)(x)


def softmax(x: Array) -> Array:
    """exp(x) / Σ exp(x)."""
    return np.exp(x) / np.exp(x).sum()


def mixture_of_experts(
    x: Array,
    lengths: list[int],
    gate: Array,
    experts: list[Mapping[str, Array]],
    k: int,
    weigh: Callable[[Array, list[int]], Array],
    capacity: float | None = None,
) -> Mixed:
    """Σ weight · expert(x) over the k experts of the largest logit.

    Args:
        x: (B, T, D).
        lengths: Tokens of each row; the rest is padding, and is not computed.
        gate: (E, D).
        experts: Of each, its `up` (F, D), `out` (D, F), and `gate` (F, D) if it is a SwiGLU.
        k: Experts of each token.
        weigh: From a token's logits (E,) and its experts to their weights (k,).
        capacity: An expert's places over those of an even load; None for no end.
    """
    out = np.zeros_like(x)
    chosen: Counter[int] = Counter()
    probabilities, z, n_dropped, n_tokens = np.zeros(len(experts)), 0.0, 0, 0
    for b, length in enumerate(lengths):
        taken: Counter[int] = Counter()
        places = math.inf if capacity is None else math.ceil(capacity * k * length / len(gate))
        for t in range(length):
            logits = gate @ x[b, t]
            best = sorted(range(len(experts)), key=lambda e: -logits[e])[:k]
            probabilities += softmax(logits)
            z += math.log(np.exp(logits).sum()) ** 2
            n_tokens += 1
            for e, weight in zip(best, weigh(logits, best), strict=True):
                chosen[e] += 1
                taken[e] += 1
                if taken[e] > places:
                    n_dropped += 1
                    continue
                of = experts[e]
                hidden = of["up"] @ x[b, t]
                hidden = hidden * silu(of["gate"] @ x[b, t]) if "gate" in of else gelu(hidden)
                out[b, t] += weight * (of["out"] @ hidden)
    unbalance = len(experts) * sum(
        chosen[e] / (k * n_tokens) * probabilities[e] / n_tokens for e in range(len(experts))
    )
    return Mixed(out, unbalance, z / n_tokens, n_dropped)
