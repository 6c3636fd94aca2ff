"""Distances that stop, or slow down, beyond a window."""

import math
from typing import ClassVar

from lightning_posenc.checks import number, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.rotary.base import Layout
from lightning_posenc.positional.rotary.by_law import ByLaw
from lightning_posenc.positional.rotary.laws import Rectified
from lightning_posenc.positional.rotary.scaling import Scaling


class ReRoPE(ByLaw):
    """Rectified RoPE: no key seems farther than a window.

    The distance is Δ below w, and w from there on; or w + (Δ - w) / stretch. So none is new to a
    model that was trained on w tokens or more. With `stretch` it is leaky ReRoPE, whose distances
    still grow, by 1 / stretch each token.

    Source: Su 2023, github.com/bojone/rerope; no paper. There, queries beyond the trained length
    are sharpened as well: `Chain.of(ReRoPE, LogN)`.

    Args:
        dims: Sizes of the model, which must be causal; the head size must be even.
        window: w, at least 1; half of the trained length in the source's experiments.
        stretch: At least 1; None for no growth.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length (`positional.scaling`).

    Raises:
        ValueError: In a bidirectional model, or if a size makes no sense.
    """

    equation = (
        r"\ell_{ij} = \frac{q_i \cdot R_{-d(\Delta)} k_j}{\sqrt K}, \quad d(\Delta) ="
        r" \begin{cases} \Delta & \Delta < w \\"
        r" w + (\Delta - w) / \mathrm{stretch} & \text{else} \end{cases}"
    )

    shows_with: ClassVar = {"window": 4}

    def __init__(
        self,
        dims: Dims,
        window: int = 512,
        stretch: float | None = None,
        base: float = 10000.0,
        layout: Layout = "half",
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__(dims, base, layout, scaling)
        self.window = whole(self, "window", window)
        self.stretch = math.inf if stretch is None else number(self, "stretch", stretch, 1)

    @property
    def law(self) -> Rectified:
        return Rectified(self.window, self.stretch, None)
