"""What encodings share that depend on the distance between tokens.

Shapes: B sequences, T queries, S keys, H heads, L layers, N distances.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_posenc.positional import by_distance
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positional.by_distance import ByDistance
from lightning_posenc.positional.layers import of_layer
from lightning_posenc.positional.returned import Size, returned
from lightning_posenc.positions.places import Places, counted, diagonal_of, offsets
from lightning_posenc.positions.recording import is_recorded


class OfDistance(PositionalEncoding):
    """An encoding that computes something for each distance that occurs."""

    reads_distances = True
    shift_invariant = True

    def consecutive(self, queries: Places, keys: Places) -> tuple[Tensor, int] | None:
        """The whole distances from the least to the largest that may occur, to compute something
        for each only once.

        Returns:
            What they count as, (N,), in float32, and the least of them. None where every pair is to
            be computed by itself: with float positions, a few drawn from a wide range, or in a
            recorded pass.
        """
        if not (queries.is_whole and keys.is_whole) or is_recorded():
            return None
        (first, last), (start, end) = queries.bounds(), keys.bounds()
        low, high = int(first - end), int(last - start)
        if high - low + 1 >= len(queries.values) * queries.values.shape[1] * keys.values.shape[1]:
            return None
        farthest = high - low if keys.stretch is None else len(keys.stretch) - 1
        delta = torch.arange(low, high + 1, device=keys.values.device)
        # No pair is farther apart than distances were drawn for, whatever the bounds allow.
        return counted(delta.clamp(-farthest, farthest), keys).float(), low

    def occurring(self, queries: Places, keys: Places) -> tuple[Tensor, Tensor | None]:
        """The distances to compute something for, and where each pair finds its own.

        Returns:
            `consecutive` ones (N,) and each pair's number among them (B|1, T, S); or, without
            those, the distance of every pair (B|1, T, S) and None.
        """
        delta, found = offsets(queries, keys), self.consecutive(queries, keys)
        if found is None:
            return counted(delta, keys).float(), None
        distances, low = found
        return distances, delta - low


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
            (L|1, H, *delta.shape); or (H, *delta.shape), which all layers share.
        """

    def prepare(self, q_places: Places, k_places: Places) -> Sequence[Tensor | ByDistance]:
        """Of each layer, or of all, (B|1, H, T, S) or its table."""
        if is_recorded():
            return self._at_pairs(q_places, k_places)
        # Asked here: where a model is compiled, `_tabled_as_read` is not.
        compiled = torch.compiler.is_compiling()
        known = q_places.is_bounded and k_places.is_bounded
        tabled = self._tabled if known else self._tabled_as_read
        return tabled(q_places, k_places, compiled)

    def bias(self, site: Site) -> Tensor | ByDistance:
        found: Tensor | ByDistance = of_layer(site.prepared, site.layer)
        return found if isinstance(found, Tensor) or found.is_large else found.written_out()

    # The table's size is read from the positions: here, once, a compiled model leaves its graph.
    @torch.compiler.disable
    def _tabled_as_read(
        self, queries: Places, keys: Places, compiled: bool
    ) -> Sequence[Tensor | ByDistance]:
        return self._tabled(queries, keys, compiled)

    def _tabled(
        self, queries: Places, keys: Places, compiled: bool
    ) -> Sequence[Tensor | ByDistance]:
        if (found := self.consecutive(queries, keys)) is None:
            return self._at_pairs(queries, keys)
        distances, low = found
        tables = [
            ByDistance(values, low, queries.values, keys.values)
            for values in self._by_layer(distances)
        ]
        n_queries = queries.values.shape[1]
        some = self.dims.causal and n_queries >= by_distance.SOME
        if not compiled and (some or n_queries >= by_distance.MANY):
            enough = n_queries >= by_distance.MANY or all(t.slopes() is not None for t in tables)
            diagonal = diagonal_of(queries, keys) if enough else None
            tables = [table._replace(diagonal=diagonal) for table in tables]
        # What all layers share is written out once for all of them.
        if len(tables) == 1 and not tables[0].is_large:
            return [tables[0].written_out()]
        return tables

    def _at_pairs(self, queries: Places, keys: Places) -> Sequence[Tensor]:
        biases = self._by_layer(counted(offsets(queries, keys), keys).float())
        return [bias.transpose(0, 1).contiguous() for bias in biases]

    def _by_layer(self, delta: Tensor) -> Sequence[Tensor]:
        """(H, *delta.shape) of each layer, or of all."""
        values = self.bias_at(delta)
        shape: tuple[Size, ...] = (self.dims.n_heads, *delta.shape)
        if isinstance(values, Tensor) and values.dim() != len(shape):
            shape = ((1, self.dims.n_layers), *shape)
        values = returned(self, "bias_at", values, shape)
        return [values] if values.dim() == delta.dim() + 1 else values.unbind(0)
