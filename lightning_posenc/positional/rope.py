"""Rotary position embedding."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site

Layout = Literal["half", "interleaved"]


class Rotation(NamedTuple):
    """Cosines and sines, (B|1, 1, T, K/2), of one side."""

    cos: Tensor
    sin: Tensor


class RoPE(PositionalEncoding):
    """Turns pair i of a query or key at position p by the angle p · base^(-2i/K).

    The product of a turned query and a turned key depends on positions only by their difference.

    Source: Su et al. 2021, "RoFormer", arXiv:2104.09864, equations 14-16 and 34.

    Args:
        dims: Sizes of the model; the head size must be even.
        base: Ratio between the longest wavelength and 2·pi.
        layout: Which channels make a pair: "half" pairs i with i + K/2 (Hugging Face, Llama),
            "interleaved" pairs 2i with 2i + 1 (the paper, GPT-J, x-transformers).

    Raises:
        ValueError: If the head size is odd.
    """

    def __init__(self, dims: Dims, base: float = 10000.0, layout: Layout = "half") -> None:
        super().__init__(dims)
        if dims.d_head % 2:
            raise ValueError(
                f"RoPE: turns pairs of channels, so the head size must be even, got d_model="
                f"{dims.d_model} / n_heads={dims.n_heads} = {dims.d_head}; change either"
            )
        self.base = base
        self.layout = layout

    def inv_freq(self, device: torch.device) -> Tensor:
        """Angle per step of every pair, (K/2,), float32: made when used, so that no cast of the
        model to half precision can touch it.
        """
        exponent = torch.arange(0, self.dims.d_head, 2, device=device).float()
        return self.base ** (-exponent / self.dims.d_head)

    def prepare(self, q_pos: Tensor, k_pos: Tensor) -> tuple[Rotation, Rotation]:
        of_queries = self._rotation(q_pos)
        return of_queries, of_queries if k_pos is q_pos else self._rotation(k_pos)

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        of_queries, of_keys = site.prepared
        return rotate(site.q, of_queries, self.layout), rotate(site.k, of_keys, self.layout)

    def _rotation(self, positions: Tensor) -> Rotation:
        # A product of each with each, not a matmul: autocast would run that in bfloat16.
        angles = positions.float()[:, None, :, None] * self.inv_freq(positions.device)
        return Rotation(angles.cos(), angles.sin())


def rotate(x: Tensor, by: Rotation, layout: Layout) -> Tensor:
    """Turn the channel pairs of (B, H, T, K), counter-clockwise, in float32; the dtype stays."""
    if layout == "half":
        first, second = x.float().chunk(2, dim=-1)
    else:
        first, second = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = (first * by.cos - second * by.sin, second * by.cos + first * by.sin)
    joined = torch.cat(turned, dim=-1) if layout == "half" else torch.stack(turned, -1).flatten(-2)
    return joined.to(x.dtype)
