"""One layer: a mixer and a feed-forward, each with its norm and its residual."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from lightning_posenc.checks import is_a, made, number
from lightning_posenc.dims import Dims
from lightning_posenc.model.feed_forward import FeedForward
from lightning_posenc.model.linear import linears
from lightning_posenc.model.mixers.base import Context, Mixer
from lightning_posenc.model.part import Part
from lightning_posenc.model.residual import Plain, Residual, ResidualFactory
from lightning_posenc.model.reversible import Join, kept
from lightning_posenc.positional.returned import returned


class Block(nn.Module):
    """x + mixer(norm(x)), then x + feed_forward(norm(x)); or norms after the sums; or both branches
    of the same x. A decoder's reads another sequence between the two, by a branch like them.

    Source: post-norm Vaswani et al. 2017, arXiv:1706.03762; pre-norm Xiong et al. 2020,
    arXiv:2002.04745; parallel, GPT-J and PaLM (Chowdhery et al. 2022, arXiv:2204.02311, section 2).
    How a branch joins the stream is the residual's to say; the sum is plain.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        mixer: The mixer. Its parameters are called `attention.…`, whatever it is, in checkpoints.
        feed_forward: The feed-forward.
        norm: Makes a norm for a width.
        residual: Makes what joins a branch to the stream.
        dropout: Probability of dropping a channel of a branch's output, in [0, 1).
    """

    def __init__(
        self,
        dims: Dims,
        layer: int,
        mixer: Mixer,
        feed_forward: FeedForward,
        norm: Callable[[int], nn.Module],
        *,
        residual: ResidualFactory = Plain,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        is_a(self, "dims", dims, Dims)
        number(self, "dropout", dropout, 0, below=1)
        self.attention: Mixer = is_a(self, "mixer", mixer, Mixer)
        self.feed_forward: FeedForward = is_a(self, "feed_forward", feed_forward, FeedForward)
        self.norm_attention = made(self, "norm", norm, nn.Module, dims.d_model)
        self.norm_feed_forward = made(self, "norm", norm, nn.Module, dims.d_model)
        self.residual_attention = made(self, "residual", residual, Residual, dims, layer)
        self.residual_feed_forward = made(self, "residual", residual, Residual, dims, layer)
        self.dropout = nn.Dropout(dropout)
        self.cross_attention: Mixer | None = None

    def read_by(self, mixer: Mixer) -> None:
        """Read another sequence, too, by a branch that is like the others but for its mixer.

        To be called before `initialise`.
        """
        self.cross_attention = is_a(self, "mixer", mixer, Mixer)
        self.norm_cross_attention = copy.deepcopy(self.norm_attention)
        self.residual_cross_attention = copy.deepcopy(self.residual_attention)

    @property
    def pre_norm(self) -> bool:
        """Whether norms stand before the branches."""
        return self.residual_attention.pre_norm

    def forward(
        self, x: Tensor, context: Context, beside: Tensor | None = None, join: Join = kept
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Map (B, T, D) to (B, T, D).

        Args:
            x: The stream.
            context: What all layers share.
            beside: (B, T, D) the other stream, if the residual is reversible.
            join: How a branch is then added to the stream that it does not read.

        Returns:
            The stream; of two, both.
        """
        if beside is not None:
            beside = join(partial(self._mixed, context), beside, x)
            return join(partial(self._fed_forward, context), x, beside), beside
        residual: Residual = self.residual_attention
        if residual.pre_norm:
            mixed = residual(x, self._attended(self.norm_attention(x), context))
            if self.cross_attention is not None:
                mixed = self._crossed(mixed, context)
            residual = self.residual_feed_forward
            read = x if residual.parallel else mixed
            return residual(
                mixed, self._fed(self.feed_forward, self.norm_feed_forward(read), context)
            )
        branch = self._attended(x, context)
        x = self._crossed(self.norm_attention(self.residual_attention(x, branch)), context)
        branch = self._fed(self.feed_forward, x, context)
        return self.norm_feed_forward(self.residual_feed_forward(x, branch))

    def _crossed(self, x: Tensor, context: Context) -> Tensor:
        """The stream once it has read the other sequence, if there is one."""
        if self.cross_attention is None:
            return x
        read = self.norm_cross_attention(x) if self.pre_norm else x
        branch = self._branch(self.cross_attention, read, context.cross)
        x = self.residual_cross_attention(x, branch)
        return x if self.pre_norm else self.norm_cross_attention(x)

    def _attended(self, x: Tensor, context: Context) -> Tensor:
        return self._branch(self.attention, x, context)

    def _fed(self, feed_forward: FeedForward, x: Tensor, context: Context) -> Tensor:
        told = (context.q_places,) if feed_forward.reads_places else ()
        return self._branch(feed_forward, x, *told)

    def _branch(self, part: Part, x: Tensor, *more: Any) -> Tensor:
        """What a part makes of x, some channels dropped."""
        found = returned(part, "forward", part(x, *more), x.shape, x.dtype)
        dropout = self.dropout
        return dropout(found) if dropout.training else found

    def _mixed(self, context: Context, x: Tensor) -> Tensor:
        layer = self.attention.layer
        if layer:  # before the first block it is the stream's own
            x = context.embedded(x, layer)
        branch = self._attended(self.norm_attention(x), context)
        return self.residual_attention.drop_path(branch)

    def _fed_forward(self, context: Context, x: Tensor) -> Tensor:
        branch = self._fed(self.feed_forward, self.norm_feed_forward(x), context)
        return self.residual_feed_forward.drop_path(branch)

    def initialise(self, std: float) -> None:
        """Start linear layers at N(0, std), then each part as it wants, at the residual's scale."""
        for linear, _ in linears(self):
            nn.init.normal_(linear.weight, std=std)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
        self.residual_attention.initialise(self.attention, std)
        self.residual_feed_forward.initialise(self.feed_forward, std)
        if self.cross_attention is not None:
            self.residual_cross_attention.initialise(self.cross_attention, std)
