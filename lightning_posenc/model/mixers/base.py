"""How do tokens exchange what they know? The interface of a mixer, and what it is told.

Shapes: B sequences, T queries, S keys, H heads, G key-value heads, K channels of a head,
D = d_model.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

from torch import Tensor

from lightning_posenc.dims import Dims
from lightning_posenc.masks import Mask, Visibility
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.part import Part
from lightning_posenc.positional.base import PositionalEncoding, Site
from lightning_posenc.positions import Places

# What may be asked of a mixer besides an encoding's hooks, and what to do where it is refused.
_REMEDIES = {
    "causal": "a causal model",
    "bidirectional": "a model that is not causal",
    "mask": "a mask besides causality: leave out encoder.mask",
    "padding": "padded sequences: give all one length",
    "documents": "packed documents: let tokens see across them (separate_documents=false)",
    "cache": "a cache: generate without one (use_cache=False)",
}
SERVICES = frozenset(_REMEDIES)


class Context(NamedTuple):
    """What all layers of one forward pass share.

    Args:
        positional: The model's encoding.
        q_places: Where the tokens at hand are.
        k_places: Where all tokens are, those in the cache first.
        prepared: What the encoding prepared for this forward.
        visibility: Who may see whom, layer by layer: layer l takes entry l mod n.
        cache: The tokens before these, if they were read before.
        prepared_at_hand: What the encoding prepared for the tokens at hand alone, as if none were
            in the cache; None if in no layer `keys_stay`.
    """

    positional: PositionalEncoding
    q_places: Places
    k_places: Places
    prepared: Any
    visibility: Sequence[Visibility]
    cache: Cache | None = None
    prepared_at_hand: Any = None

    def site(
        self, layer: int, x: Tensor, k_x: Tensor | None, q: Tensor, k: Tensor, v: Tensor
    ) -> Site:
        """What the encoding's hooks look at in a layer.

        Args:
            layer: Index of the layer.
            x: (B, T, D) input of the mixer at the queries.
            k_x: (B, S, D) the same at the keys; None if nobody reads it.
            q: (B, H, T, K) queries.
            k: (B, G, S, K) keys.
            v: (B, G, S, K) values.
        """
        return Site(layer, x, k_x, q, k, v, self.q_places, self.k_places, self.prepared)

    def site_at_hand(self, layer: int, x: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Site:
        """The same of the tokens at hand alone, as if none were in a cache.

        Args:
            layer: Index of the layer.
            x: (B, T, D) input of the mixer.
            q: (B, H, T, K) queries.
            k: (B, G, T, K) keys.
            v: (B, G, T, K) values.
        """
        return Site(layer, x, x, q, k, v, self.q_places, self.q_places, self.prepared_at_hand)

    def seen_in(self, layer: int) -> Visibility:
        """Who may see whom in a layer."""
        return self.visibility[layer % len(self.visibility)]


class Mixer(Part):
    """Lets tokens exchange what they know; attention is one of many.

    A subclass says what it can honour. Whatever else an encoder asks of it is refused in one line
    that names it, when the encoder is built or called; so nothing is silently ignored.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
    """

    hooks: ClassVar[frozenset[str]] = frozenset()
    """The hooks of an encoding that it calls: of transform, bias, rescore, values and output."""
    serves: ClassVar[frozenset[str]] = frozenset()
    """What else it serves: of causal, bidirectional, mask, padding, documents and cache."""

    @abstractmethod
    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Mix (B, T, D) over the tokens: (B, T, D)."""

    def check(self, positional: PositionalEncoding, mask: Mask | None) -> None:
        """Refuse to be built into an encoder that asks for more than it can do.

        Args:
            positional: The model's encoding.
            mask: The layer's pattern of attention besides causality, padding and documents.

        Raises:
            ValueError: Naming what it cannot honour.
        """
        name = type(self).__name__
        if missing := sorted(positional.hooks(self.layer) - self.hooks):
            can = f"honours {' and '.join(sorted(self.hooks))}" if self.hooks else "honours none"
            raise ValueError(
                f"{name}: does not honour {' and '.join(missing)} of "
                f"{type(positional).__name__} in layer {self.layer} (of an encoding's hooks it "
                f"{can}): choose another encoding or mixer"
            )
        self.check_serves({"causal" if self.dims.causal else "bidirectional"})
        if mask is not None:
            self.check_serves({"mask"})

    def check_serves(self, asked: set[str]) -> None:
        """Refuse a forward pass that asks for more than it can do.

        Args:
            asked: Some of `SERVICES`.

        Raises:
            ValueError: Naming the first that it does not serve, and what to do.
        """
        for service, remedy in _REMEDIES.items():
            if service in asked - self.serves:
                raise ValueError(f"{type(self).__name__}: does not serve {remedy}")


MixerFactory: TypeAlias = Callable[[Dims, int], Mixer]
