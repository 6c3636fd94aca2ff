"""Attention among tokens that hash to the same bucket."""

import math

import numpy as np

from tests.oracles.mixers.base import Array, Given, heads, linear, turned


def reformer(given: Given, chunk: int) -> Array:
    """Kitaev et al. 2020, section 2, where P_i is the tokens of i's bucket in some round
    that stand in its chunk of that bucket or in the one before.
    """
    n_tokens = len(given.x)
    qk, v = _projections(given)
    buckets = _buckets(given, qk)

    def chunk_of(r: int, h: int, i: int) -> int:
        return sum(buckets[r, h, j] == buckets[r, h, i] for j in range(i)) // chunk

    def sees(h: int, i: int, j: int) -> bool:
        return (j <= i or not given.causal) and any(
            buckets[r, h, i] == buckets[r, h, j] and chunk_of(r, h, i) - chunk_of(r, h, j) in (0, 1)
            for r in range(len(buckets))
        )

    out = np.zeros_like(v)
    for i, h in np.ndindex(v.shape[:2]):
        found = [j for j in range(n_tokens) if j != i and sees(h, i, j)] or [i]
        powers = np.array([math.exp(_logit(given, qk[:, h], i, j)) for j in found])
        out[i, h] = sum(power * v[j, h] for power, j in zip(powers, found, strict=True))
        out[i, h] /= powers.sum()
    return np.stack([linear(given, "out", row.reshape(-1)) for row in out])


def across_buckets(given: Given, chunk: int) -> Array:
    """Kitaev et al. 2020, section 2, without the correction for what is seen twice: chunks of the
    sorted sequence, the first behind the last, and each round weighted by the sum of its
    exponentials.
    """
    n_tokens = len(given.x)
    qk, v = _projections(given)
    buckets = _buckets(given, qk)
    n_chunks = -(-n_tokens // chunk)
    out = np.zeros_like(v)
    for i, h in np.ndindex(v.shape[:2]):
        above, below = np.zeros(v.shape[2]), 0.0
        for r in range(len(buckets)):
            order = sorted(range(n_tokens), key=lambda j, r=r: (buckets[r, h, j], j))  # type: ignore[misc]
            own = order.index(i) // chunk
            near = {own, (own - 1) % n_chunks}
            for j in range(n_tokens):
                if j != i and order.index(j) // chunk in near:
                    power = math.exp(_logit(given, qk[:, h], i, j))
                    above, below = above + power * v[j, h], below + power
        out[i, h] = above / below
    return np.stack([linear(given, "out", row.reshape(-1)) for row in out])


def _projections(given: Given) -> tuple[Array, Array]:
    rows = [np.split(linear(given, "qkv", x), 2) for x in given.x]
    qk, v = (np.stack([heads(given, row[part]) for row in rows]) for part in range(2))
    return qk, v


def _buckets(given: Given, qk: Array) -> Array:
    """Rounds by heads by tokens: argmax of [xR; -xR]."""
    rotations = given.parameters["rotations"]  # (H, R, K, N / 2)
    found = np.zeros((rotations.shape[1], rotations.shape[0], len(qk)))
    for r, h, i in np.ndindex(found.shape):
        y = qk[i, h] @ rotations[h, r]
        found[r, h, i] = np.argmax([*y, *-y])
    return found


def _logit(given: Given, qk: Array, i: int, j: int) -> float:
    key = qk[j] / (qk[j] @ qk[j]) ** 0.5
    return float(turned(given, qk[i], i) @ turned(given, key, j))
