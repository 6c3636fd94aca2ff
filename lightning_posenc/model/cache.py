"""What a causal model remembers of the tokens that it has read.

Shapes: B sequences, T new tokens, S tokens in all, G key-value heads, K channels of a head,
D = d_model.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.checks import whole


class Remembered(NamedTuple):
    """One layer's tokens so far.

    Args:
        x: (B, S, D) inputs of the attention; None unless the encoding `reads_inputs`.
        k: (B, G, S, K) keys, after QK-norm if there is one: turned already where they stay as
            `transform` leaves them (`keys_stay`), and else before any positional hook changed them.
        v: (B, G, S, K) values, before any hook.
    """

    x: Tensor | None
    k: Tensor
    v: Tensor


class Cache:
    """The tokens so far, layer by layer; empty at first.

    New tokens are written behind those that are there. Nothing is copied for them but where memory
    runs out, which is then doubled, or where a gradient is to flow: autograd wants what it has
    seen left alone.

    Args:
        length: How many tokens there will be in all, at least 1: memory is taken for so many at
            once, and for no more. None if nobody knows.
    """

    def __init__(self, length: int | None = None) -> None:
        self._length = None if length is None else whole(self, "length", length)
        self._layers: dict[int, dict[str, _Growing]] = {}

    def __len__(self) -> int:
        """S, tokens remembered by the first layer."""
        return self._layers[0]["v"].length if self._layers else 0

    @property
    def n_bytes(self) -> int:
        """How much memory is taken."""
        return sum(
            part.memory.numel() * part.memory.element_size()
            for parts in self._layers.values()
            for part in parts.values()
        )

    def extended(self, layer: int, x: Tensor | None, k: Tensor, v: Tensor) -> Remembered:
        """Add T tokens to a layer; gives all S of them."""
        new = {"x": x, "k": k, "v": v}
        parts = self._layers.setdefault(layer, {})
        found: dict[str, Tensor | None] = {"x": None}
        for name, tokens in new.items():
            if tokens is not None:
                part = parts.setdefault(name, _Growing(tokens, self._length))
                found[name] = part.extended(tokens)
        return Remembered(**found)  # type: ignore[arg-type]


class _Growing:
    """Tokens along the last axis but one, and room for more behind them.

    Args:
        like: (…, T, C) tokens of the shape, dtype and device of those to come.
        length: Room for how many; None for as many as come.
    """

    def __init__(self, like: Tensor, length: int | None) -> None:
        self.memory = like.new_empty(*like.shape[:-2], length or 0, like.shape[-1])
        self.length = 0

    def extended(self, new: Tensor) -> Tensor:
        """Add (…, T, C); gives (…, S, C)."""
        before, self.length = self.length, self.length + new.shape[-2]
        known = self.memory.narrow(-2, 0, before)
        if new.requires_grad or known.requires_grad or known.is_inference():
            self.memory = torch.cat((known, new), dim=-2)
            return self.memory
        if self.length > self.memory.shape[-2]:
            room = max(self.length, 2 * before)
            self.memory = new.new_empty(*new.shape[:-2], room, new.shape[-1])
            self.memory.narrow(-2, 0, before).copy_(known)
        self.memory.narrow(-2, before, new.shape[-2]).copy_(new)
        return self.memory.narrow(-2, 0, self.length)
