"""Fourier position embedding.

Shapes: B sequences, T tokens, H heads, n frequencies that stay, L layers.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.rotary.base import Layout, Rotary
from lightning_posenc.positional.rotary.scaling import Spectrum, checked_base, geometric
from lightning_posenc.positions.paper import Paper


class FoPE(Rotary):
    """RoPE in which each pair turns by a Fourier series, and not at all by too low frequencies.

    Pair m is multiplied by Σ_ω A_ωm·cos(ω·p) + i·Σ_ω B_ωm·sin(ω·p), where A and B are the identity
    plus small random coefficients, for each head and layer, and ω are RoPE's frequencies that
    complete a turn within the trained length N; pairs of the others (ω < 2·pi/N) stay as they are.
    As products of different frequencies remain, the result depends on where a sequence stands.
    Source: Hua et al. 2024, "Fourier Position Embedding: Enhancing Attention's Periodic Extension
    for Length Generalization", arXiv:2412.17739, equations 11-13. Deviation: no frequencies
    besides RoPE's (the paper's D > M). As in the authors' code, σ is `gain` times Xavier's, and
    the coefficients stay at their start; unlike there, the pairs of low frequencies get the
    paper's factor 1 (not 1 + i) and all others a series.

    Args:
        dims: Sizes of the model; the head size must be even.
        base: Ratio between RoPE's longest wavelength and 2·pi; in (1, 1e30].
        trained_length: N, the longest sequence of the training, at least 7.
        gain: Size of the random coefficients, not negative: their standard deviation is
            gain / sqrt(n).
        learned: Whether the coefficients are trained.
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.

    Raises:
        ValueError: If the head size is odd or `trained_length` too short for a turn.
    """

    shift_invariant = False  # a cosine of the sum, beside one of the difference

    source = Paper(
        "Hua et al.",
        2024,
        "Fourier Position Embedding: Enhancing Attention's Periodic "
        "Extension for Length Generalization",
        "2412.17739",
        "equations 11-13",
    )
    equation = (
        r"z_m \leftarrow z_m \left( \sum_\omega A_{\omega m} \cos(\omega p)"
        r" + \mathrm{i} \sum_\omega B_{\omega m} \sin(\omega p) \right)"
    )

    cos_coefficients: Tensor
    sin_coefficients: Tensor

    def __init__(
        self,
        dims: Dims,
        base: float = 10000.0,
        trained_length: int = 512,
        gain: float = 0.3,
        learned: bool = False,
        layout: Layout = "half",
    ) -> None:
        super().__init__(dims, layout)
        self.base = checked_base(self, base)
        # From 7 tokens on the fastest frequency, 1, completes a turn.
        floor = 2 * math.pi / whole(self, "trained_length", trained_length, 7)
        width = dims.d_head
        self.n_kept = sum(base ** (-i / width) >= floor for i in range(0, width, 2))
        gain = number(self, "gain", gain, 0)
        shape = (dims.n_layers, dims.n_heads, self.n_kept, self.n_kept)
        for name in ("cos_coefficients", "sin_coefficients"):
            start = torch.eye(self.n_kept) + gain * self.n_kept**-0.5 * torch.randn(shape)
            if learned:
                self.register_parameter(name, nn.Parameter(start))
            else:
                self.register_buffer(name, start)

    def spectrum(self, positions: Tensor) -> Spectrum:
        return Spectrum(geometric(self.base, self.dims.d_head, positions.device)[: self.n_kept])

    def keys_stay(self, layer: int) -> bool:
        """False: turned, keys that query heads share would be one for each, which takes memory."""
        return False

    def coefficients(self, angles: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = (
            table @ series.float()[:, None]  # (L, B|1, H, T, n)
            for table, series in (
                (angles.cos(), self.cos_coefficients),
                (angles.sin(), self.sin_coefficients),
            )
        )
        rest = self.dims.d_head // 2 - self.n_kept
        return F.pad(cos, (0, rest), value=1.0), F.pad(sin, (0, rest))
