"""Biases that depend on distance alone."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.positional.base import PositionalEncoding, Site, offsets


class PerLayerTable(NamedTuple):
    """Values of every layer at every distance, and the distance of every pair.

    Args:
        values: (L, H, N) bias at N consecutive whole distances.
        place: (B|1, T, S) index of each pair's distance among the N.
    """

    values: Tensor
    place: Tensor


class RelativeBias(PositionalEncoding, ABC):
    """A bias that is a function of distance; a subclass writes one function, `bias_at`.

    With integer positions the function is evaluated once per distinct distance (T + S - 1 of them
    for consecutive positions) and gathered; with float positions at every pair, so that gradients
    with respect to positions exist.
    """

    @abstractmethod
    def bias_at(self, delta: Tensor) -> Tensor:
        """Give the bias of query-minus-key distances.

        Args:
            delta: float32 of any shape; positive when the key lies in the past.

        Returns:
            (H, *delta.shape), or (L, H, *delta.shape) if layers differ.
        """

    # The table's size is read from the positions: here, once, a compiled model leaves its graph.
    @torch.compiler.disable
    def prepare(self, q_pos: Tensor, k_pos: Tensor) -> Tensor | PerLayerTable:
        delta = offsets(q_pos, k_pos)
        if delta.is_floating_point():
            return self._pairs_to_front(self.bias_at(delta.float()))
        low, high = int(delta.amin()), int(delta.amax())
        if high - low + 1 >= delta.numel():  # a few positions drawn from a wide range
            return self._pairs_to_front(self.bias_at(delta.float()))
        values = self.bias_at(torch.arange(low, high + 1, device=delta.device).float())
        index = delta - low
        return gather(values, index) if values.dim() == 2 else PerLayerTable(values, index)

    def bias(self, site: Site) -> Tensor:
        if isinstance(site.prepared, PerLayerTable):
            return gather(site.prepared.values[site.layer], site.prepared.place)
        return site.prepared if site.prepared.dim() == 4 else site.prepared[site.layer]

    @staticmethod
    def _pairs_to_front(bias: Tensor) -> Tensor:
        """(L?, H, B|1, T, S) -> (L?, B|1, H, T, S)."""
        return bias.transpose(-3, -4).contiguous()


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Look up (H, N) at (B|1, T, S), giving (B|1, H, T, S).

    As an embedding, whose backward is a fast sum over rows, where that of indexing is not.
    """
    return F.embedding(index, values.t()).permute(0, 3, 1, 2).contiguous()
