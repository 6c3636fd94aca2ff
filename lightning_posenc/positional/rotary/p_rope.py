"""Rotary position embedding without its lowest frequencies."""

import torch
from torch import Tensor

from lightning_posenc.checks import number, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.rotary.base import Layout, part_of
from lightning_posenc.positional.rotary.scaled import ScaledRotary
from lightning_posenc.positional.rotary.scaling import Scaling, Spectrum
from lightning_posenc.positions.paper import Paper


class PRoPE(ScaledRotary):
    """RoPE whose lowest frequencies are 0: the first p·K/2 pairs turn as in RoPE, the rest stay.

    Channels without a position carry content over any distance. Source: Barbero et al. 2024,
    "Round and Round We Go! What makes Rotary Positional Encodings useful?", arXiv:2410.06205,
    section 6 (p-RoPE); "proportional" in Hugging Face.

    Args:
        dims: Sizes of the model; the head size must be even.
        fraction: p, part of the pairs that turns, in (0, 1].
        base: Ratio between RoPE's longest wavelength and 2·pi; in (1, 1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length.

    Raises:
        ValueError: If the head size is odd or the fraction leaves no pair.
    """

    source = Paper(
        "Barbero et al.",
        2024,
        "Round and Round We Go! What makes Rotary Positional Encodings useful?",
        "2410.06205",
        "section 6",
    )
    equation = (
        r"\text{pair } i \text{ turns by } p\,\theta_i, \quad \theta_i = \begin{cases}"
        r" \mathrm{base}^{-2i/K} & i < p K / 2 \\ 0 & \text{else} \end{cases}"
    )

    def __init__(
        self,
        dims: Dims,
        fraction: float = 0.75,
        base: float = 10000.0,
        layout: Layout = "half",
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__(dims, base, layout, scaling)
        pairs = dims.d_head // 2
        self.n_turning = part_of(number(self, "fraction", fraction, above=0, most=1), pairs)
        if self.n_turning < 1:
            raise wrong(self, "fraction", fraction, f"leave one of {pairs} pairs that turns")

    @property
    def width(self) -> int:
        return self.dims.d_head

    def spectrum(self, positions: Tensor) -> Spectrum:
        inv_freq, temperature = super().spectrum(positions)
        index = torch.arange(inv_freq.shape[-1], device=inv_freq.device)
        return Spectrum(inv_freq.masked_fill(index >= self.n_turning, 0.0), temperature)
