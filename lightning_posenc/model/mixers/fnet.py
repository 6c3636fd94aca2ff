"""Fourier mixing: no parameters, and order known without any encoding.

Shapes: B sequences, T tokens, L of them before padding, D = d_model.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.checks import number, one_of
from lightning_posenc.dims import Dims
from lightning_posenc.model.mixers.base import Context, Growth, Mixer
from lightning_posenc.positions.paper import Paper

Norm = Literal["ortho", "backward"]


class FNet(Mixer):
    """Re(F_tokens(F_channels(x))): the real part of discrete Fourier transforms over both axes.

    Every output is a sum over all tokens, in O(T log T) time, so that no causal model is served; a
    model without any encoding tells a sequence from its permutations. Padded ones are transformed
    as if alone, by Bluestein's chirps, at the cost of three longer transforms.

    Source: Lee-Thorp et al. 2021, arXiv:2105.03824, section 3.2. Deviations, which arguments undo:
    the transform is orthonormal, for in a pre-norm stream sqrt(T · D) times more than was there
    would be added; and what it adds has the residual's depth scale, since nothing in it is learned.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        norm: "ortho" divides by sqrt(T · D); "backward", the paper's, by nothing.
        gain: Factor on what it adds, fixed; None for the residual's depth scale.
    """

    serves = frozenset({"bidirectional", "padding"})
    source = Paper(
        "Lee-Thorp et al.", 2021, "FNet: Mixing Tokens with Fourier Transforms", "2105.03824",
        "section 3.2",
    )  # fmt: skip
    equation = (
        r"o = \operatorname{Re}\!\left( F_{\text{tokens}}\left( F_{\text{channels}}(x) \right)"
        r" \right)"
    )
    growth = Growth(time="T log T", memory="T")

    def __init__(
        self, dims: Dims, layer: int, norm: Norm = "ortho", gain: float | None = None
    ) -> None:
        super().__init__(dims, layer)
        self.norm = one_of(self, "norm", norm, get_args(Norm))
        self.given = None if gain is None else number(self, "gain", gain)
        self.gain = 1.0 if self.given is None else self.given

    def initialise(self, std: float, depth_scale: float) -> None:
        self.gain = depth_scale if self.given is None else self.given

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Mix (B, T, D) over the tokens: (B, T, D)."""
        if not len(x):  # which fast transforms do not take
            return x
        lengths = context.q_places.lengths
        _, n_tokens, d_model = x.shape
        with torch.autocast(x.device.type, enabled=False):
            wide = torch.fft.fft(x.to(torch.promote_types(x.dtype, torch.float32)))
            if lengths is None:
                mixed = torch.fft.fft(wide, dim=1).real
                return (mixed * self._scale(math.sqrt(n_tokens * d_model))).to(x.dtype)
            mixed = fft_of_each(wide, lengths).real
            sizes = (lengths.clamp(min=1) * d_model).to(mixed.dtype).sqrt()[:, None, None]
            return (mixed * self._scale(sizes)).to(x.dtype)

    def _scale(self, size: float | Tensor) -> float | Tensor:
        return self.gain / size if self.norm == "ortho" else self.gain


def fft_of_each(x: Tensor, lengths: Tensor) -> Tensor:
    """Fourier transforms over the first L tokens of each sequence: (B, T, D); beyond them, nothing
    that means anything.

    With w = exp(-2πi/L) and 2nk = n² + k² - (k - n)², Σ_n x_n w^(nk) is a convolution with a chirp,
    which transforms of one size compute for all L (Bluestein 1970, "A linear filtering approach to
    the computation of discrete Fourier transform").

    Args:
        x: (B, T, D), complex.
        lengths: (B,) L.
    """
    n_tokens = x.shape[1]
    n = torch.arange(n_tokens, device=x.device)
    of_each = lengths.clamp(min=1).unsqueeze(1)
    # Half turns by whole numbers, modulo one turn: n² / L would not be exact.
    angles = torch.pi / of_each * (n * n % (2 * of_each)).to(x.real.dtype)
    chirp = torch.polar(torch.ones_like(angles), -angles)  # (B, T): w^(n²/2)
    size = 1 << (2 * n_tokens - 1).bit_length()
    back = torch.polar(torch.ones_like(angles), angles)  # at distances to either side, in a circle
    around = F.pad(back, (0, size - n_tokens)) + F.pad(
        back[:, 1:].flip(1), (size - n_tokens + 1, 0)
    )
    real = chirp * (n < of_each)
    padded = torch.fft.fft(x * real.unsqueeze(-1), size, dim=1)
    filtered = torch.fft.ifft(padded * torch.fft.fft(around).unsqueeze(-1), dim=1)
    return filtered[:, :n_tokens] * chirp.unsqueeze(-1)
