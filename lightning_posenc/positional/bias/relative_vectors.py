"""What encodings share whose queries read a vector of the distance.

Shapes: B sequences, T queries, S keys, H heads, K channels of a head, L layers, N distances, F
numbers of a vector, K unless a subclass reads others.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.positional.base import Site
from lightning_posenc.positional.bias.base import OfDistance
from lightning_posenc.positional.bias.lookup import look_up
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positions.places import Places, counted, offsets


class Vectors(NamedTuple):
    """What one forward pass reads.

    Args:
        values: (L|1, N, F) at N distances, or (L|1, B|1, T, S, F) at every pair.
        place: (B|1, T, S) number of each pair's distance among the N; None for every pair.
    """

    values: Tensor
    place: Tensor | None


class RelativeVectors(OfDistance, ABC):
    """Adds q_i · r(i - j) / sqrt(K) to the logits; a subclass writes r, by `vectors_at`.

    With integer positions r is computed once for each distinct distance; with float positions for
    every pair, so that gradients with respect to positions exist.
    """

    farthest: int | None = None
    """Distances beyond it count as that, and all as whole ones; None if each counts as itself."""

    @abstractmethod
    def vectors_at(self, delta: Tensor) -> Tensor:
        """Give the vectors of query-minus-key distances.

        Args:
            delta: float32 of any shape; positive when the key lies in the past.

        Returns:
            (L|1, *delta.shape, F).
        """

    def products(self, q: Tensor, vectors: Tensor, layer: int) -> Tensor:
        """Multiply queries with vectors.

        Args:
            q: (B, H, T, K).
            vectors: (N, F) of some distances, or (B|1, T, S, F) of every pair.
            layer: Index of the layer.

        Returns:
            (B, H, T, N), or (B, H, T, S).
        """
        q = q * self.dims.d_head**-0.5
        vectors = vectors.to(q.dtype)
        if vectors.dim() == 2:
            return q @ vectors.t()
        return torch.einsum("bhtk,btsk->bhts", q, vectors.expand(len(q), -1, -1, -1))

    def prepare(self, q_places: Places, k_places: Places) -> Vectors:
        distances, place = self._distances(q_places, k_places)
        return Vectors(self.vectors_at(distances), place)

    def bias(self, site: Site) -> Tensor:
        values, place = site.prepared
        products = self.products(site.q, of_layer(values, site.layer), site.layer)
        return products if place is None else look_up(products, place)

    def _distances(self, queries: Places, keys: Places) -> tuple[Tensor, Tensor | None]:
        if (most := self.farthest) is None:
            return self.occurring(queries, keys)
        delta = counted(offsets(queries, keys), keys)
        delta = delta.round() if delta.is_floating_point() else delta
        distances = torch.arange(-most, most + 1, device=delta.device).float()
        return distances, delta.clamp(-most, most).long() + most
