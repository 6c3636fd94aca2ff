"""What encodings that turn channel pairs by angles share.

Shapes: B sequences, T tokens, H heads, K channels of a head, n <= K/2 pairs, L layers.
"""

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.scaling import Spectrum

Layout: TypeAlias = Literal["half", "interleaved"]


class Rotation(NamedTuple):
    """Cosines and sines of one side: (B|1, H|1, T, n), or (L, B|1, H|1, T, n)."""

    cos: Tensor
    sin: Tensor

    def of_layer(self, layer: int) -> "Rotation":
        """Those of one layer, where layers differ; else all."""
        return self if self.cos.dim() == 4 else Rotation(self.cos[layer], self.sin[layer])


class Turn(NamedTuple):
    """What one forward pass turns by."""

    of_queries: Rotation
    of_keys: Rotation
    temperature: float


class Rotary(PositionalEncoding, ABC):
    """Turns pairs of channels of queries and keys; a subclass says by which frequencies.

    The product of a turned query and a turned key depends on positions only by their difference.

    Args:
        dims: Sizes of the model; the head size must be even.
        layout: Which channels make a pair: "half" pairs i with i + n (Hugging Face, Llama),
            "interleaved" pairs 2i with 2i + 1 (the paper, GPT-J, x-transformers). Channels from
            2n on stay as they are.

    Raises:
        ValueError: If the head size is odd.
    """

    def __init__(self, dims: Dims, layout: Layout = "half") -> None:
        super().__init__(dims)
        if dims.d_head % 2:
            raise ValueError(
                f"{type(self).__name__}: turns pairs of channels, so the head size must be even, "
                f"got {dims.d_model} / {dims.n_heads} = {dims.d_head}: change d_model or n_heads"
            )
        self.layout = layout

    @abstractmethod
    def spectrum(self, positions: Tensor) -> Spectrum:
        """The frequencies for keys at `positions`: made when used, in float32, so that no cast of
        the model to half precision can touch them.
        """

    def angles(self, positions: Tensor, inv_freq: Tensor) -> Tensor:
        """Angle of every pair at every position: (B|1, H|1, T, n), or (L, B|1, H|1, T, n)."""
        # A product of each with each, not a matmul: autocast would run that in bfloat16.
        return positions.float()[:, None, :, None] * inv_freq

    def prepare(self, q_pos: Tensor, k_pos: Tensor) -> Turn:
        inv_freq, temperature = self.spectrum(k_pos)
        of_queries = rotation(self.angles(q_pos, inv_freq))
        of_keys = of_queries if k_pos is q_pos else rotation(self.angles(k_pos, inv_freq))
        return Turn(of_queries, of_keys, temperature)

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        of_queries, of_keys, temperature = site.prepared
        q = rotate(site.q, of_queries.of_layer(site.layer), self.layout)
        k = rotate(site.k, of_keys.of_layer(site.layer), self.layout)
        return (q if temperature == 1 else q * temperature**2), k


def rotation(angles: Tensor) -> Rotation:
    """Cosines and sines of angles."""
    return Rotation(angles.cos(), angles.sin())


def rotate(x: Tensor, by: Rotation, layout: Layout) -> Tensor:
    """Turn the channel pairs of (B, H, T, K), counter-clockwise, in float32; the dtype stays."""
    width = 2 * by.cos.shape[-1]
    turning, rest = x[..., :width], x[..., width:]
    if layout == "half":
        first, second = turning.float().chunk(2, dim=-1)
    else:
        first, second = turning.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = (first * by.cos - second * by.sin, second * by.cos + first * by.sin)
    joined = torch.cat(turned, dim=-1) if layout == "half" else torch.stack(turned, -1).flatten(-2)
    joined = joined.to(x.dtype)
    return torch.cat((joined, rest), dim=-1) if rest.shape[-1] else joined
