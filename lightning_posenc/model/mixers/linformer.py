"""Attention to a fixed number of mixtures of tokens, in time linear in the length.

Shapes: B sequences, T tokens, N the most of them, H heads, K channels of a head, D = H·K, R rank.
"""

from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lightning_posenc.checks import one_of, whole
from lightning_posenc.dims import Dims
from lightning_posenc.model.linear import Stacked
from lightning_posenc.model.mixers import hooks
from lightning_posenc.model.mixers.base import Context, Growth, Mixer
from lightning_posenc.model.mixers.low_rank import read_product
from lightning_posenc.positions.paper import Paper

Sharing = Literal["none", "heads", "keys_and_values"]


class Linformer(Mixer):
    """softmax(q (E k)^T / sqrt(K)) (F v): E and F, learned, mix T keys and values into R of each.

    The mixtures are of places in the row, of which E and F have N: a longer sequence is refused, a
    shorter one takes their first columns, and padding is left out of every mixture. A rotation of
    queries and keys acts before they are mixed; a bias of pairs has no pair to go to.

    Source: Wang et al. 2020, arXiv:2006.04768, equation 7; at the start E and F are normal of
    variance 1/R (theorem 2). Deviation: layers share no projections.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        max_length: N.
        rank: R.
        sharing: What has the same projections: "none" of the heads, all "heads", or
            "keys_and_values" of all heads too, so that E = F.
        bias: Whether the projections of queries, keys, values and into the stream have a bias.
    """

    hooks = frozenset({"transform", "values", "output"})
    serves = frozenset({"bidirectional", "padding"})
    source = Paper(
        "Wang et al.", 2020, "Linformer: Self-Attention with Linear Complexity", "2006.04768",
        "equation 7",
    )  # fmt: skip
    equation = r"o = \operatorname{softmax}\!\left( \frac{q\,(E k)^{\top}}{\sqrt K} \right) (F v)"
    growth = Growth(time="T", memory="T")

    def __init__(
        self,
        dims: Dims,
        layer: int,
        *,
        max_length: int = 1024,
        rank: int = 64,
        sharing: Sharing = "heads",
        bias: bool = True,
    ) -> None:
        super().__init__(dims, layer)
        self.longest = whole(self, "max_length", max_length)
        whole(self, "rank", rank, most=4096)
        one_of(self, "sharing", sharing, get_args(Sharing))
        d_model = dims.d_model
        self.qkv = Stacked(d_model, {"q": d_model, "k": d_model, "v": d_model}, bias=bias)
        n_sets = dims.n_heads if sharing == "none" else 1
        self.of_keys = nn.Parameter(torch.empty(n_sets, rank, max_length))
        self.of_values = (
            self.of_keys if sharing == "keys_and_values" else nn.Parameter(self.of_keys.clone())
        )
        self.out = nn.Linear(d_model, d_model, bias=bias)
        self._draw()

    def initialise(self, std: float, depth_scale: float) -> None:
        super().initialise(std, depth_scale)
        self._draw()

    def _draw(self) -> None:
        for mixtures in (self.of_keys, self.of_values):
            nn.init.normal_(mixtures, std=mixtures.shape[1] ** -0.5)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Mix (B, T, D) over the tokens: (B, T, D)."""
        q, k, v = self.qkv.heads(x, self.dims.d_head)
        site = context.site(self.layer, x, x, q, k, v)
        q, k = hooks.transformed(context.positional, site)
        v = hooks.values(context.positional, site)
        e, f = (each[:, :, : x.shape[1]].to(k.dtype) for each in (self.of_keys, self.of_values))
        real = context.real_tokens()
        if real is not None:  # (B, H|1, R, T): what is padding has no part in a mixture
            e, f = (each * real[:, None, None].to(k.dtype) for each in (e, f))
        logits = q @ (e @ k).mT * self.dims.d_head**-0.5
        weights = logits.softmax(dim=-1, dtype=torch.promote_types(q.dtype, torch.float32))
        weights = weights.to(v.dtype)  # (B, H, T, R)
        read = partial(read_product, weights, f)
        mixed = hooks.output(
            context.positional, site._replace(read_weights=read), weights @ (f @ v)
        )
        return self.out(mixed.transpose(1, 2).flatten(-2))
