"""One layer: a mixer and a feed-forward, each with its norm and its residual."""

from collections.abc import Callable

from torch import Tensor, nn

from lightning_posenc.checks import is_a, made, number
from lightning_posenc.dims import Dims
from lightning_posenc.model.feed_forward import FeedForward
from lightning_posenc.model.linear import linears
from lightning_posenc.model.mixers.base import Context, Mixer
from lightning_posenc.model.residual import Plain, Residual, ResidualFactory


class Block(nn.Module):
    """x + mixer(norm(x)), then x + feed_forward(norm(x)); or norms after the sums; or both branches
    of the same x.

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

    @property
    def pre_norm(self) -> bool:
        """Whether norms stand before the branches."""
        return self.residual_attention.pre_norm

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        if self.pre_norm:
            branch = self.dropout(self.attention(self.norm_attention(x), context))
            mixed = self.residual_attention(x, branch)
            read = x if self.residual_feed_forward.parallel else mixed
            branch = self.dropout(self.feed_forward(self.norm_feed_forward(read)))
            return self.residual_feed_forward(mixed, branch)
        branch = self.dropout(self.attention(x, context))
        x = self.norm_attention(self.residual_attention(x, branch))
        branch = self.dropout(self.feed_forward(x))
        return self.norm_feed_forward(self.residual_feed_forward(x, branch))

    def initialise(self, std: float) -> None:
        """Start linear layers at N(0, std), then each part as it wants, at the residual's scale."""
        for linear, _ in linears(self):
            nn.init.normal_(linear.weight, std=std)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
        self.residual_attention.initialise(self.attention, std)
        self.residual_feed_forward.initialise(self.feed_forward, std)
