"""Queries times a number that grows with how many keys they see."""

import math

import numpy as np

from tests.oracles.base import Given, Result, of_layer


def seen(given: Given, b: int, i: int) -> float:
    """Of a causal model position + 1, else the tokens of one's own document."""
    if given.causal:
        return max(1.0, float(given.q_pos[b % len(given.q_pos), i]) + 1)
    if given.documents is None:
        return float(given.k_pos.shape[1])
    row = given.documents[b]
    return float(sum(1 for other in row if other == row[i]))


def ssmax(given: Given) -> Result:
    """Nakanishi 2025: s·ln n, with or without b."""
    q = given.q.copy()
    scale = of_layer(given.parameters["scale"], given.layer)
    offset = given.parameters.get("offset")
    for b, h, i in np.ndindex(q.shape[:3]):
        factor = scale[h] * math.log(seen(given, b, i))
        if offset is not None:
            factor += of_layer(offset, given.layer)[h]
        q[b, h, i] = [value * factor for value in q[b, h, i]]
    return Result(q=q)


def log_n(given: Given, trained_length: int) -> Result:
    """Su 2021: nothing up to the trained length."""
    q = given.q.copy()
    for b, h, i in np.ndindex(q.shape[:3]):
        q[b, h, i] *= max(1.0, math.log(seen(given, b, i), trained_length))
    return Result(q=q)


def llama4(given: Given, beta: float, floor: int, counted: int = 1) -> Result:
    """Llama 4's released code; Ministral 3's counts what came before."""
    q = given.q.copy()
    for b, h, i in np.ndindex(q.shape[:3]):
        steps = (seen(given, b, i) - 1 + counted) // floor
        q[b, h, i] *= 1 + beta * math.log(1 + steps)
    return Result(q=q)
