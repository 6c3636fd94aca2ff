"""A deep transformer encoder with a pluggable positional encoding.

Shapes: B sequences, T tokens, D = d_model.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_posenc.checks import is_a, made, maker, number
from lightning_posenc.dims import Dims
from lightning_posenc.masks import Causal, Documents, Mask, Padding, Visibility, compose
from lightning_posenc.model.block import Block
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.door import check_ids, check_inputs, check_lengths, checked_places
from lightning_posenc.model.feed_forward import MLP, FeedForward, FeedForwardFactory
from lightning_posenc.model.mixers import Attention, Context, Mixer, MixerFactory
from lightning_posenc.model.residual import Plain, Residual, ResidualFactory
from lightning_posenc.model.sigma_reparam import advance, reparametrise
from lightning_posenc.positional import NoPE
from lightning_posenc.positional.base import Factory, PositionalEncoding
from lightning_posenc.positions import Consecutive, Places, Positions, Sequences


class Encoder(nn.Module):
    """A stack of blocks over embedded tokens; `self.positional` owns all positional state.

    Projections start at N(0, init_std), those into the residual stream at init_std / sqrt(2L), as
    in GPT-2 (Radford et al. 2019), unless the residual or the part wants them otherwise.

    Args:
        dims: Sizes. A causal model adds the causal mask by itself.
        positional: Makes the encoding from the dims: `RoPE`, `Chain.of(RoPE, ALiBi)`, …
        positions: Where tokens are; None counts 0, 1, 2, …
        mask: A pattern of attention besides causality, padding and documents, such as Window(256);
            or a list of them, one a layer, repeated to the model's depth.
        mixer: Makes what lets tokens exchange what they know, of the dims and the layer: Attention,
            or one of your own; or a list of such, one a layer, repeated to the model's depth.
        feed_forward: Makes the feed-forward, likewise: MLP or SwiGLU; None for MLP.
        norm: Makes a norm of a width: torch.nn.LayerNorm or torch.nn.RMSNorm; None for LayerNorm.
        residual: How a branch joins the residual stream: Plain, LayerScale, ReZero or DeepNorm.
            Where norms stand, and what the feed-forward reads, are options of it.
        sigma_reparam: Divide the blocks' weights by their spectral norms and multiply them by
            learned gains, 1 at first: attention's entropy does not collapse. `init_std` then
            decides only how fast they turn.
        dropout: Probability of dropping a channel of a branch's output, in [0, 1).
        checkpoint_activations: Recompute blocks in the backward pass instead of storing them.
        init_std: Standard deviation of projections at initialisation, not negative.
    """

    def __init__(
        self,
        dims: Dims,
        positional: Factory = NoPE,
        positions: Positions | None = None,
        *,
        mask: Mask | Sequence[Mask | None] | None = None,
        mixer: MixerFactory | Sequence[MixerFactory] = Attention,
        feed_forward: FeedForwardFactory | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        residual: ResidualFactory = Plain,
        sigma_reparam: bool = False,
        dropout: float = 0.0,
        checkpoint_activations: bool = False,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        self.dims = is_a(self, "dims", dims, Dims)
        self.positions: Positions = Consecutive()
        if positions is not None:
            self.positions = is_a(self, "positions", positions, Positions)
        patterns = _by_layer("mask", mask, dims)
        for pattern in patterns:
            is_a(self, "mask", pattern, Mask | None)
        self.masks = [compose(Causal() if dims.causal else None, each) for each in patterns]
        self.checkpoint_activations = checkpoint_activations
        # Not defaults themselves: jsonargparse would hand their own defaults on to whatever class
        # a config names instead, MLP's bias to SwiGLU and LayerNorm's eps to RMSNorm.
        feed_forward = MLP if feed_forward is None else feed_forward
        norm = nn.LayerNorm if norm is None else norm
        mixers = _by_layer("mixer", mixer, dims)
        for make in mixers:
            maker(self, "mixer", make, Mixer, dims, 0)
        maker(self, "feed_forward", feed_forward, FeedForward, dims, 0)
        maker(self, "norm", norm, nn.Module, dims.d_model)
        maker(self, "residual", residual, Residual, dims, 0)
        number(self, "dropout", dropout, 0, below=1)
        number(self, "init_std", init_std, 0)
        self.positional = made(self, "positional", positional, PositionalEncoding, dims)
        self.blocks = nn.ModuleList(
            Block(
                dims,
                layer,
                made(self, "mixer", mixers[layer % len(mixers)], Mixer, dims, layer),
                made(self, "feed_forward", feed_forward, FeedForward, dims, layer),
                norm,
                residual=residual,
                dropout=dropout,
            )
            for layer in range(dims.n_layers)
        )
        for layer, each in enumerate(self.mixers):
            each.check(self.positional, patterns[layer % len(patterns)])
        self.embedding_norm: nn.Module = nn.Identity()
        if cast(Block, self.blocks[0]).residual_attention.embedding_norm:
            self.embedding_norm = made(self, "norm", norm, nn.Module, dims.d_model)
        self.dropout = nn.Dropout(dropout)
        ends = any(cast(Block, block).pre_norm for block in self.blocks)
        self.norm = made(self, "norm", norm, nn.Module, dims.d_model) if ends else nn.Identity()
        for block in self.blocks:
            cast(Block, block).initialise(init_std)
        self.sigma_reparam = sigma_reparam
        if sigma_reparam:
            reparametrise(self.blocks)

    @property
    def mixers(self) -> list[Mixer]:
        """The mixers, layer by layer."""
        return [cast(Block, block).attention for block in self.blocks]

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None = None,
        documents: Tensor | None = None,
        positions: Tensor | Places | None = None,
        tokens: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Encode.

        Args:
            x: (B, T, D) embedded tokens.
            lengths: (B,) tokens of each sequence; beyond them is padding, which none of them sees.
                None if all are full.
            documents: (B, T) id of the document of each token of packed sequences: tokens see
                only their own document.
            positions: (B|1, T), or (B|1, T, A) on A axes, or `Places` of them: in place of those
                that `self.positions` would draw.
            tokens: (B, T) ids of the tokens, for samplers of positions that read them.
            cache: What a causal model remembers of S - T tokens before these; it is extended by
                these. Then `lengths`, `documents` and `positions` (which must be given) are those
                of all S tokens.

        Returns:
            (B, T, D). What stands at padding means nothing.

        Raises:
            ValueError: If a shape, a dtype or a value does not fit, or the encoding cannot serve
                the positions.
        """
        check_inputs(x, self.dims.d_model)
        n_sequences, n_queries, _ = x.shape
        length = n_queries + (0 if cache is None else len(cache))
        if lengths is not None:
            check_lengths(lengths, n_sequences, length)
        if documents is not None:
            check_ids("documents", documents, n_sequences, length)
        if tokens is not None:
            check_ids("tokens", tokens, n_sequences, length)
        # A causal model hides padding from all tokens already, for it comes after them: a mask of
        # its own would change nothing but rows of padding, and would cost the fused causal kernel.
        of_batch = compose(
            None if lengths is None or self.dims.causal else Padding(lengths),
            None if documents is None else Documents(documents),
        )
        visibility = [
            Visibility(compose(mask, of_batch), n_queries, length, x.device) for mask in self.masks
        ]
        given = {"padding": lengths, "documents": documents, "cache": cache}
        asked = {name for name, value in given.items() if value is not None}
        for mixer in self.mixers:
            mixer.check_serves(asked)
        if cache is not None:
            self._check_cache(positions, length)
        if positions is None:
            told = Sequences(n_sequences, length, x.device, documents, lengths, tokens)
            positions = self.positions.places(told)
        places = checked_places(positions, n_sequences, length, documents, lengths)
        if isinstance(positions, Tensor):  # distances that a sampler draws are drawn for these too
            places = places._replace(stretch=self.positions.stretch(places))
        reason = None if cache is None else self.positional.depends_on_length(places)
        if reason is not None:
            raise ValueError(f"{reason}: decode without a cache (use_cache=False)")
        if n_queries == 0:
            return self.norm(x)
        here = places if n_queries == length else places.last(n_queries)
        with torch.autocast(x.device.type, enabled=False):
            self.positional.check(places)
            prepared, at_hand = self._prepared(here, places)
        if self.sigma_reparam and self.training and torch.is_grad_enabled():
            advance(self.blocks)
        context = Context(self.positional, here, places, prepared, visibility, cache, at_hand)
        for layer, block in enumerate(self.blocks):
            x = self.positional.embed(x, here.values, layer)
            if layer == 0:
                x = self.dropout(self.embedding_norm(x))
            if self.checkpoint_activations and self.training:
                x = checkpoint(block, x, context, use_reentrant=False)
            else:
                x = block(x, context)
        return self.norm(x)

    def _prepared(self, here: Places, places: Places) -> tuple[Any, Any]:
        """What the encoding prepares for tokens at hand among all, and among themselves."""
        positional, layers = self.positional, range(self.dims.n_layers)
        if here is places:  # no others are in a cache
            prepared = positional.prepare(places, places)
            return prepared, prepared
        stay = [positional.keys_stay(layer) for layer in layers]
        at_hand = positional.prepare(here, here) if any(stay) else None
        if all(stay) and all(positional.hooks(layer) <= {"transform"} for layer in layers):
            return at_hand, at_hand  # nothing is asked of the others, whose keys are turned
        return positional.prepare(here, places), at_hand

    def _check_cache(self, positions: Tensor | Places | None, length: int) -> None:
        if not self.dims.causal:
            raise ValueError(
                "a cache needs a causal model: in a bidirectional one the states of earlier tokens "
                "change with those that follow; read the whole sequence anew"
            )
        if self.checkpoint_activations and self.training and torch.is_grad_enabled():
            raise ValueError(
                "a cache is extended once more when checkpointed activations are recomputed: set "
                "checkpoint_activations=false, or call eval() or torch.no_grad() to generate"
            )
        values = positions.values if isinstance(positions, Places) else positions
        if values is None or values.dim() < 2 or values.shape[1] != length:
            given = "none" if values is None else f"shape {tuple(values.shape)}"
            raise ValueError(
                f"a cache needs the positions of all {length} tokens, those in the cache "
                f"included, got {given}"
            )


def _by_layer(name: str, given: Any, dims: Dims) -> list[Any]:
    """One thing for all layers, or several, of which layer l takes entry l mod n."""
    is_several = isinstance(given, Sequence) and not isinstance(given, str)
    entries = list(given) if is_several else [given]
    if not 1 <= len(entries) <= dims.n_layers:
        raise ValueError(
            f"{name}: {len(entries)} entries do not fit {dims.n_layers} layers; give between "
            "one entry and one for each layer"
        )
    return entries


@final
class EncoderSpec:
    """An encoder but for its encoding: what stands under `model.encoder` in a config.

    It adds the sizes to `Encoder`'s own signature, and lists nothing twice.

    Args:
        d_model: Width of the residual stream, a multiple of `n_heads`.
        n_heads: Number of attention heads.
        n_layers: Number of blocks.
        embed_std: Standard deviation of token embeddings at initialisation.
        wiring: Any keyword argument of `Encoder`.
    """

    def __init__(
        self,
        d_model: int = 64,
        n_heads: int = 4,
        n_layers: int = 2,
        embed_std: float = 1.0,
        **wiring: Any,
    ) -> None:
        self.sizes = (d_model, n_heads, n_layers)
        self.embed_std = embed_std
        self.wiring = wiring

    def arguments(self) -> dict[str, Any]:
        """What it was made with."""
        d_model, n_heads, n_layers = self.sizes
        sizes = {"d_model": d_model, "n_heads": n_heads, "n_layers": n_layers}
        return {**sizes, "embed_std": self.embed_std, **self.wiring}

    def build(self, positional: Factory, positions: Positions | None, causal: bool) -> Encoder:
        """Make the encoder."""
        dims = Dims(*self.sizes, causal=causal, embed_std=self.embed_std)
        return Encoder(dims, positional=positional, positions=positions, **self.wiring)
