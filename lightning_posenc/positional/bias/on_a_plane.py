"""What biases share that are a function of the offset on two axes.

Shapes: B sequences, T queries, S keys, H heads, L layers, N offsets.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.by_distance import gather
from lightning_posenc.positions.places import OUTSIDE, Places, offsets
from lightning_posenc.positions.recording import is_recorded


class PlaneOffsets(NamedTuple):
    """What one forward pass compares.

    Args:
        delta: (N, 2) offsets that may occur, or (B|1, T, S, 2) those of every pair.
        place: (B|1, T, S) number of each pair's among the N; None for every pair.
        outside: (B|1, 1, T, S), pairs of which one lies outside the grid; None if none does.
        shared: (B|1, H, T, S), the bias that all layers share; None if each has its own.
    """

    delta: Tensor
    place: Tensor | None
    outside: Tensor | None
    shared: Tensor | None = None


class PlaneBias(PositionalEncoding, ABC):
    """A bias that is a function of rows and columns between two tokens; a subclass writes
    `bias_of` and `n_functions`.

    Positions are (row, column). Pairs with a token at (-1, -1), outside the grid, get no bias. With
    whole positions the function is evaluated once for each offset that may occur, unless there are
    fewer pairs; with float positions at every pair, so that gradients with respect to positions
    exist.
    """

    shift_invariant = True

    axes = 2

    @property
    @abstractmethod
    def n_functions(self) -> int:
        """L, or 1 if all layers share one: layer l takes number l mod that."""

    @abstractmethod
    def bias_of(self, number: int, delta: Tensor) -> Tensor:
        """Give the bias of query-minus-key offsets by one of the functions.

        Args:
            number: Which, below `n_functions`.
            delta: (…, 2) rows and columns, whole or float.

        Returns:
            (H, …), float32.
        """

    def prepare(self, q_places: Places, k_places: Places) -> PlaneOffsets:
        known = q_places.is_bounded and k_places.is_bounded
        found = (self._compared if known else self._compared_as_read)(q_places, k_places)
        if self.n_functions > 1:
            return found
        return found._replace(shared=self._written_out(0, found))

    def bias(self, site: Site) -> Tensor:
        found: PlaneOffsets = site.prepared
        if found.shared is not None:
            return found.shared
        with torch.autocast(site.q.device.type, enabled=False):
            return self._written_out(site.layer % self.n_functions, found)

    def _written_out(self, number: int, found: PlaneOffsets) -> Tensor:
        """(B|1, H, T, S)."""
        values = self.bias_of(number, found.delta)
        if found.place is None:
            bias = values.transpose(0, 1).contiguous()
        else:
            bias = gather(values, found.place)
        return bias if found.outside is None else bias.masked_fill(found.outside, 0.0)

    # Sizes are read from the positions: here, once, a compiled model leaves its graph.
    @torch.compiler.disable
    def _compared_as_read(self, queries: Places, keys: Places) -> PlaneOffsets:
        return self._compared(queries, keys)

    def _compared(self, queries: Places, keys: Places) -> PlaneOffsets:
        delta, outside = offsets(queries, keys), pairs_outside(queries, keys)
        if is_recorded() or not (queries.is_whole and keys.is_whole) or not delta.numel():
            return PlaneOffsets(delta, None, outside)
        (first, last), (start, end) = queries.bounds(), keys.bounds()
        farthest = int(max(last - start, end - first))
        side = 2 * farthest + 1
        if side**2 >= delta[..., 0].numel():
            return PlaneOffsets(delta, None, outside)
        steps = torch.arange(-farthest, farthest + 1, device=delta.device)
        row, column = (delta + farthest).unbind(-1)
        return PlaneOffsets(torch.cartesian_prod(steps, steps), row * side + column, outside)


def pairs_outside(queries: Places, keys: Places) -> Tensor | None:
    """Pairs of which a token lies outside the grid, (B|1, 1, T, S); None if it is known that none
    does.
    """
    if queries.within(0, float("inf")) and keys.within(0, float("inf")):
        return None
    out_q, out_k = ((places.values == OUTSIDE).all(dim=-1) for places in (queries, keys))
    return out_q[:, None, :, None] | out_k[:, None, None, :]
