"""What encodings that add to the residual stream share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding


class Absolute(PositionalEncoding, ABC):
    """Adds a vector per position to the residual stream, before the layers named.

    Args:
        dims: Sizes of the model.
        layers: Before which blocks, counted from 0. More than one is re-injection, against a
            signal that fades with depth.

    Raises:
        ValueError: If a layer does not exist.
    """

    def __init__(self, dims: Dims, layers: Sequence[int] = (0,)) -> None:
        super().__init__(dims)
        missing = [layer for layer in layers if not 0 <= layer < dims.n_layers]
        if missing or not layers:
            raise ValueError(
                f"{type(self).__name__}: layers={list(layers)} must name some of the model's "
                f"{dims.n_layers} layers, counted from 0"
            )
        self.layers = frozenset(layers)

    @abstractmethod
    def vectors(self, positions: Tensor) -> Tensor:
        """Give the vectors of positions (B|1, T): (B|1, T, D)."""

    def embed(self, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        return x + self.vectors(positions).to(x.dtype) if layer in self.layers else x
