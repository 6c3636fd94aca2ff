"""What the oracle of a mixer is told: one sequence and the mixer's weights, by name.

An oracle is a function `(given, **hyperparameters) -> (T, D)` in float64, by plain loops over numpy
arrays, no line shared with the package. Padding, documents, caches and batches are the judge's.

Shapes: T tokens, H heads, K channels of a head, D = d_model.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Given(NamedTuple):
    """One layer's mixer, and what it reads."""

    x: Array  # (T, D)
    n_heads: int
    causal: bool
    parameters: dict[str, Array]  # and buffers
    rotary: bool = False  # whether queries and keys are turned by their positions 0, 1, 2, …


Oracle = Callable[[Given], Array]


def linear(given: Given, name: str, x: Array) -> Array:
    """W x + b, of weights called so."""
    bias = given.parameters.get(f"{name}.bias", np.zeros(1))
    return given.parameters[f"{name}.weight"] @ x + bias


def heads(given: Given, x: Array) -> Array:
    """A vector's channels, head by head: (H, K)."""
    return x.reshape(given.n_heads, -1)


def queries_keys_values(given: Given) -> tuple[Array, Array, Array]:
    """Each (T, H, K), of a projection called qkv."""
    rows = [np.split(linear(given, "qkv", x), 3) for x in given.x]
    q, k, v = (np.stack([heads(given, row[part]) for row in rows]) for part in range(3))
    return q, k, v


def seen(given: Given, i: int) -> range:
    """The tokens that token i sees."""
    return range(i + 1 if given.causal else len(given.x))


def turned(given: Given, x: Array, position: int, base: float = 10_000.0) -> Array:
    """RoPE (Su et al. 2021, equation 15), channel c paired with c + K/2; x itself without it."""
    if not given.rotary:
        return x
    half = len(x) // 2
    out = np.empty_like(x)
    for c in range(half):
        z = complex(x[c], x[c + half]) * np.exp(1j * position * base ** (-c / half))
        out[c], out[c + half] = z.real, z.imag
    return out
