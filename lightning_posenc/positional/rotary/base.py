"""What encodings that turn channel pairs by angles share.

Shapes: B sequences, T tokens, A axes, H heads, K channels of a head, n <= K/2 pairs, L layers.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor

from lightning_posenc.checks import one_of
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positional.returned import misgiven
from lightning_posenc.positional.rotary.scaling import Spectrum
from lightning_posenc.positions.places import Places

Layout: TypeAlias = Literal["half", "interleaved"]


class Rotation(NamedTuple):
    """What one side turns by, in the form that `rotate` multiplies with.

    Args:
        along: (L|1, B|1, H|1, T, 2n) factors of the channels, the cosines; or complex
            (L|1, B|1, H|1, T, n). Of one layer without the first axis.
        across: (L|1, B|1, H|1, T, 2n) factors of their partners, the signed sines; None when
            complex.
        layout: Which channels are partners.
    """

    along: Tensor
    across: Tensor | None
    layout: Layout

    @property
    def n_pairs(self) -> int:
        """n, pairs that turn."""
        return self.along.shape[-1] // (1 if self.across is None else 2)

    def of_layer(self, layer: int) -> "Rotation":
        """Those of one layer."""
        along, across, layout = self
        across = None if across is None else of_layer(across, layer)
        return Rotation(of_layer(along, layer), across, layout)

    def back(self) -> "Rotation":
        """By the same angles, clockwise."""
        along, across, layout = self
        if across is None:
            return Rotation(along.conj(), None, layout)
        return Rotation(along, -across, layout)


class Turn(NamedTuple):
    """What one forward pass turns by."""

    of_queries: Rotation
    of_keys: Rotation
    temperature: float


class Rotary(PositionalEncoding, ABC):
    """Turns pairs of channels of queries and keys; a subclass says by which frequencies.

    Those are `spectrum`; it may also say by which angles at a position (`angles`), and what
    becomes of these (`coefficients`).

    The product of a turned query and a turned key depends on positions only by their difference.

    Args:
        dims: Sizes of the model; the head size must be even.
        layout: Which channels make a pair: "half" pairs i with i + n (Hugging Face, Llama),
            "interleaved" pairs 2i with 2i + 1 (the paper, GPT-J, x-transformers). Channels from
            2n on stay as they are.

    Raises:
        ValueError: If the head size is odd.
    """

    shift_invariant = True

    def __init__(self, dims: Dims, layout: Layout = "half") -> None:
        super().__init__(dims)
        if dims.d_head % 2:
            raise ValueError(
                f"{type(self).__name__}: turns pairs of channels, so the head size must be even, "
                f"got {dims.d_model} / {dims.n_heads} = {dims.d_head}: change d_model or n_heads"
            )
        self.layout = one_of(self, "layout", layout, get_args(Layout))

    @abstractmethod
    def spectrum(self, positions: Tensor) -> Spectrum:
        """The frequencies for keys at `positions`: made when used, in float32, so that no cast of
        the model to half precision can touch them.
        """

    def angles(self, positions: Tensor, inv_freq: Tensor) -> Tensor:
        """Angle of every pair at every position: (L|1, B|1, H|1, T, n)."""
        # A product of each with each, not a matmul: autocast would run that in bfloat16.
        return positions.float()[None, :, None, :, None] * inv_freq

    def coefficients(self, angles: Tensor) -> tuple[Tensor, Tensor]:
        """What pairs turn by at angles (L|1, B|1, H|1, T, n): the cosines and the sines."""
        return angles.cos(), angles.sin()

    @property
    def n_turned(self) -> int:
        """Channels that turn, by whatever axis: all of a head, unless a subclass says otherwise."""
        return self.dims.d_head

    def planes(self, layer: int) -> Hashable:
        # Interleaved pairs are the same however many turn; halves are not.
        return self.layout if self.layout == "interleaved" else (self.layout, self.n_turned)

    def keys_stay(self, layer: int) -> bool:
        # What `depends_on_length` does not refuse has the same frequencies at every step.
        return self.hooks(layer) == {"transform"}

    def prepare(self, q_places: Places, k_places: Places) -> Turn:
        q_pos, k_pos = q_places.values, k_places.values
        spectrum = self.spectrum(k_places.of_tokens())
        if not isinstance(spectrum, Spectrum):
            raise misgiven(self, "spectrum", spectrum, "a Spectrum(inv_freq, temperature)")
        inv_freq, temperature = spectrum
        of_queries = self._rotation(q_pos, inv_freq)
        of_keys = of_queries if k_pos is q_pos else self._rotation(k_pos, inv_freq)
        return Turn(of_queries, of_keys, temperature)

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        of_queries, of_keys, temperature = site.prepared
        by = of_queries.of_layer(site.layer)
        q = rotate(site.q, by)
        k = rotate(site.k, by if of_keys is of_queries else of_keys.of_layer(site.layer))
        return (q if temperature == 1 else q * temperature**2), k

    def _rotation(self, positions: Tensor, inv_freq: Tensor) -> Rotation:
        cos, sin = self.coefficients(self.angles(positions, inv_freq))
        if cos.shape[-1] != (n_pairs := self.n_turned // 2):
            raise misgiven(self, "spectrum", inv_freq, f"a frequency for each of {n_pairs} pairs")
        return rotation(cos, sin, self.layout)


def part_of(fraction: float, n: int) -> int:
    """How many of `n` a fraction makes, in whole numbers.

    Rounded before it is cut: 0.7 · 180 is 125.99… in floating point, and meant as 126.
    """
    return math.floor(round(fraction * n, 6))


def by_sections(positions: Tensor, sections: Sequence[int]) -> Tensor:
    """The axis that every pair turns by, pairs in consecutive sections: (B|1, T, A) to
    (1, B|1, 1, T, n).
    """
    columns = positions.float()[None, :, None].split(1, dim=-1)
    expanded = (
        column.expand(-1, -1, -1, -1, size) for column, size in zip(columns, sections, strict=True)
    )
    return torch.cat(list(expanded), dim=-1)


def rotation(cos: Tensor, sin: Tensor, layout: Layout) -> Rotation:
    """Tables of (…, n) cosines and sines, of one length or of several: made once, used in every
    layer.

    The product of complex numbers is one pass over memory: interleaved pairs turn in a quarter of
    the time that real numbers take on a CPU. A compiled model fuses real numbers, to one pass too,
    and knows no complex ones.
    """
    if layout == "half":
        return Rotation(torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1), layout)
    if not torch.compiler.is_compiling():
        return Rotation(torch.complex(cos, sin), None, layout)
    along, across = (torch.stack(pair, dim=-1).flatten(-2) for pair in ((cos, cos), (-sin, sin)))
    return Rotation(along, across, layout)


def rotate(x: Tensor, by: Rotation) -> Tensor:
    """Turn the channel pairs of (B, H, T, K), counter-clockwise, in float32; the dtype stays.

    Where query heads differ, keys (B, G, T, K) that they share become one for each: (B, H, T, K).
    """
    along, across, layout = by
    n_heads, width = along.shape[1], 2 * by.n_pairs
    if n_heads > x.shape[1]:
        x = x.repeat_interleave(n_heads // x.shape[1], dim=1)
    rest = x[..., width:] if width < x.shape[-1] else None
    turning = (x if rest is None else x[..., :width]).float()
    if across is None:
        pairs = torch.view_as_complex(turning.unflatten(-1, (-1, 2)))
        turned = torch.view_as_real(pairs * along).flatten(-2)
    else:
        if layout == "interleaved":
            partners = turning.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
        else:
            partners = turning.roll(width // 2, dims=-1)
        turned = torch.addcmul(turning * along, partners, across)
    turned = turned.to(x.dtype)
    return turned if rest is None else torch.cat((turned, rest), dim=-1)
