"""Fourier mixing."""

import cmath

import numpy as np

from tests.oracles.mixers.base import Array, Given


def fnet(given: Given, norm: str) -> Array:
    """Lee-Thorp et al. 2021, section 3.2, of the transforms written as sums."""
    n_tokens, d_model = given.x.shape
    out = np.zeros_like(given.x)
    for k, c in np.ndindex(n_tokens, d_model):
        total = 0j
        for n, d in np.ndindex(n_tokens, d_model):
            turns = n * k / n_tokens + d * c / d_model
            total += given.x[n, d] * cmath.exp(-2j * cmath.pi * turns)
        out[k, c] = total.real
    return out / (n_tokens * d_model) ** 0.5 if norm == "ortho" else out
