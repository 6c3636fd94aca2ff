"""Two projections, of which one gates the other.

Shapes: D = d_model, F = d_ff.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, whole
from lightning_posenc.dims import Dims
from lightning_posenc.model.feed_forward.base import TwoMaps
from lightning_posenc.model.linear import Stacked


class SwiGLU(TwoMaps):
    """out(silu(gate(x)) · up(x)) (Shazeer 2020, "GLU Variants Improve Transformer", 2002.05202).

    Args:
        dims: Sizes of the model.
        layer: Index of the layer, from 0.
        d_ff: F, at least 1; None for 8/3·D, which has as many parameters as an MLP of 4·D.
        bias: Whether the projections have a bias.
    """

    def __init__(self, dims: Dims, layer: int, d_ff: int | None = None, bias: bool = False) -> None:
        super().__init__(dims, layer)
        d_model = dims.d_model
        d_ff = max(8 * d_model // 3, 1) if d_ff is None else d_ff
        whole(self, "d_ff", d_ff, most=4 * MOST_WIDTH)
        self.d_hidden = 2 * d_ff
        self.gate_and_up = Stacked(d_model, {"gate": d_ff, "up": d_ff}, bias=bias)
        self.out = nn.Linear(d_ff, d_model, bias=bias)

    def first(self, x: Tensor) -> Tensor:
        return self.gate_and_up(x)

    def second(self, hidden: Tensor) -> Tensor:
        gate, up = hidden.chunk(2, dim=-1)
        return self.out(F.silu(gate) * up)
