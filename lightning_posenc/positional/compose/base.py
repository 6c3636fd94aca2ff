"""What encodings made of encodings share."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import Any, cast

from torch import Tensor, nn

from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import PositionalEncoding, Rescore, Site
from lightning_posenc.positional.by_distance import Unwritten
from lightning_posenc.positions.places import Places


class Composite(PositionalEncoding):
    """Parts that check, prepare and penalise together; a subclass says who acts where.

    Args:
        dims: Sizes of the model.
        parts: The encodings.
    """

    def __init__(self, dims: Dims, parts: Iterable[PositionalEncoding]) -> None:
        super().__init__(dims)
        self.parts = nn.ModuleList(parts)

    @property
    def encodings(self) -> list[PositionalEncoding]:
        """The parts, in order."""
        return cast(list[PositionalEncoding], list(self.parts))

    @property
    def reads_distances(self) -> bool:  # type: ignore[override]
        """Whether a part does; the others then see positions that nobody stretched."""
        return any(part.reads_distances for part in self.encodings)

    @property
    def completes_products(self) -> bool:  # type: ignore[override]
        """Whether a part does."""
        return any(part.completes_products for part in self.encodings)

    @property
    def shift_invariant(self) -> bool:  # type: ignore[override]
        """Whether all parts are."""
        return all(part.shift_invariant for part in self.encodings)

    @property
    def reads_inputs(self) -> bool:  # type: ignore[override]
        """Whether a part does."""
        return any(part.reads_inputs for part in self.encodings)

    @property
    def reads_places(self) -> bool:  # type: ignore[override]
        """Whether a part does."""
        return any(part.reads_places for part in self.encodings)

    @property
    def crosses(self) -> bool:
        return all(part.crosses for part in self.encodings)

    @property
    def reads_all_keys(self) -> bool:
        return any(part.reads_all_keys for part in self.encodings)

    def check(self, places: Places) -> None:
        for part in self.encodings:
            part.check(self._as_seen_by(part, places))

    def depends_on_length(self, places: Places) -> str | None:
        reasons = (part.depends_on_length(places) for part in self.encodings)
        return next((reason for reason in reasons if reason is not None), None)

    def prepare(self, q_places: Places, k_places: Places) -> list[Any]:
        prepared = []
        for part in self.encodings:
            keys = self._as_seen_by(part, k_places)
            queries = keys if q_places is k_places else self._as_seen_by(part, q_places)
            prepared.append(part.prepare(queries, keys))
        return prepared

    def _as_seen_by(self, part: PositionalEncoding, places: Places) -> Places:
        if part.reads_distances or not self.reads_distances:
            return places
        return places._replace(stretch=None)

    def penalty(self) -> Tensor | None:
        return total(part.penalty() for part in self.encodings)


class Switch(Composite, ABC):
    """One part at most acts in each layer; it counts its own layers from 0.

    So its tables have no unused rows.
    """

    @abstractmethod
    def serving(self, layer: int) -> tuple[int, int] | None:
        """Which part serves a layer of the model, and its own number of it; None for none."""

    def embed(self, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        if (served := self.serving(layer)) is None:
            return x
        part, own_layer = self.encodings[served[0]], served[1]
        return part.embed(x, part.told(positions), own_layer)

    def hooks(self, layer: int) -> frozenset[str]:
        if (served := self.serving(layer)) is None:
            return frozenset()
        return self.encodings[served[0]].hooks(served[1])

    def keys_stay(self, layer: int) -> bool:
        served = self.serving(layer)
        return served is not None and self.encodings[served[0]].keys_stay(served[1])

    def planes(self, layer: int) -> Hashable | None:
        served = self.serving(layer)
        return None if served is None else self.encodings[served[0]].planes(served[1])

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        if (served := self._localised(site)) is None:
            return site.q, site.k
        part, local = served
        return part.transform(local)

    def bias(self, site: Site) -> Tensor | Unwritten | None:
        if (served := self._localised(site)) is None:
            return None
        part, local = served
        return part.bias(local)

    def rescore(self, site: Site) -> Rescore | None:
        if (served := self._localised(site)) is None:
            return None
        part, local = served
        return part.rescore(local)

    def values(self, site: Site) -> Tensor:
        if (served := self._localised(site)) is None:
            return site.v
        part, local = served
        return part.values(local)

    def output(self, site: Site, mixed: Tensor) -> Tensor:
        if (served := self._localised(site)) is None:
            return mixed
        part, local = served
        return part.output(local, mixed)

    def _localised(self, site: Site) -> tuple[PositionalEncoding, Site] | None:
        """The part that serves the layer, and the site as that part sees it; None for none."""
        if (served := self.serving(site.layer)) is None:
            return None
        index, layer = served
        return self.encodings[index], site._replace(layer=layer, prepared=site.prepared[index])


def total(terms: Iterable[Tensor | None]) -> Tensor | None:
    """The sum of what is there; None if nothing is."""
    result: Tensor | None = None
    for term in terms:
        if term is not None:
            result = term if result is None else result + term
    return result
