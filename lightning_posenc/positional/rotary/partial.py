"""Rotary position embedding on a part of the channels."""

from lightning_posenc.dims import Dims
from lightning_posenc.positional.rotary.base import Layout
from lightning_posenc.positional.rotary.rope import RoPE
from lightning_posenc.positional.scaling import Scaling


class PartialRoPE(RoPE):
    """RoPE on the first r = fraction·K channels: pair i turns by p · base^(-2i/r); the rest stay.

    Source: Black et al. 2022, "GPT-NeoX-20B: An Open-Source Autoregressive Language Model",
    arXiv:2204.06745, section 2.1.1 (first in GPT-J); `partial_rotary_factor` in Hugging Face.
    Deviation: with a scaling that has a temperature, all channels of a query are multiplied by it,
    where Hugging Face multiplies those that turn.

    Args:
        dims: Sizes of the model.
        fraction: Part of the channels of a head that turns, in (0, 1]; an even number of them.
        base: Ratio between the longest wavelength and 2·pi.
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length.

    Raises:
        ValueError: If the fraction leaves no pair of channels, or half a one.
    """

    def __init__(
        self,
        dims: Dims,
        fraction: float = 0.25,
        base: float = 10000.0,
        layout: Layout = "half",
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__(dims, base, layout, scaling)
        self.fraction = fraction
        if not 0 < fraction <= 1 or self.width < 2 or self.width % 2:
            raise ValueError(
                f"PartialRoPE: fraction={fraction} of {dims.d_head} channels are {self.width}, but "
                "an even number from 2 on can turn: choose another fraction in (0, 1]"
            )

    @property
    def width(self) -> int:
        return int(self.dims.d_head * self.fraction)
