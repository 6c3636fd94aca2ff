"""A deep transformer encoder with a pluggable positional encoding.

Shapes: B sequences, T tokens, D = d_model.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_posenc.checks import is_a, made, maker, number
from lightning_posenc.dims import Dims
from lightning_posenc.masks import Causal, Mask, Visibility, compose, in_batch
from lightning_posenc.model import remembering
from lightning_posenc.model.block import Block
from lightning_posenc.model.cache import Cache
from lightning_posenc.model.door import check_inputs, check_told, checked_places, in_full_precision
from lightning_posenc.model.feed_forward import MLP, FeedForward, FeedForwardFactory
from lightning_posenc.model.funnel import Funnel
from lightning_posenc.model.memory import CrossReading, Memory, crossing
from lightning_posenc.model.mixers import Attention, Context, Mixer, MixerFactory
from lightning_posenc.model.part import by_layer
from lightning_posenc.model.residual import Plain, Residual, ResidualFactory
from lightning_posenc.model.reversible import is_reversible, through
from lightning_posenc.model.sigma_reparam import advance, reparametrise
from lightning_posenc.model.stage import Stage
from lightning_posenc.model.windows import ShiftedWindows
from lightning_posenc.positional import NoPE
from lightning_posenc.positional.base import Factory, PositionalEncoding
from lightning_posenc.positions import Consecutive, Places, Positions, Sequences


class Encoder(nn.Module):
    """A stack of blocks over embedded tokens; `self.positional` owns all positional state.

    With `checkpoint_activations` set, the backward pass computes blocks anew and stores none.

    Projections start at N(0, init_std), those into the residual stream at init_std / sqrt(2L), as
    in GPT-2 (Radford et al. 2019), unless the residual or the part wants them otherwise.

    Args:
        dims: Sizes. A causal model adds the causal mask by itself.
        positional: Makes the encoding from the dims: `RoPE`, `Chain.of(RoPE, ALiBi)`, …
        positions: Where tokens are; None counts 0, 1, 2, …
        mask: A pattern of attention besides causality, padding and documents, such as Window(256);
            or a list of them, one a layer, repeated to the model's depth; or ShiftedWindows of the
            tokens of a grid, of all layers.
        mixer: Makes what lets tokens exchange what they know, of the dims and the layer: Attention,
            or one of your own; or a list of such, one a layer, repeated to the model's depth.
        feed_forward: Makes the feed-forward, likewise: MLP or SwiGLU; None for MLP.
        norm: Makes a norm of a width, as torch.nn.LayerNorm or RMSNorm; None for LayerNorm.
        residual: How a branch joins the residual stream: Plain, LayerScale, ReZero, DeepNorm or
            Reversible; Conformer, with branches besides; or Canon, with short convolutions. Where
            norms stand, and what the feed-forward reads, are options of it.
        funnel: Pools tokens between stages of blocks; None for all tokens in all layers.
        sigma_reparam: Divide the blocks' weights by their spectral norms and multiply them by
            learned gains, 1 at first: attention's entropy does not collapse. `init_std` then
            decides only how fast they turn.
        dropout: Probability of dropping a channel of a branch's output, in [0, 1).
        init_std: Standard deviation of projections at initialisation, not negative.
    """

    def __init__(
        self,
        dims: Dims,
        positional: Factory = NoPE,
        positions: Positions | None = None,
        *,
        mask: Mask | ShiftedWindows | Sequence[Mask | None] | None = None,
        mixer: MixerFactory | Sequence[MixerFactory] = Attention,
        feed_forward: FeedForwardFactory | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        residual: ResidualFactory = Plain,
        funnel: Funnel | None = None,
        sigma_reparam: bool = False,
        dropout: float = 0.0,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        self.checkpoint_activations = False  # no argument: no number that it computes depends on it
        self.dims = is_a(self, "dims", dims, Dims)
        self.out_dims = self.dims  # of several stages, the last one's
        self.n_class_tokens = 0  # that stages put before the tokens of a grid
        self.positions: Positions = Consecutive()
        if positions is not None:
            self.positions = is_a(self, "positions", positions, Positions)
        self.windows = mask if isinstance(mask, ShiftedWindows) else None
        patterns = by_layer("mask", None if isinstance(mask, ShiftedWindows) else mask, dims)
        for pattern in patterns:
            is_a(self, "mask", pattern, Mask | None)
            if dims.causal and pattern is not None and pattern.depends_on_length:
                raise ValueError(
                    "Encoder: who sees whom changes with the number of tokens in "
                    f"mask={type(pattern).__name__}, and so with the future, which a causal model "
                    "must not know: choose one that stays, as Longformer or StreamingLLM"
                )
        self.masks = [compose(Causal() if dims.causal else None, each) for each in patterns]
        # Not defaults themselves: jsonargparse would hand their own defaults on to whatever class
        # a config names instead, MLP's bias to SwiGLU and LayerNorm's eps to RMSNorm.
        feed_forward = MLP if feed_forward is None else feed_forward
        norm = nn.LayerNorm if norm is None else norm
        mixers = by_layer("mixer", mixer, dims)
        for make in mixers:
            maker(self, "mixer", make, Mixer, dims, 0)
        maker(self, "feed_forward", feed_forward, FeedForward, dims, 0)
        maker(self, "norm", norm, nn.Module, dims.d_model)
        layout = made(self, "residual", residual, Residual, dims, 0).layout or Block
        number(self, "dropout", dropout, 0, below=1)
        number(self, "init_std", init_std, 0)
        self.positional = made(self, "positional", positional, PositionalEncoding, dims)
        self.cross: CrossReading | None = None  # a `Decoder` has one
        self.blocks = nn.ModuleList(
            layout(
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
        self.reversible = is_reversible(self.blocks)
        self.funnel: Funnel | None = is_a(self, "funnel", funnel, Funnel | None)
        if funnel is not None:
            funnel.check(dims, patterns, self.reversible)
        if self.windows is not None:
            self.windows.check(dims, self.reversible)
            for each in self.mixers:  # what a shift brings together does not see each other
                each.check_serves({"mask"})
            if funnel is not None:
                raise ValueError("Encoder: funnel and windows: pooled tokens are of no grid")
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
    def encodings(self) -> nn.Module:
        """What owns all positional state; of several stages, a list of theirs."""
        return self.positional

    @property
    def all_blocks(self) -> Sequence[nn.Module]:
        """The blocks of all stages, if there are several."""
        return cast(Sequence[nn.Module], self.blocks)

    @property
    def mixers(self) -> list[Mixer]:
        """The mixers, layer by layer."""
        blocks: Iterable[Block] = self.blocks  # type: ignore[assignment]
        return [block.attention for block in blocks]

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None = None,
        documents: Tensor | None = None,
        positions: Tensor | Places | None = None,
        tokens: Tensor | None = None,
        cache: Cache | None = None,
        memory: Memory | None = None,
    ) -> Tensor:
        """Encode.

        Args:
            x: (B, T, D) embedded tokens.
            lengths: (B,) tokens of each sequence; beyond them is padding, which none of them sees.
                None if all are full.
            documents: (B, T) id of the document of each token of packed sequences, each in one
                piece: tokens see only their own document.
            positions: (B|1, T), or (B|1, T, A) on A axes, or `Places` of them: in place of those
                that `self.positions` would draw.
            tokens: (B, T) ids of the tokens, for samplers of positions that read them.
            cache: What a causal model remembers of S - T tokens before these; it is extended by
                these. Then `lengths`, `documents` and `positions` (which must be given) are those
                of all S tokens.
            memory: The other sequence, which a `Decoder` reads.

        Returns:
            (B, T, D). What stands at padding means nothing.

        Raises:
            ValueError: If a shape, a dtype or a value does not fit, or the encoding cannot serve
                the positions.
        """
        check_inputs(x, self.dims.d_model)
        n_sequences, n_queries, _ = x.shape
        length = n_queries + (0 if cache is None else len(cache))
        check_told(n_sequences, length, lengths, documents, tokens)
        # A causal model hides padding from all tokens already, for it comes after them: a mask of
        # its own would change nothing but rows of padding, and would cost the fused causal kernel.
        hidden = None if self.dims.causal else lengths
        given = {"padding": lengths, "documents": documents, "cache": cache}
        asked = {name for name, value in given.items() if value is not None}
        mixers = self.mixers
        for mixer in mixers:
            mixer.check_serves(asked)
            mixer.check_length(length)
        kept = None
        if cache is not None:
            kept = self._remembered(cache, positions, n_queries, documents is not None)
        kept = kept if kept is None else kept.to(x.device)
        n_keys, first = length if kept is None else len(kept), length - n_queries
        visibility = [
            Visibility(each, n_queries, n_keys, x.device, first, kept)
            for each in (in_batch(mask, hidden, documents, x.device) for mask in self.masks)
        ]
        owner = "Encoder"
        if positions is None:
            owner = type(self.positions).__name__
            told = Sequences(n_sequences, length, x.device, documents, lengths, tokens)
            positions = self.positions.places(told)
        places = checked_places(positions, n_sequences, length, documents, lengths, owner)
        if isinstance(positions, Tensor):  # distances that a sampler draws are drawn for these too
            places = places._replace(stretch=self.positions.stretch(places))
        reason = None if cache is None else self.positional.depends_on_length(places)
        if reason is not None:
            raise ValueError(f"{reason}: decode without a cache (use_cache=False)")
        if n_queries == 0:
            return self.norm(x)
        here = places if n_queries == length else places.last(n_queries)
        with in_full_precision(x.device.type):
            self.positional.check(places)
            places = places if kept is None else places.at(kept)
            ready, at_hand = remembering.prepared(self.positional, here, places, mixers)
        if self.sigma_reparam and self.training and torch.is_grad_enabled():
            advance(self.blocks)
        read = crossing(self.cross, memory, x, here, cache)
        context = Context(
            self.positional, here, places, ready, visibility, cache, at_hand, cross=read
        )
        x = context.embedded(x, 0)
        x = self.dropout(self.embedding_norm(x))
        if self.reversible:
            return self.norm(through(self.blocks, x, context))
        regrouped = self.windows or self.funnel
        if regrouped is not None:
            return self.norm(regrouped.through(self._run, len(self.blocks), x, context))
        return self.norm(self._run(x, context, range(len(self.blocks))))

    def _run(self, x: Tensor, context: Context, layers: range) -> Tensor:
        """Run the stream (B, T, D) through the blocks of some layers."""
        blocks = list(self.blocks)
        for layer in layers:
            if layer:  # before the first, tokens are embedded
                x = context.embedded(x, layer)
            if self.checkpoint_activations and self.training:
                x = checkpoint(blocks[layer], x, context, use_reentrant=False)
            else:
                x = blocks[layer](x, context)
        return x

    def remembers(self, length: int) -> int:
        """How many tokens a cache holds while so many are read one by one: see `Cache`.

        Args:
            length: S, tokens in all.
        """
        return remembering.most_remembered(self.positional, self.masks, length)

    def _remembered(
        self, cache: Cache, positions: Tensor | Places | None, n_new: int, packed: bool
    ) -> Tensor | None:
        """Which tokens are remembered, and the new ones; None if they are all."""
        remembering.check_continues(self.dims.causal, positions, len(cache) + n_new)
        if self.checkpoint_activations and self.training and torch.is_grad_enabled():
            raise ValueError(
                "a cache is extended once more when checkpointed activations are recomputed: set "
                "checkpoint_activations=false, or call eval() or torch.no_grad() to generate"
            )
        # Where documents begin that are still to come is not known: of those nothing is forgotten.
        masks = [each if each and each.by_distance else None for each in self.masks]
        return remembering.made_room(cache, self.positional, masks if packed else self.masks, n_new)


@final
class EncoderSpec:
    """An encoder but for its encoding: what stands under `model.encoder` in a config.

    It adds the sizes to `Encoder`'s own signature, and lists nothing twice.

    Args:
        d_model: Width of the residual stream, a multiple of `n_heads`.
        n_heads: Number of attention heads.
        n_layers: Number of blocks.
        embed_std: Standard deviation of token embeddings at initialisation.
        stages: Further stages of a grid's tokens, ever fewer and wider ones, behind these; None for
            one encoder of all tokens.
        wiring: Any keyword argument of `Encoder`.
    """

    def __init__(
        self,
        d_model: int = 64,
        n_heads: int = 4,
        n_layers: int = 2,
        embed_std: float = 1.0,
        stages: Sequence[Stage] | None = None,
        **wiring: Any,
    ) -> None:
        self.stages = stages
        self.sizes = (d_model, n_heads, n_layers)
        self.embed_std = embed_std
        self.wiring = wiring

    def arguments(self) -> dict[str, Any]:
        """What it was made with."""
        d_model, n_heads, n_layers = self.sizes
        sizes = {"d_model": d_model, "n_heads": n_heads, "n_layers": n_layers}
        stages = {} if self.stages is None else {"stages": list(self.stages)}
        return {**sizes, "embed_std": self.embed_std, **stages, **self.wiring}

    def build(self, positional: Factory, positions: Positions | None, causal: bool) -> Encoder:
        """Make the encoder."""
        dims = self.dims(causal)
        if self.stages is None:
            return Encoder(dims, positional=positional, positions=positions, **self.wiring)
        from lightning_posenc.model.stages import StagedEncoder  # which is made of encoders

        return StagedEncoder(dims, positional, positions, stages=self.stages, **self.wiring)

    def dims(self, causal: bool) -> Dims:
        """Its sizes."""
        return Dims(*self.sizes, causal=causal, embed_std=self.embed_std)
