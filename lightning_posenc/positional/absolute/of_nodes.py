"""What encodings share that add to a node what its graph says of it.

Shapes: B sequences, T tokens, which are nodes, K numbers of each, D = d_model.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.dims import Dims
from lightning_posenc.positional.absolute.base import Absolute
from lightning_posenc.positions.graph import check_rows_of_distances
from lightning_posenc.positions.places import Places


class OfNodes(Absolute, ABC):
    """A linear map of K numbers that a graph says of each of its nodes.

    Args:
        dims: Sizes of the model.
        n_numbers: K.
        layers: Before which blocks, counted from 0.
        dropout: Probability, in training, of a token getting no position, in [0, 1).
    """

    axes = None

    reads_places = True

    def __init__(
        self, dims: Dims, n_numbers: int, layers: Sequence[int] = (0,), dropout: float = 0.0
    ) -> None:
        super().__init__(dims, layers, dropout)
        self.weight = nn.Parameter(torch.empty(dims.d_model, n_numbers))
        nn.init.normal_(self.weight, std=dims.embed_std)

    @abstractmethod
    def numbers(self, places: Places) -> Tensor:
        """Give what is known of the nodes: (B|1, T, K), float32."""

    def check(self, places: Places) -> None:
        check_rows_of_distances(self, places.values)

    def depends_on_length(self, places: Places) -> str | None:
        return f"{type(self).__name__}: a new node changes what the graph says of earlier ones"

    def embed(self, x: Tensor, positions: Tensor | Places, layer: int) -> Tensor:
        if layer not in self.layers:
            return x
        places = Places(positions) if isinstance(positions, Tensor) else positions
        return self.join(x, self._vectors(places), layer)

    def vectors(self, positions: Tensor) -> Tensor:
        return self._vectors(Places(positions))

    def _vectors(self, places: Places) -> Tensor:
        with torch.autocast(places.values.device.type, enabled=False):
            return F.linear(self.numbers(places), self.weight.float())


def adjacency(places: Places) -> Tensor:
    """Which tokens are neighbours, at distance 1 and of the same text: (B|1, T, T), float32."""
    length = places.values.shape[1]
    near = places.values[..., :length].round() == 1
    if places.documents is not None:
        near = near & (places.documents.unsqueeze(-1) == places.documents.unsqueeze(-2))
    if places.lengths is not None:
        real = torch.arange(length, device=near.device) < places.lengths.unsqueeze(-1)
        near = near & real.unsqueeze(-1) & real.unsqueeze(-2)
    return near.float()
