"""Rotary position embedding on a part of the channels."""

from lightning_posenc.checks import number, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.rotary.base import Layout, part_of
from lightning_posenc.positional.rotary.scaled import ScaledRotary
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions.paper import Paper


class PartialRoPE(ScaledRotary):
    """RoPE on the first r = fraction·K channels: pair i turns by p · base^(-2i/r); the rest stay.

    Source: Black et al. 2022, "GPT-NeoX-20B: An Open-Source Autoregressive Language Model",
    arXiv:2204.06745, section 2.1.1 (first in GPT-J); `partial_rotary_factor` in Hugging Face.
    Deviation: with a scaling that has a temperature, all channels of a query are multiplied by it,
    where Hugging Face multiplies those that turn.

    Args:
        dims: Sizes of the model.
        fraction: Part of the channels of a head that turns, in (0, 1]; an even number of them.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length.

    Raises:
        ValueError: If the fraction leaves no pair of channels, or half a one.
    """

    source = Paper(
        "Black et al.",
        2022,
        "GPT-NeoX-20B: An Open-Source Autoregressive Language Model",
        "2204.06745",
        "section 2.1.1",
    )
    equation = (
        r"\text{pair } i \text{ of the first } r \text{ channels turns by } p\,"
        r" \mathrm{base}^{-2i/r}, \quad "
        r"r = \mathrm{fraction} \cdot K"
    )

    def __init__(
        self,
        dims: Dims,
        fraction: float = 0.25,
        base: float = 10000.0,
        layout: Layout = "half",
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__(dims, base, layout, scaling)
        self.fraction = number(self, "fraction", fraction, above=0, most=1)
        if self.width < 2 or self.width % 2:
            raise wrong(
                self,
                "fraction",
                fraction,
                f"make an even number of the {dims.d_head} channels, at least 2, not {self.width}",
            )

    @property
    def width(self) -> int:
        return part_of(self.fraction, self.dims.d_head)
