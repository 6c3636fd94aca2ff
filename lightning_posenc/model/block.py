"""One layer: attention and feed-forward, each with its norm and its residual."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lightning_posenc.checks import is_a, made, number
from lightning_posenc.dims import Dims
from lightning_posenc.model.attention import Attention, Context
from lightning_posenc.model.feed_forward import FeedForward
from lightning_posenc.model.linear import linears
from lightning_posenc.model.residual import Plain, Residual, ResidualFactory


class DropPath(nn.Module):
    """Stochastic depth: drops a branch for whole sequences (Huang et al. 2016, arXiv:1603.09382).

    Args:
        p: Probability in training, in [0, 1). What is kept grows by 1/(1-p).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = number(self, "p", p, 0, below=1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        rows = x.new_empty(len(x), *[1] * (x.dim() - 1), dtype=torch.float32)
        keep = rows.bernoulli_(1 - self.p)
        return x * (keep / (1 - self.p)).to(x.dtype)


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)); or norms after the sums.

    Source: post-norm Vaswani et al. 2017, arXiv:1706.03762; pre-norm Xiong et al. 2020,
    arXiv:2002.04745. How a branch joins the stream is the residual's to say; the sum is plain.

    Args:
        dims: Sizes of the model.
        attention: The attention.
        feed_forward: The feed-forward.
        norm: Makes a norm for a width.
        residual: Makes what joins a branch to the stream.
        pre_norm: Norm before each branch instead of after each sum.
        dropout: Probability of dropping a channel of a branch's output, in [0, 1).
        drop_path: Probability of dropping a branch, in [0, 1).

    Raises:
        ValueError: If the residual does not go with where the norms are.
    """

    def __init__(
        self,
        dims: Dims,
        attention: Attention,
        feed_forward: FeedForward,
        norm: Callable[[int], nn.Module],
        *,
        residual: ResidualFactory = Plain,
        pre_norm: bool = True,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        is_a(self, "dims", dims, Dims)
        number(self, "dropout", dropout, 0, below=1)
        number(self, "drop_path", drop_path, 0, below=1)
        self.attention = is_a(self, "attention", attention, nn.Module)
        self.feed_forward = is_a(self, "feed_forward", feed_forward, nn.Module)
        self.norm_attention = made(self, "norm", norm, nn.Module, dims.d_model)
        self.norm_feed_forward = made(self, "norm", norm, nn.Module, dims.d_model)
        self.residual_attention = made(self, "residual", residual, Residual, dims)
        self.residual_feed_forward = made(self, "residual", residual, Residual, dims)
        self.residual_attention.check(pre_norm)
        self.pre_norm = pre_norm
        self.drop = nn.Sequential(nn.Dropout(dropout), DropPath(drop_path))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        if self.pre_norm:
            branch = self.drop(self.attention(self.norm_attention(x), context))
            x = self.residual_attention(x, branch)
            branch = self.drop(self.feed_forward(self.norm_feed_forward(x)))
            return self.residual_feed_forward(x, branch)
        branch = self.drop(self.attention(x, context))
        x = self.norm_attention(self.residual_attention(x, branch))
        branch = self.drop(self.feed_forward(x))
        return self.norm_feed_forward(self.residual_feed_forward(x, branch))

    def initialise(self, std: float) -> None:
        """Start projections at N(0, std), then as the residuals want them."""
        for linear, _ in linears(self):
            nn.init.normal_(linear.weight, std=std)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
        self.residual_attention.initialise(self.attention, std)
        self.residual_feed_forward.initialise(self.feed_forward, std)
