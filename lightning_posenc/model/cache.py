"""What a causal model remembers of the tokens that it has read.

Shapes: B sequences, T new tokens, S tokens in all, G key-value heads, K channels of a head,
D = d_model.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Remembered(NamedTuple):
    """One layer's tokens so far, before any positional hook changed them.

    So positions stay data: the hooks turn and bias all keys anew, whatever the method.

    Args:
        x: (B, S, D) inputs of the attention.
        k: (B, G, S, K) keys, after QK-norm if there is one.
        v: (B, G, S, K) values.
    """

    x: Tensor
    k: Tensor
    v: Tensor


class Cache:
    """The tokens so far, layer by layer; empty at first."""

    def __init__(self) -> None:
        self._layers: dict[int, Remembered] = {}

    def __len__(self) -> int:
        """S, tokens remembered by the first layer."""
        return self._layers[0].x.shape[1] if self._layers else 0

    def extended(self, layer: int, x: Tensor, k: Tensor, v: Tensor) -> Remembered:
        """Add T tokens to a layer; gives all S of them."""
        new = Remembered(x, k, v)
        if layer in self._layers:
            new = Remembered(
                *(torch.cat(parts, dim=-2) for parts in zip(self._layers[layer], new, strict=True))
            )
        self._layers[layer] = new
        return new
