"""Rotary position embedding on several axes."""

import torch
from torch import Tensor

from lightning_posenc.checks import whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.rotary.base import Layout, by_sections
from lightning_posenc.positional.rotary.scaled import ScaledRotary
from lightning_posenc.positional.rotary.scaling import Scaling, Spectrum
from lightning_posenc.positions.paper import Paper


class AxialRoPE(ScaledRotary):
    """RoPE on r = K/axes channels for each axis: pair i of axis a turns by p_a · base^(-2i/r).

    Pairs are in one consecutive section for each axis; channels left over stay as they are. Source:
    Heo et al. 2024, "Rotary Position Embedding for Vision Transformer", arXiv:2403.13298, equation
    5 (axial); as in the vision tower of Qwen2-VL and in rotary-embedding-torch.

    Args:
        dims: Sizes of the model; a head needs two channels for each axis.
        axes: A, how many numbers a position has, at least 1: 2 for images, 3 for video.
        base: Ratio between the longest wavelength and 2·pi; vision models take 100 to 10000; in (1,
            1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length.

    Raises:
        ValueError: If the head is too small or positions have other axes.
    """

    source = Paper(
        "Heo et al.",
        2024,
        "Rotary Position Embedding for Vision Transformer",
        "2403.13298",
        "equation 5",
    )
    equation = (
        r"\ell_{ij} = \frac{1}{\sqrt K} \sum_{a=1}^{A} q^{(a)}_i \cdot R_{p_{j,a} - p_{i,a}}"
        r" k^{(a)}_j, \quad "
        r"\theta_i = \mathrm{base}^{-2i/r}, \quad r = K / A"
    )

    axes: int

    def __init__(
        self,
        dims: Dims,
        axes: int = 2,
        base: float = 10000.0,
        layout: Layout = "half",
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__(dims, base, layout, scaling)
        self.axes = whole(self, "axes", axes)
        if dims.d_head < 2 * axes:
            allowed = f"have two channels each of the {dims.d_head} of a head: change d_model or it"
            raise wrong(self, "axes", axes, allowed)

    @property
    def width(self) -> int:
        """How many channels turn by each axis."""
        return self.dims.d_head // (2 * self.axes) * 2

    @property
    def n_turned(self) -> int:
        return self.width * self.axes

    def spectrum(self, positions: Tensor) -> Spectrum:
        inv_freq, temperature = super().spectrum(positions)
        return Spectrum(torch.cat([inv_freq] * self.axes, dim=-1), temperature)

    def angles(self, positions: Tensor, inv_freq: Tensor) -> Tensor:
        if positions.dim() == 2:
            return super().angles(positions, inv_freq)
        return by_sections(positions, [self.width // 2] * self.axes) * inv_freq
