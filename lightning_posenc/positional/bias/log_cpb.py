"""A network of the offset's logarithm, on two axes.

Shapes: L layers, H heads.
"""

import math

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.bias.mlp import in_float32
from lightning_posenc.positional.bias.on_a_plane import PlaneBias
from lightning_posenc.positions.paper import Paper

STEEPNESS = 8  # of the logarithm, and where it is 1
LARGEST_BIAS = 16.0


class LogCPB(PlaneBias):
    """A small network maps log-spaced offsets in rows and columns to a bias for each head.

    bias(delta) = 16 · sigmoid(MLP(x)), x = sign(d) · log2(1 + 8·|d|) / log2(8), where d = delta /
    (window - 1) on either axis: Swin-v2's log-spaced continuous position bias, of any offset.

    Source: Liu et al. 2022, "Swin Transformer V2: Scaling Up Capacity and Resolution",
    arXiv:2111.09883, section 3.3, equations 3 and 4; the sigmoid, the 8 and the division by log2(8)
    are the authors' code's, as in Hugging Face's Swinv2.

    Args:
        dims: Sizes of the model.
        window: Rows and columns that the model is trained on, at least 2: an offset from one end
            to the other counts as log2(9) / 3, about 1.
        width: Of the hidden layer, at least 1.
        shared: One network for all layers instead of one for each.
    """

    source = Paper(
        "Liu et al.",
        2022,
        "Swin Transformer V2: Scaling Up Capacity and Resolution",
        "2111.09883",
        "section 3.3",
    )
    equation = (
        r"b(\Delta) = 16\, \sigma\!\left( \mathrm{MLP}(x) \right), \quad "
        r"x = \operatorname{sign}(d) \, \frac{\log_2(1 + 8 |d|)}{\log_2 8}, \quad "
        r"d = \frac{\Delta}{\mathrm{window} - 1}"
    )

    def __init__(self, dims: Dims, window: int = 8, width: int = 512, shared: bool = False) -> None:
        super().__init__(dims)
        self.window = whole(self, "window", window, 2)
        whole(self, "width", width, most=MOST_WIDTH)
        layers = range(1 if shared else dims.n_layers)
        self.hidden = nn.ModuleList(nn.Linear(2, width) for _ in layers)
        self.out = nn.ModuleList(nn.Linear(width, dims.n_heads, bias=False) for _ in layers)

    @property
    def n_functions(self) -> int:
        return len(self.hidden)

    def bias_of(self, number: int, delta: Tensor) -> Tensor:
        d = delta.float() / (self.window - 1)
        x = d.sign() * (STEEPNESS * d.abs()).log1p() / math.log(STEEPNESS)
        hidden, out = self.hidden[number], self.out[number]
        assert isinstance(hidden, nn.Linear)
        assert isinstance(out, nn.Linear)
        bias = in_float32(out, F.relu(in_float32(hidden, x)))
        return LARGEST_BIAS * bias.sigmoid().movedim(-1, 0)
