"""What an oracle is told, and what it answers: records, with no line of any method in them.

An oracle is a function `(given, **hyperparameters) -> Result` that transcribes a paper's equation
in float64, by plain loops over numpy arrays. What it leaves None the method does not touch.

Shapes: B sequences, T queries, S keys, H heads, G key-value heads, K channels of a head, D = H·K.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]


class Given(NamedTuple):
    """What an encoding is told in one layer, and its parameters by name."""

    layer: int
    causal: bool
    x: Array  # (B, T, D), the residual stream and the input of the attention alike
    k_x: Array  # (B, S, D), the same at the keys
    q: Array  # (B, H, T, K)
    k: Array  # (B, G, S, K)
    v: Array  # (B, G, S, K)
    q_pos: Array  # (B, T) or (B, T, A)
    k_pos: Array  # (B, S) or (B, S, A)
    logits: Array  # (B, H, T, S), -inf where hidden
    weights: Array  # (B, H, T, S), those of attention
    mixed: Array  # (B, H, T, K), what attention made of the values
    parameters: dict[str, Array]
    documents: NDArray[np.int64] | None = None  # (B, S)


class Result(NamedTuple):
    """What comes of it."""

    x: Array | None = None
    q: Array | None = None
    k: Array | None = None
    bias: Array | None = None  # (B, H, T, S)
    logits: Array | None = None
    v: Array | None = None
    mixed: Array | None = None


Oracle: TypeAlias = Callable[[Given], Result]
