"""Attention to the patches of a grid, in place of all of its tokens.

Shapes: B images, R rows and C columns of a grid, T = R·C tokens, r x s tokens of a patch,
S = T / (r·s) patches, H heads, K channels of a head, D = H·K.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import number, several, whole
from lightning_posenc.dims import Dims
from lightning_posenc.model.linear import Stacked
from lightning_posenc.model.mixers.base import Context, Growth, Mixer
from lightning_posenc.positions.paper import Paper
from lightning_posenc.positions.places import raster


class SpatialReductionAttention(Mixer):
    """softmax(q k^T / sqrt(K)) v, with keys and values of norm(conv(x)): one for each patch.

    The convolution has the stride of its kernel, r x s, so that T queries meet T / (r·s) keys. It
    wants a grid (`Patches` without class tokens, the positions `Grid`), and hooks of an encoding it
    honours none: a patch has no place of its own. An encoding of the stream tells it of places.

    Source: Wang et al. 2021, "Pyramid Vision Transformer", arXiv:2102.12122, equations 2 and 3,
    with the norm behind the convolution, as in the authors' code and Hugging Face's `PvtModel`.

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        ratio: Tokens on a side of a patch, r = s, at least 1; or (r, s).
        bias: Whether the projections of queries, keys and values and into the stream have a bias.
        dropout: Probability of dropping an attention weight, in [0, 1).

    Raises:
        ValueError: When called, on what is no grid, or is not made of whole patches.

    Example:
        `Encoder(dims, LearnedGrid, mixer=partial(SpatialReductionAttention, ratio=8))`, called with
        the tokens and the `positions` of `Patches`.
    """

    serves = frozenset({"bidirectional"})
    on_grid = True
    source = Paper(
        "Wang et al.",
        2021,
        "Pyramid Vision Transformer: A Versatile Backbone for Dense Prediction without "
        "Convolutions",
        "2102.12122",
        "equations 2 and 3",
    )
    equation = (
        r"o = \operatorname{softmax}\!\left( \frac{q k^{\top}}{\sqrt K} \right) v, \quad "
        r"k, v = W_{k,v} \operatorname{norm}\left( \operatorname{conv}_{r \times s}(x) \right)"
    )
    growth = Growth(time="T²", memory="T")

    def __init__(
        self,
        dims: Dims,
        layer: int,
        *,
        ratio: int | Sequence[int] = 2,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dims, layer)
        sides = ratio if isinstance(ratio, Sequence) else (ratio, ratio)
        down, across = (
            whole(self, "ratio", side, most=1024) for side in several(self, "ratio", sides, 2)
        )
        self.ratio = (down, across)
        self.dropout = number(self, "dropout", dropout, 0, below=1)
        width = dims.d_model
        self.qkv = Stacked(width, {"q": width, "k": width, "v": width}, bias=bias)
        self.reduction = nn.Conv2d(width, width, self.ratio, self.ratio)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width, bias=bias)

    def initialise(self, std: float, depth_scale: float) -> None:
        super().initialise(std, depth_scale)
        self.reduction.reset_parameters()  # whatever its scale is, the norm takes it away

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Mix (B, T, D) over the tokens: (B, T, D)."""
        patches = self.norm(self.reduction(self._cells(x, context)).flatten(2).mT)  # (B, S, D)
        (q,) = self.qkv.heads(x, self.dims.d_head, ("q",))
        k, v = self.qkv.heads(patches, self.dims.d_head, ("k", "v"))
        p = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
        return self.out(mixed.transpose(1, 2).flatten(-2))

    def _cells(self, x: Tensor, context: Context) -> Tensor:
        """The tokens (B, T, D) on their grid: (B, D, R, C)."""
        found = raster(context.q_places)
        if found is None or found.n_outside:
            raise ValueError(
                "SpatialReductionAttention: wants the tokens of a grid and no others, row by row: "
                "give Patches with n_class_tokens=0, or the positions Grid"
            )
        down, across = self.ratio
        if found.n_rows % down or found.n_columns % across:
            raise ValueError(
                f"SpatialReductionAttention: a grid of {found.n_rows} x {found.n_columns} tokens "
                f"is not made of whole patches of ratio={list(self.ratio)}: choose a divisor, or "
                "resize the images"
            )
        return x.mT.unflatten(-1, (found.n_rows, found.n_columns))
