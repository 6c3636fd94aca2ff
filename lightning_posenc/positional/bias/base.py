"""What encodings share that depend on the distance between tokens.

Shapes: B sequences, T queries, S keys, H heads, L layers, N distances.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from lightning_posenc.positional.base import PositionalEncoding, Site, offsets
from lightning_posenc.positional.by_distance import ByDistance
from lightning_posenc.positions.recording import is_recorded

Stretch: TypeAlias = Callable[[Tensor], Tensor]
"""Maps whole distances to those that they count as, of the same shape."""


class OfDistance(PositionalEncoding):
    """An encoding that asks `counted` what a distance counts as, so that `RandomizedDistances` may
    answer instead.
    """

    stretch: Stretch | None = None

    def counted(self, delta: Tensor) -> Tensor:
        """What distances count as, in float32: themselves, unless they are stretched."""
        return (delta if self.stretch is None else self.stretch(delta)).float()

    def consecutive(self, q_pos: Tensor, k_pos: Tensor) -> tuple[Tensor, int] | None:
        """The whole distances from the least to the largest that occurs, to compute something for
        each only once.

        Args:
            q_pos: (B|1, T).
            k_pos: (B|1, S).

        Returns:
            What they count as, (N,), and the least of them. None where every pair is to be computed
            by itself: with float positions, a few drawn from a wide range, or in a recorded pass.
        """
        if q_pos.is_floating_point() or k_pos.is_floating_point() or is_recorded():
            return None
        low = int((q_pos.amin(1) - k_pos.amax(1)).amin())
        high = int((q_pos.amax(1) - k_pos.amin(1)).amax())
        if high - low + 1 >= len(q_pos) * q_pos.shape[1] * k_pos.shape[1]:
            return None
        return self.counted(torch.arange(low, high + 1, device=q_pos.device)), low

    def occurring(self, q_pos: Tensor, k_pos: Tensor) -> tuple[Tensor, Tensor | None]:
        """The distances to compute something for, and where each pair finds its own.

        Args:
            q_pos: (B|1, T).
            k_pos: (B|1, S).

        Returns:
            `consecutive` ones (N,) and each pair's number among them (B|1, T, S); or, without
            those, the distance of every pair (B|1, T, S) and None.
        """
        delta, found = offsets(q_pos, k_pos), self.consecutive(q_pos, k_pos)
        if found is None:
            return self.counted(delta), None
        counted, low = found
        return counted, delta - low


class RelativeBias(OfDistance, ABC):
    """A bias that is a function of distance; a subclass writes one function, `bias_at`.

    With integer positions the function is evaluated once per distinct distance (T + S - 1 of them
    for consecutive positions) and gathered, unless there are so many pairs that a kernel had better
    do that a part at a time; with float positions at every pair, so that gradients with respect to
    positions exist.
    """

    @abstractmethod
    def bias_at(self, delta: Tensor) -> Tensor:
        """Give the bias of query-minus-key distances.

        Args:
            delta: float32 of any shape; positive when the key lies in the past.

        Returns:
            (H, *delta.shape), or (L, H, *delta.shape) if layers differ.
        """

    def prepare(self, q_pos: Tensor, k_pos: Tensor) -> Tensor | ByDistance:
        return (self._at_pairs if is_recorded() else self._tabled)(q_pos, k_pos)

    # The table's size is read from the positions: here, once, a compiled model leaves its graph.
    @torch.compiler.disable
    def _tabled(self, q_pos: Tensor, k_pos: Tensor) -> Tensor | ByDistance:
        if (found := self.consecutive(q_pos, k_pos)) is None:
            return self._at_pairs(q_pos, k_pos)
        counted, low = found
        values = self.bias_at(counted)
        table = ByDistance(values, low, q_pos, k_pos)
        # What all layers share is written out once for all of them.
        return table if table.is_large or values.dim() == 3 else table.written_out()

    def bias(self, site: Site) -> Tensor | ByDistance:
        found: Tensor | ByDistance = site.prepared
        if isinstance(found, Tensor):
            return found if found.dim() == 4 else found[site.layer]
        if found.values.dim() == 3:
            found = found._replace(values=found.values[site.layer])
        return found if found.is_large else found.written_out()

    def _at_pairs(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        """(B|1, H, T, S), or (L, B|1, H, T, S) if layers differ."""
        bias = self.bias_at(self.counted(offsets(q_pos, k_pos)))
        return bias.transpose(-3, -4).contiguous()
