"""A bias of distance that every layer may have to itself.

Shapes: B sequences, T queries, S keys, H heads, L layers.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.positional.base import Site
from lightning_posenc.positional.bias.base import RelativeBias
from lightning_posenc.positional.by_distance import ByDistance
from lightning_posenc.positions.places import Places, counted, offsets


class PairDistances(NamedTuple):
    """The distances (B|1, T, S) of all pairs, for each layer to make its bias of."""

    delta: Tensor


class LayeredBias(RelativeBias, ABC):
    """A bias of distance with a function for each layer, or one that all share; a subclass writes
    `bias_of` and `n_functions`.

    At distances that recur, the biases of all layers are computed at once. At the pairs of float
    positions a layer computes its own when its turn comes: so the T·S biases of all layers never
    exist at once, and checkpointed activations are spared them too.
    """

    @property
    @abstractmethod
    def n_functions(self) -> int:
        """L, or 1 if all layers share one: layer l takes number l mod that."""

    @abstractmethod
    def bias_of(self, number: int, delta: Tensor) -> Tensor:
        """Give the bias of query-minus-key distances by one of the functions.

        Args:
            number: Which, below `n_functions`.
            delta: float32 of any shape; positive when the key lies in the past.

        Returns:
            (H, *delta.shape).
        """

    def bias_at(self, delta: Tensor) -> Tensor:
        return torch.stack([self.bias_of(n, delta) for n in range(self.n_functions)])

    def bias(self, site: Site) -> Tensor | ByDistance:
        if not isinstance(site.prepared, PairDistances):
            return super().bias(site)
        with torch.autocast(site.q.device.type, enabled=False):
            bias = self.bias_of(site.layer % self.n_functions, site.prepared.delta)
        return bias.transpose(0, 1).contiguous()

    def _at_pairs(self, queries: Places, keys: Places) -> Sequence[Tensor]:
        if self.n_functions == 1:
            return super()._at_pairs(queries, keys)
        return PairDistances(counted(offsets(queries, keys), keys).float())
