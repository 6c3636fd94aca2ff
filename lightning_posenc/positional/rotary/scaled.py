"""What rotary encodings share whose frequencies are RoPE's, as they are or scaled."""

from abc import ABC, abstractmethod

from torch import Tensor

from lightning_posenc.checks import is_a
from lightning_posenc.dims import Dims
from lightning_posenc.positional.rotary.base import Layout, Rotary
from lightning_posenc.positional.rotary.scaling import (
    Scaling,
    Spectrum,
    checked_base,
    current_length,
    geometric,
)
from lightning_posenc.positions.places import Places


class ScaledRotary(Rotary, ABC):
    """Turns by base^(-2i/r) for pair i of r channels, which a scaling may change.

    Args:
        dims: Sizes of the model; the head size must be even.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length (`positional.rotary.scaling`).

    Raises:
        ValueError: If the head size is odd.
    """

    def __init__(
        self,
        dims: Dims,
        base: float = 10000.0,
        layout: Layout = "half",
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__(dims, layout)
        self.base = checked_base(self, base)
        self.scaling = None if scaling is None else is_a(self, "scaling", scaling, Scaling)

    @property
    @abstractmethod
    def width(self) -> int:
        """r: how many channels of a head turn, by each axis."""

    @property
    def n_turned(self) -> int:
        return self.width

    def spectrum(self, positions: Tensor) -> Spectrum:
        if self.scaling is not None:
            return self.scaling(self.base, self.width, positions)
        return Spectrum(geometric(self.base, self.width, positions.device))

    def depends_on_length(self, places: Places) -> str | None:
        scaling = self.scaling
        if scaling is None or not scaling.dynamic or places.bounds()[1] < scaling.trained_length:
            return None
        if not (current_length(places.of_tokens()) > scaling.trained_length).any():
            return None
        return (
            f"{type(scaling).__name__}: beyond trained_length={scaling.trained_length} tokens that "
            "were read before turn by other angles at every step, unlike with YaRN"
        )
