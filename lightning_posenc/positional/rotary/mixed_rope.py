"""Rotary position embedding in learned directions of the plane.

Shapes: B sequences, T tokens, L layers, H heads, K channels of a head, n = K/2 pairs.
"""

import math

import torch
from torch import Tensor, nn

from lightning_posenc.dims import Dims
from lightning_posenc.positional.rotary.base import Layout, Rotary
from lightning_posenc.positional.rotary.scaling import Spectrum, checked_base
from lightning_posenc.positions.paper import Paper


class MixedRoPE(Rotary):
    """Turns pair i of a query or key at (row, column) by row·θ_i + column·φ_i, both learned.

    So a pair may turn along any direction of the plane, where `AxialRoPE` has the axes alone. Of
    each frequency base^(-4i/K) there are two pairs at first, at right angles, in a direction that
    is drawn for each head and layer.

    Source: Heo et al. 2024, "Rotary Position Embedding for Vision Transformer", arXiv:2403.13298,
    equation 7 (RoPE-Mixed). A token at (-1, -1), such as a class token, turns too, where the
    authors leave it as it is.

    Args:
        dims: Sizes of the model; the head size must be a multiple of 4.
        base: Ratio between the first frequency and (nearly) the last at initialisation; in (1,
            1e30].
        per_head: Directions of its own for each head.
        shared: The same for all layers instead of some for each.
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.

    Raises:
        ValueError: If the head size is no multiple of 4, or positions are not (row, column).
    """

    source = Paper(
        "Heo et al.",
        2024,
        "Rotary Position Embedding for Vision Transformer",
        "2403.13298",
        "equation 7",
    )
    equation = (
        r"\text{pair } i \text{ at } (r, c) \text{ turns by } r\,\theta_i + c\,\varphi_i, \quad "
        r"\theta_i, \varphi_i \text{ learned}"
    )

    axes = 2

    def __init__(
        self,
        dims: Dims,
        base: float = 10.0,
        per_head: bool = True,
        shared: bool = False,
        layout: Layout = "half",
    ) -> None:
        super().__init__(dims, layout)
        if dims.d_head % 4:
            raise ValueError(
                "MixedRoPE: takes two pairs of channels for each frequency, so the head size must "
                f"be a multiple of 4, got {dims.d_model} / {dims.n_heads} = {dims.d_head}: change "
                "d_model or n_heads"
            )
        layers, heads = 1 if shared else dims.n_layers, dims.n_heads if per_head else 1
        n = dims.d_head // 4
        size = checked_base(self, base) ** -(torch.arange(n).float() / n)
        turn = 2 * math.pi * torch.rand(layers, heads, 1, dtype=torch.float32)
        across = turn + math.pi / 2
        start = [
            torch.cat((size * along(turn), size * along(across)), dim=-1)
            for along in (torch.cos, torch.sin)
        ]
        frequencies = torch.stack(start, dim=2).to(torch.get_default_dtype())
        self.frequencies = nn.Parameter(frequencies)  # (L|1, H|1, 2, n)

    def keys_stay(self, layer: int) -> bool:
        # Turned by each head, keys that heads share would be one for each, which takes memory.
        return super().keys_stay(layer) and self.frequencies.shape[1] == 1

    def spectrum(self, positions: Tensor) -> Spectrum:
        return Spectrum(self.frequencies.float()[:, None, :, None])  # (L|1, 1, H|1, 1, 2, n)

    def angles(self, positions: Tensor, inv_freq: Tensor) -> Tensor:
        # In float32 a sum of two large angles would be off by more than what follows from it is.
        row, column = positions.double()[None, :, None, :, :, None].unbind(-2)
        down, across = inv_freq.double().unbind(-2)
        return (row * down + column * across).remainder(2 * math.pi).to(inv_freq.dtype)
