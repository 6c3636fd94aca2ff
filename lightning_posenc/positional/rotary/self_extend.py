"""Distances in groups of tokens, beyond a window."""

from typing import ClassVar

from lightning_posenc.checks import whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.rotary.base import Layout
from lightning_posenc.positional.rotary.by_law import ByLaw
from lightning_posenc.positional.rotary.laws import Grouped
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions.paper import Paper


class SelfExtend(ByLaw):
    """Keys beyond a window are told apart only by groups of tokens.

    The distance is Δ = i - j below w, and ⌊i/G⌋ - ⌊j/G⌋ + w - ⌊w/G⌋ from there on.

    Source: Jin et al. 2024, "LLM Maybe LongLM: Self-Extend LLM Context Window Without Tuning",
    arXiv:2401.01325, section 3.2. The shift w - ⌊w/G⌋ is a whole number, as in the paper; the
    authors' code leaves w/G a fraction.

    Args:
        dims: Sizes of the model, which must be causal; the head size must be even.
        window: w, at least 1.
        group: G, at least 1.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length (`positional.scaling`).

    Raises:
        ValueError: In a bidirectional model, or if a size makes no sense.
    """

    shift_invariant = False  # groups of positions start at multiples of a number

    source = Paper(
        "Jin et al.",
        2024,
        "LLM Maybe LongLM: Self-Extend LLM Context Window Without Tuning",
        "2401.01325",
        "section 3.2",
    )
    equation = (
        r"\ell_{ij} = \frac{q_i \cdot R_{-d(i,j)} k_j}{\sqrt K}, \quad d(i, j) = \begin{cases} i -"
        r" j & i - j < w \\"
        r" \lfloor i/G \rfloor - \lfloor j/G \rfloor + w - \lfloor w/G \rfloor & \text{else}"
        r" \end{cases}"
    )

    shows_with: ClassVar = {"window": 4}

    def __init__(
        self,
        dims: Dims,
        window: int = 512,
        group: int = 8,
        base: float = 10000.0,
        layout: Layout = "half",
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__(dims, base, layout, scaling)
        self.window = whole(self, "window", window)
        self.group = whole(self, "group", group)

    @property
    def law(self) -> Grouped:
        return Grouped(self.window, self.group)
