"""Canon layers of a block: each token's channels, and a few of those of the tokens before.

Shapes: B sequences, T tokens, C channels, W weights of a channel, D = d_model, F = d_ff.
"""

from collections.abc import Callable
from itertools import combinations
from typing import cast

import torch
from torch import Tensor, nn

from lightning_posenc.checks import made, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.model.block import Block
from lightning_posenc.model.feed_forward import FeedForward
from lightning_posenc.model.feed_forward.base import TwoMaps
from lightning_posenc.model.mixers.base import Context, Mixer
from lightning_posenc.model.mixers.neighbours import in_a_row, with_the_past
from lightning_posenc.model.part import Part
from lightning_posenc.model.residual import Plain, Residual, ResidualFactory
from lightning_posenc.positional.returned import returned

PLACES = ["".join(some) for n in (1, 2, 3) for some in combinations("ACD", n)]


class CanonLayer(nn.Module):
    """x_t + sum over s = 0..W-1 of w_s ⊙ x_(t-s), in float32 at least.

    Args:
        width: C.
        kernel_size: W.
        layer: Index of the layer, from 0.
        place: A, C or D: where in the layer, which a cache tells apart.
    """

    def __init__(self, width: int, kernel_size: int, layer: int, place: str) -> None:
        super().__init__()
        self.layer, self.place = layer, place
        self.weight = nn.Parameter(torch.empty(width, kernel_size))
        nn.init.uniform_(self.weight, -(kernel_size**-0.5), kernel_size**-0.5)  # as torch does

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Mix (B, T, C) with the tokens before: (B, T, C)."""
        in_a_row("Canon", context)
        exact = torch.promote_types(x.dtype, torch.float32)
        wide, weight = x.to(exact), self.weight.to(exact)
        past = with_the_past(wide, weight, context, self.layer, f"canon_{self.place}")
        return (wide + past).to(x.dtype)


class CanonBlock(Block):
    """A block with Canon layers where its residual, a `Canon`, wants them.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        mixer: The mixer.
        feed_forward: The feed-forward.
        norm: Makes a norm for a width.
        residual: Makes a `Canon`.
        dropout: Probability of dropping a channel of a branch's output, in [0, 1).

    Raises:
        ValueError: If Canon-D is wanted of a feed-forward that is no two maps.
    """

    def __init__(
        self,
        dims: Dims,
        layer: int,
        mixer: Mixer,
        feed_forward: FeedForward,
        norm: Callable[[int], nn.Module],
        *,
        residual: ResidualFactory,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dims, layer, mixer, feed_forward, norm, residual=residual, dropout=dropout)
        canon = cast(Canon, self.residual_attention)
        widths = {"A": dims.d_model, "C": dims.d_model}
        if "D" in canon.places:
            if not isinstance(feed_forward, TwoMaps) or type(feed_forward).forward is not (
                TwoMaps.forward
            ):
                raise ValueError(
                    f"Canon: places={canon.places} puts a layer between the two maps of a "
                    f"feed-forward, and {type(feed_forward).__name__} is not two maps: take MLP or "
                    "SwiGLU, or leave out D"
                )
            widths["D"] = feed_forward.d_hidden
        self.canon = nn.ModuleDict(
            {at: CanonLayer(widths[at], canon.kernel_size, layer, at) for at in canon.places}
        )

    def _attended(self, x: Tensor, context: Context) -> Tensor:
        return super()._attended(self._canon("A", x, context), context)

    def _fed(self, feed_forward: FeedForward, x: Tensor, context: Context) -> Tensor:
        x = self._canon("C", x, context)
        if "D" not in self.canon:
            return super()._fed(feed_forward, x, context)
        maps = cast(TwoMaps, feed_forward)
        found = maps.second(self._canon("D", maps.first(x), context))
        return self.dropout(returned(maps, "second", found, x.shape, x.dtype))

    def _canon(self, place: str, x: Tensor, context: Context) -> Tensor:
        return self.canon[place](x, context) if place in self.canon else x


class Canon(Residual):
    """Puts Canon layers into a block, whose branches another residual joins.

    A Canon layer adds to each token a short causal convolution of those before it, channel by
    channel, x_t + sum over s = 0..W-1 of w_s ⊙ x_(t-s): Canon-A to what the mixer reads, Canon-C to
    what the feed-forward reads, and Canon-D to what lies between the two maps of an MLP or a
    SwiGLU, before the activation and the gate. Canon-B, to queries, keys and values, is an
    encoding, `positional.CanonB`. So near tokens know each other in any mixer, and order is known
    without other positions. Of a packed sequence every document begins anew, a cache keeps the last
    W - 1 inputs of each, and an encoder's mask is of attention, and not of the convolutions.

    Source: Allen-Zhu 2025, "Physics of Language Models: Part 4.1, Architecture Design and the
    Magic of Canon Layers", arXiv:2512.17351, with the residual link, without bias and activation.
    The paper is causal; a bidirectional model is served, by the same convolution. Its blocks have
    norms before the branches; others are served likewise.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        places: Where: "AC", "ACD", or another choice of them, in this order.
        kernel_size: W, tokens that a convolution mixes, 1 to 63.
        residual: Makes what joins a branch to the stream.

    Raises:
        ValueError: If `places` names others, or the residual has two streams or further branches.

    Example:
        >>> from functools import partial
        >>> from lightning_posenc import Dims, Encoder
        >>> from lightning_posenc.model import Canon
        >>> encoder = Encoder(Dims(64, 4, 2, causal=True), residual=partial(Canon, places="ACD"))
    """

    layout = CanonBlock

    def __init__(
        self,
        dims: Dims,
        layer: int,
        places: str = "AC",
        kernel_size: int = 4,
        residual: ResidualFactory = Plain,
    ) -> None:
        super().__init__(dims, layer)
        if places not in PLACES:
            raise wrong(
                self, "places", places, f"be one of {', '.join(PLACES)}; B is positional.CanonB"
            )
        self.places = places
        self.kernel_size = whole(self, "kernel_size", kernel_size, most=63)
        self.inner: Residual = made(self, "residual", residual, Residual, dims, layer)
        if self.inner.reversible or self.inner.layout is not None:
            raise ValueError(
                f"Canon: residual={type(self.inner).__name__}: its layers are for blocks of one "
                "stream and two branches: choose another residual, as Plain"
            )
        self.pre_norm, self.parallel = self.inner.pre_norm, self.inner.parallel
        self.drop_path = self.inner.drop_path
        self.embedding_norm = self.inner.embedding_norm

    def join(self, x: Tensor, branch: Tensor) -> Tensor:
        return self.inner.join(x, branch)

    def initialise(self, branch: Part, std: float) -> None:
        self.inner.initialise(branch, std)
