"""Several encodings in one model: together, or layer by layer."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from lightning_posenc.dims import Dims
from lightning_posenc.positional.base import Factory, PositionalEncoding, Site


class Chain(PositionalEncoding):
    """Two or more encodings at once: embeddings and transforms in turn, biases summed.

    `Chain.of(RoPE, ALiBi)` gives the factory that `Encoder(dims, positional=…)` takes.

    Args:
        dims: Sizes of the model.
        parts: The encodings, in order.

    Raises:
        ValueError: If there are none.
    """

    def __init__(self, dims: Dims, parts: Sequence[Factory]) -> None:
        super().__init__(dims)
        if not parts:
            raise ValueError("Chain: name at least one encoding in parts")
        self.parts = nn.ModuleList(part(dims) for part in parts)

    @classmethod
    def of(cls, *parts: Factory) -> Factory:
        """Bind the parts and leave the dims open."""
        return partial(cls, parts=parts)

    def prepare(self, q_pos: Tensor, k_pos: Tensor) -> list[Any]:
        return [part.prepare(q_pos, k_pos) for part in self._encodings]

    def embed(self, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        for part in self._encodings:
            x = part.embed(x, positions, layer)
        return x

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        q, k = site.q, site.k
        for part, prepared in zip(self._encodings, site.prepared, strict=True):
            q, k = part.transform(site._replace(q=q, k=k, prepared=prepared))
        return q, k

    def bias(self, site: Site) -> Tensor | None:
        total: Tensor | None = None
        for part, prepared in zip(self._encodings, site.prepared, strict=True):
            term = part.bias(site._replace(prepared=prepared))
            if term is not None:
                total = term if total is None else total + term
        return total

    def rescore(self, logits: Tensor, site: Site) -> Tensor:
        for part, prepared in zip(self._encodings, site.prepared, strict=True):
            logits = part.rescore(logits, site._replace(prepared=prepared))
        return logits

    def rescores(self, layer: int) -> bool:
        return any(part.rescores(layer) for part in self._encodings)

    @property
    def _encodings(self) -> list[PositionalEncoding]:
        return list(self.parts)  # type: ignore[arg-type]


class PerLayer(PositionalEncoding):
    """Another encoding in every layer: layer l takes entry l mod n of the pattern.

    Each entry is one object that serves its own layers and counts them from 0, so its tables have
    no unused rows. `PerLayer.of(RoPE, RoPE, RoPE, NoPE)` is RoPE with every fourth layer NoPE
    (Yang et al. 2025, "RoPE to NoPE and Back Again", arXiv:2501.18795).

    Args:
        dims: Sizes of the model.
        pattern: The encodings of layers 0, 1, …, repeated to the model's depth.

    Raises:
        ValueError: If the pattern is empty or longer than the model is deep.
    """

    def __init__(self, dims: Dims, pattern: Sequence[Factory]) -> None:
        super().__init__(dims)
        if not 1 <= len(pattern) <= dims.n_layers:
            raise ValueError(
                f"PerLayer: a pattern of {len(pattern)} entries does not fit {dims.n_layers} "
                "layers; give between one entry and one for each layer"
            )
        n = len(pattern)
        self.parts = nn.ModuleList(
            make(_with_layers(dims, len(range(entry, dims.n_layers, n))))
            for entry, make in enumerate(pattern)
        )

    @classmethod
    def of(cls, *pattern: Factory) -> Factory:
        """Bind the pattern and leave the dims open."""
        return partial(cls, pattern=pattern)

    def prepare(self, q_pos: Tensor, k_pos: Tensor) -> list[Any]:
        return [part.prepare(q_pos, k_pos) for part in self.parts]  # type: ignore[operator]

    def embed(self, x: Tensor, positions: Tensor, layer: int) -> Tensor:
        part, local = self._serving(layer)
        return part.embed(x, positions, local)

    def transform(self, site: Site) -> tuple[Tensor, Tensor]:
        part, local = self._localise(site)
        return part.transform(local)

    def bias(self, site: Site) -> Tensor | None:
        part, local = self._localise(site)
        return part.bias(local)

    def rescore(self, logits: Tensor, site: Site) -> Tensor:
        part, local = self._localise(site)
        return part.rescore(logits, local)

    def rescores(self, layer: int) -> bool:
        part, local = self._serving(layer)
        return part.rescores(local)

    def _serving(self, layer: int) -> tuple[PositionalEncoding, int]:
        local, entry = divmod(layer, len(self.parts))
        return self.parts[entry], local  # type: ignore[return-value]

    def _localise(self, site: Site) -> tuple[PositionalEncoding, Site]:
        part, local = self._serving(site.layer)
        prepared = site.prepared[site.layer % len(self.parts)]
        return part, site._replace(layer=local, prepared=prepared)


def _with_layers(dims: Dims, n_layers: int) -> Dims:
    return Dims(dims.d_model, dims.n_heads, n_layers, dims.causal, dims.embed_std)
