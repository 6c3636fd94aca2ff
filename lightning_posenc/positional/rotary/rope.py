"""Rotary position embedding."""

from lightning_posenc.positional.rotary.scaled import ScaledRotary
from lightning_posenc.positions.paper import Paper


class RoPE(ScaledRotary):
    """Turns pair i of a query or key at position p by the angle p · base^(-2i/K).

    Source: Su et al. 2021, "RoFormer", arXiv:2104.09864, equations 14-16 and 34.

    Args:
        dims: Sizes of the model; the head size must be even.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length (`positional.scaling`): PI, YaRN, …

    Raises:
        ValueError: If the head size is odd.
    """

    source = Paper(
        "Su et al.",
        2021,
        "RoFormer: Enhanced Transformer with Rotary Position Embedding",
        "2104.09864",
        "equations 14-16 and 34",
    )
    equation = (
        r"\ell_{ij} = \frac{q_i \cdot R_{j-i} k_j}{\sqrt K}, \quad "
        r"R_\Delta = \operatorname{diag}\!\left( e^{\mathrm{i} \Delta \theta_0}, e^{\mathrm{i}"
        r" \Delta \theta_1}, \dots \right),"
        r"\quad \theta_i = \mathrm{base}^{-2i/K}"
    )

    @property
    def width(self) -> int:
        return self.dims.d_head
