"""What encodings that change the residual stream share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.checks import number, several, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding
from lightning_posenc.positional.returned import returned


class Absolute(PositionalEncoding, ABC):
    """Adds a vector per position to the residual stream, before the layers named.

    Args:
        dims: Sizes of the model.
        layers: Before which blocks, counted from 0. More than one is re-injection, against a
            signal that fades with depth.
        dropout: Probability, in training, of a token getting no position at all, in [0, 1); the
            others' vectors grow by 1 / (1 - dropout). Keeps a learned table from being relied on
            row by row.

    Raises:
        ValueError: If a layer does not exist, or the probability is none.
    """

    def __init__(self, dims: Dims, layers: Sequence[int] = (0,), dropout: float = 0.0) -> None:
        super().__init__(dims)
        last = dims.n_layers - 1
        several(self, "layers", layers)
        self.layers = frozenset(whole(self, "layers", layer, 0, last) for layer in layers)
        self.dropout = number(self, "dropout", dropout, 0, below=1)

    @abstractmethod
    def vectors(self, positions: Tensor) -> Tensor:
        """Give the vectors of positions (B|1, T) or (B|1, T, A): (B|1, T, D), float32."""

    def embed(self, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        return self.join(x, self.vectors(positions), layer) if layer in self.layers else x

    def join(self, x: Tensor, vectors: Tensor, layer: int) -> Tensor:
        """Bring vectors (B|1, T, D) into the residual stream (B, T, D) before a layer of `layers`.

        They are added; a subclass may do otherwise.
        """
        n_sequences, length, width = x.shape
        returned(self, "vectors", vectors, ((1, n_sequences), length, width))
        return x + self.dropped(vectors.to(x.dtype).expand_as(x))

    def dropped(self, rows: Tensor) -> Tensor:
        """Drop whole rows of (B, T, D) in training."""
        return F.dropout1d(rows, self.dropout, self.training) if self.dropout else rows
