"""Several encodings at once."""

from collections.abc import Hashable, Iterator, Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor

from lightning_posenc.checks import made, several
from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import Factory, PositionalEncoding, Rescore, Site
from lightning_posenc.positional.bias.base import RelativeBias
from lightning_posenc.positional.by_distance import Unwritten, added
from lightning_posenc.positional.compose.base import Composite


class Chain(Composite):
    """Two or more encodings at once: embeddings and transforms in turn, biases summed.

    Outputs are changed in the reverse order, so that what a part did to the values it undoes first.

    `Chain.of(RoPE, ALiBi)` gives the factory that `Encoder(dims, positional=…)` takes. Of those
    that turn queries and keys, all must turn the same channels together: else a product would
    depend on where the sequence stands.

    Args:
        dims: Sizes of the model.
        parts: The encodings, in order.

    Raises:
        ValueError: If there are none, or two turn queries and keys in ways that do not commute.
    """

    equation = (
        r"x \leftarrow (e_n \circ \dots \circ e_1)(x), \quad "
        r"\ell_{ij} = \frac{(T_n \cdots T_1 q_i) \cdot (T_n \cdots T_1 k_j)}{\sqrt K} +"
        r" \sum_{m=1}^{n} b^{(m)}_{ij}"
    )

    def __init__(self, dims: Dims, parts: Sequence[Factory]) -> None:
        several(self, "parts", parts)
        super().__init__(
            dims, (made(self, "parts", part, PositionalEncoding, dims) for part in parts)
        )
        for layer in range(dims.n_layers):
            self._check_planes(layer)

    @classmethod
    def of(cls, *parts: Factory) -> Factory:
        """Bind the parts and leave the dims open."""
        return partial(cls, parts=parts)

    def embed(self, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        for part in self.encodings:
            x = part.embed(x, part.told(positions), layer)
        return x

    def hooks(self, layer: int) -> frozenset[str]:
        return frozenset().union(*(part.hooks(layer) for part in self.encodings))

    def keys_stay(self, layer: int) -> bool:
        # Beside one that turns keys none may read them as they were: a bias of distance does not.
        others = [part for part in self.encodings if not part.keys_stay(layer)]
        blind = (not part.hooks(layer) or isinstance(part, RelativeBias) for part in others)
        return len(others) < len(self.encodings) and all(blind)

    def planes(self, layer: int) -> Hashable | None:
        turning = self._turning(layer)
        return turning[0].planes(layer) if turning else None

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        q, k = site.q, site.k
        for part, local in self._sites(site):
            q, k = part.transform(local._replace(q=q, k=k))
        return q, k

    def bias(self, site: Site) -> Tensor | Unwritten | None:
        found = []
        for part, local in self._sites(site):
            found.append(part.bias(self._as_scaled(part, local, site)))
        return added([bias for bias in found if bias is not None])

    def _as_scaled(self, part: PositionalEncoding, local: Site, site: Site) -> Site:
        """What a part's bias sees: queries as others scale them, where it completes products."""
        if not part.completes_products:
            return local
        q, k = local.q, local.k
        for other, seen in self._sites(site):
            if other is not part and other.planes(site.layer) is None:
                q, k = other.transform(seen._replace(q=q, k=k))
        return local._replace(q=q, k=k)

    def rescore(self, site: Site) -> Rescore | None:
        found = [part.rescore(local) for part, local in self._sites(site)]
        steps = [step for step in found if step is not None]
        return partial(_in_turn, steps) if steps else None

    def values(self, site: Site) -> Tensor:
        v = site.v
        for part, local in self._sites(site):
            v = part.values(local._replace(v=v))
        return v

    def output(self, site: Site, mixed: Tensor) -> Tensor:
        for part, local in reversed(list(self._sites(site))):
            mixed = part.output(local, mixed)
        return mixed

    def _sites(self, site: Site) -> Iterator[tuple[PositionalEncoding, Site]]:
        """Each part, and the site as it sees it."""
        for part, prepared in zip(self.encodings, site.prepared, strict=True):
            yield part, site._replace(prepared=prepared)

    def _turning(self, layer: int) -> list[PositionalEncoding]:
        return [part for part in self.encodings if part.planes(layer) is not None]

    def _check_planes(self, layer: int) -> None:
        for one, other in pairwise(self.encodings):
            if other.mixes_keys and one.planes(layer) is not None:
                raise ValueError(
                    f"Chain: {type(other).__name__} mixes what {type(one).__name__} turned, so "
                    "that the result would depend on where the sequence stands: put it first"
                )
        for one, other in pairwise(self._turning(layer)):
            if one.planes(layer) != other.planes(layer):
                raise ValueError(
                    f"Chain: {type(one).__name__} and {type(other).__name__} turn queries and keys "
                    "in ways that do not commute, so that the result would depend on where the "
                    "sequence stands: leave one out, give both the same layout and channels, or "
                    "take PerLayer (a class of your own that commutes says so by `planes`)"
                )


def _in_turn(steps: Sequence[Rescore], logits: Tensor) -> Tensor:
    for step in steps:
        logits = step(logits)
    return logits
