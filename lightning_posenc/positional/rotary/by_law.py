"""What rotary encodings share that put far keys at other distances than their own.

Shapes: B sequences, T queries, S keys, H heads, G key-value heads, K channels of a head.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import NamedTuple

from torch import Tensor

from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import Site
from lightning_posenc.positional.branched import Branched
from lightning_posenc.positional.rotary.base import Layout, Rotation, Turn, rotate
from lightning_posenc.positional.rotary.laws import Law
from lightning_posenc.positional.rotary.scaled import ScaledRotary
from lightning_posenc.positional.rotary.scaling import Scaling
from lightning_posenc.positions.places import Places
from lightning_posenc.positions.recording import is_recorded


class Turns(NamedTuple):
    """What one forward pass turns by.

    Args:
        near: By the first branch: what attention's own products are made with.
        others: Of queries and keys, by each of the other branches; none where nobody is far.
        q_pos: (B|1, T).
        k_pos: (B|1, S).
    """

    near: Turn
    others: tuple[tuple[Rotation, Rotation], ...]
    q_pos: Tensor
    k_pos: Tensor

    @property
    def of_queries(self) -> Rotation:
        """What `transform` turns queries by, as every rotation's record names it."""
        return self.near.of_queries


class ByLaw(ScaledRotary, ABC):
    """RoPE whose distances a `Law` changes; a subclass says which.

    The logit of a query i and a key j is q_i · R(d(i, j)) k_j / sqrt(K). Attention's products are
    those of near keys, RoPE's; what the others differ by is added as a bias that exists for some
    queries at a time (`Branched`), so that memory grows with T and not T². Where all keys are near
    it is RoPE, at its price. Beside `SSMax` and the like it sees queries as these leave them.

    Args:
        dims: Sizes of the model, which must be causal; the head size must be even.
        base: Ratio between the longest wavelength and 2·pi; in (1, 1e30].
        layout: Which channels make a pair: "half" or "interleaved", as in `Rotary`.
        scaling: Extends a trained model past its length (`positional.scaling`).

    Raises:
        ValueError: In a bidirectional model, or if the head size is odd.
    """

    crosses = False

    completes_products = True

    def __init__(
        self,
        dims: Dims,
        base: float = 10000.0,
        layout: Layout = "half",
        scaling: Scaling | None = None,
    ) -> None:
        super().__init__(dims, base, layout, scaling)
        if not dims.causal:
            raise ValueError(
                f"{type(self).__name__}: says how far a key of the past seems, and nothing of "
                "keys of the future: use a causal model"
            )

    @property
    @abstractmethod
    def law(self) -> Law:
        """Where far keys are put."""

    @property
    def width(self) -> int:
        return self.dims.d_head

    def planes(self, layer: int) -> Hashable:
        return self  # beside what turns again, far keys would be turned by its distances

    def prepare(self, q_places: Places, k_places: Places) -> Turns:  # type: ignore[override]
        q_pos, k_pos = q_places.values, k_places.values
        inv_freq, temperature = self.spectrum(k_places.of_tokens())
        branches = self.law.branches
        # A recording is for other positions too, whose bounds it does not know.
        if not is_recorded() and self.law.keeps_all(*k_places.bounds()):
            branches = branches[:1]
        turns = [
            (self._rotation(b.query(q_pos), inv_freq), self._rotation(b.key(k_pos), inv_freq))
            for b in branches
        ]
        return Turns(Turn(*turns[0], temperature), tuple(turns[1:]), q_pos, k_pos)

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        return super().transform(site._replace(prepared=site.prepared.near))

    def bias(self, site: Site) -> Tensor | Branched | None:
        near, others, q_pos, k_pos = site.prepared
        if not others:
            return None
        # In float32, so that the sum is as far off as attention's own products are, no farther.
        q, k = site.q.float() * near.temperature**2, site.k.float()
        turns = (near[:2], *others)
        queries = tuple(rotate(q, of_queries.of_layer(0)) for of_queries, _ in turns)
        keys = tuple(rotate(k, of_keys.of_layer(0)) for _, of_keys in turns)
        scale = self.dims.d_head**-0.5
        found = Branched(queries, keys, self.law.chosen, q_pos, k_pos, scale)
        return found if found.is_large else found.written_out()
