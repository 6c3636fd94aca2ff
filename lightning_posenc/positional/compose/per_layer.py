"""Another encoding in every layer."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from lightning_posenc.checks import is_a, made, several
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import Factory, PositionalEncoding
from lightning_posenc.positional.compose.base import Switch


class PerLayer(Switch):
    """Another encoding in every layer: layer l takes entry l mod n of the pattern.

    `PerLayer.of(RoPE, RoPE, RoPE, NoPE)` is RoPE with every fourth layer NoPE. With a window on
    the layers that have RoPE, `Encoder(…, mask=[Window(512), Window(512), Window(512), None])`, it
    is RNoPE (Yang et al. 2025, "RoPE to NoPE and Back Again", arXiv:2501.18795, section 4).

    Args:
        dims: Sizes of the model.
        pattern: The encodings of layers 0, 1, …, repeated to the model's depth.

    Raises:
        ValueError: If the pattern is empty or longer than the model is deep.
    """

    equation = r"\text{encoding}(l) = \mathrm{pattern}\left[\, l \bmod n \,\right]"

    def __init__(self, dims: Dims, pattern: Sequence[Factory]) -> None:
        several(self, "pattern", pattern)
        n = len(pattern)
        is_a(self, "dims", dims, Dims)
        if not 1 <= n <= dims.n_layers:
            raise ValueError(
                f"PerLayer: a pattern of {n} entries does not fit {dims.n_layers} "
                "layers; give between one entry and one for each layer"
            )
        served = (len(range(entry, dims.n_layers, n)) for entry in range(n))
        parts = zip(pattern, served, strict=True)
        super().__init__(
            dims,
            (
                made(self, "pattern", make, PositionalEncoding, replace(dims, n_layers=layers))
                for make, layers in parts
            ),
        )

    @classmethod
    def of(cls, *pattern: Factory) -> Factory:
        """Bind the pattern and leave the dims open."""
        return partial(cls, pattern=pattern)

    def serving(self, layer: int) -> tuple[int, int]:
        local, entry = divmod(layer, len(self.parts))
        return entry, local
