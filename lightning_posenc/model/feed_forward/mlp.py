"""Two projections with a nonlinearity between.

Shapes: D = d_model, F = d_ff.
"""

from collections.abc import Callable

from torch import Tensor, nn

from lightning_posenc.checks import MOST_WIDTH, made, whole
from lightning_posenc.dims import Dims
from lightning_posenc.model.feed_forward.activated import activated
from lightning_posenc.model.feed_forward.base import TwoMaps


class MLP(TwoMaps):
    """Two projections with a nonlinearity between (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        d_ff: F, at least 1; None for 4·D.
        activation: torch.nn.GELU, torch.nn.ReLU, …
        bias: Whether the projections have a bias.
    """

    def __init__(
        self,
        dims: Dims,
        layer: int,
        d_ff: int | None = None,
        activation: Callable[[], nn.Module] = nn.GELU,
        bias: bool = True,
    ) -> None:
        super().__init__(dims, layer)
        d_model = dims.d_model
        d_ff = 4 * d_model if d_ff is None else whole(self, "d_ff", d_ff, most=4 * MOST_WIDTH)
        self.d_hidden = d_ff
        self.up = nn.Linear(d_model, d_ff, bias=bias)
        self.activation = made(self, "activation", activation, nn.Module)
        self.out = nn.Linear(d_ff, d_model, bias=bias)

    def first(self, x: Tensor) -> Tensor:
        return self.up(x)

    def second(self, hidden: Tensor) -> Tensor:
        return self.out(activated(self.activation, hidden))
