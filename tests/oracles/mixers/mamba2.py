"""Mamba-2, token by token."""

import numpy as np

from tests.oracles.mixers.base import Array, Given, linear


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def mamba2(given: Given, n_groups: int = 1) -> Array:
    """Dao and Gu 2024, equation 1 with a scalar decay for each head, in the block of figure 6."""
    weights, n_tokens = given.parameters, len(given.x)
    rates, n_heads = np.exp(weights["log_rate"]), len(weights["log_rate"])
    wide, kernel = len(weights["gain"]), weights["conv.weight"][:, 0]
    d_state = (len(kernel) - wide) // (2 * n_groups)
    read = [linear(given, "into", x) for x in given.x]
    inputs = [row[wide : wide + len(kernel)] for row in read]
    state = np.zeros((n_heads, wide // n_heads, d_state))
    out = np.zeros_like(given.x)
    for t in range(n_tokens):
        row = weights["conv.bias"].copy()
        for back in range(kernel.shape[1]):
            if back <= t:
                row += kernel[:, kernel.shape[1] - 1 - back] * inputs[t - back]
        row = silu(row)
        x = row[:wide].reshape(n_heads, -1)
        b, c = row[wide:].reshape(2, n_groups, d_state)
        y = np.zeros_like(x)
        for h in range(n_heads):
            group = h * n_groups // n_heads
            step = np.log1p(np.exp(read[t][wide + len(kernel) + h] + weights["step_bias"][h]))
            state[h] *= np.exp(-rates[h] * step)
            for p in range(len(x[h])):
                for n in range(d_state):
                    state[h, p, n] += step * x[h, p] * b[group, n]
                y[h, p] = state[h, p] @ c[group] + weights["skip"][h] * x[h, p]
        y = (y.ravel() * silu(read[t][:wide])).reshape(n_groups, -1)
        for group in range(n_groups):
            y[group] /= np.sqrt((y[group] ** 2).mean() + 1e-5)
        out[t] = linear(given, "out", y.ravel() * weights["gain"])
    return out
