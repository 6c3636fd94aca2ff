"""How do tokens exchange what they know? The interface of a mixer, and what it is told.

Shapes: B sequences, T queries, S keys, H heads, G key-value heads, K channels of a head,
D = d_model.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence, Set
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lightning_posenc.checks import wrong
from lightning_posenc.dims import Dims
from lightning_posenc.masks import Mask, Visibility
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.part import Part
from lightning_posenc.positional.base import HOOKS, PositionalEncoding, Site
from lightning_posenc.positional.returned import returned
from lightning_posenc.positions import Places
from lightning_posenc.positions.paper import Paper

# What may be asked of a mixer besides an encoding's hooks, and what to do where it is refused.
_REMEDIES = {
    "causal": "a causal model: choose another mixer, as Attention (docs/mixers.md has all)",
    "bidirectional": "a model that is not causal: choose another mixer, as Attention "
    "(docs/mixers.md has all)",
    "mask": "a mask besides causality: leave out encoder.mask",
    "padding": "padded sequences: give all one length",
    "documents": "packed documents: let tokens see across them (separate_documents=false)",
    "cache": "a cache: generate without one (use_cache=False)",
    "memory": "the reading of another sequence: take Attention for that (cross.mixer)",
}
SERVICES = frozenset(_REMEDIES)


class Regrouped(NamedTuple):
    """Of what the rows of a stream are parts: windows of a grid, W to an image.

    Args:
        places: Where the T tokens of the whole are.
        back: (T,) where in the W rows, one behind another, each of them stands.
    """

    places: Places
    back: Tensor

    def whole(self, x: Tensor) -> Tensor:
        """The streams of the windows (B·W, w, D) as that of the whole, (B, T, D)."""
        return x.flatten(0, 1).unflatten(0, (-1, len(self.back)))[:, self.back]


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
        memory: (B, S, D) states of another sequence, whose tokens are then the keys; None if the
            tokens at hand, and those in the cache, read each other.
        cross: What the layers of a decoder share where they read another sequence.
        regrouped: Of what the rows at hand are parts; None if each is a whole sequence.
    """

    positional: PositionalEncoding
    q_places: Places
    k_places: Places
    prepared: Any
    visibility: Sequence[Visibility]
    cache: Cache | None = None
    prepared_at_hand: Any = None
    memory: Tensor | None = None
    cross: "Context | None" = None
    regrouped: Regrouped | None = None

    def embedded(self, x: Tensor, layer: int) -> Tensor:
        """The residual stream (B, T, D) as the encoding wants it before a block."""
        positional = self.positional
        if type(positional).embed is PositionalEncoding.embed:
            return x
        found = positional.embed(x, positional.told(self.q_places), layer)
        return found if found is x else returned(positional, "embed", found, x.shape, x.dtype)

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

    def real_tokens(self) -> Tensor | None:
        """Which of the tokens at hand are no padding: (B, T) bool; None if all are."""
        lengths, values = self.q_places.lengths, self.q_places.values
        if lengths is None:
            return None
        return torch.arange(values.shape[1], device=values.device) < lengths.unsqueeze(1)

    def seen_in(self, layer: int) -> Visibility:
        """Who may see whom in a layer."""
        return self.visibility[layer % len(self.visibility)]


class Growth(NamedTuple):
    """How the cost of mixing T tokens grows with T, all other sizes being fixed.

    Args:
        time: Of a forward and a backward pass: "T", "T²", "T log T", …
        memory: Of what a training step keeps for the backward pass, likewise.
    """

    time: str
    memory: str


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
    remembers_turned: ClassVar[bool] = False
    """Whether a cache is given its keys as `transform` leaves them, in layers where `keys_stay`;
    else it turns all keys at every step."""
    serves: ClassVar[frozenset[str]] = frozenset()
    """What else it serves: of causal, bidirectional, mask, padding, documents and cache; and
    memory: the keys are of another sequence, `context.memory`, which a decoder reads."""
    source: ClassVar[Paper | None] = None
    """What it transcribes; None for what no paper describes."""
    equation: ClassVar[str] = ""
    """What it computes, in TeX, for its page."""
    on_grid: ClassVar[bool] = False
    """Whether it mixes the tokens of a grid of rows and columns, and no other sequences."""
    growth: ClassVar[Growth | None] = None
    """What it costs, as its source says; None if nobody says."""

    longest: int | None = None
    """The most tokens that it serves; None if there is no limit."""

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
        for words, known in ((self.hooks, HOOKS), (self.serves, SERVICES)):
            if not isinstance(words, Set) or words - known:
                word = "hooks" if known is HOOKS else "serves"
                raise wrong(self, word, words, f"be a set, of some of {', '.join(sorted(known))}")
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
        if asked <= self.serves:
            return
        remedy = next(said for service, said in _REMEDIES.items() if service in asked - self.serves)
        raise ValueError(f"{type(self).__name__}: does not serve {remedy}")

    def check_length(self, length: int) -> None:
        """Refuse more tokens than it has parameters for.

        Args:
            length: S, tokens in all.

        Raises:
            ValueError: Naming the limit and what to do.
        """
        if self.longest is not None and length > self.longest:
            raise ValueError(
                f"{type(self).__name__}: serves at most {self.longest} tokens, got {length}: "
                "give a larger max_length"
            )


MixerFactory: TypeAlias = Callable[[Dims, int], Mixer]
