"""A network of distance."""

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_posenc.checks import MOST_WIDTH, whole
from lightning_posenc.dims import Dims
from lightning_posenc.positional.bias.layered import LayeredBias
from lightning_posenc.positional.bias.mlp import ScalarMLP
from lightning_posenc.positions.paper import Paper


class DynamicBias(LayeredBias):
    """A small network maps the offset to a bias for each head.

    bias(delta) = MLP(delta), or MLP(sign(delta) · log(1 + |delta|)), one output for each head.

    Source: Wang et al. 2021, "CrossFormer: A Versatile Vision Transformer Hinging on Cross-scale
    Attention", arXiv:2108.00154; the logarithm: Liu et al. 2021, arXiv:2111.09883. In one
    dimension, with SiLU and these defaults, as in x-transformers. Deviation: no bias in the last
    linear map, which would change no weight.

    Args:
        dims: Sizes of the model.
        width: Of the hidden layers, at least 1; None takes d_model / 4, at least 1.
        depth: Number of hidden layers, 1 to 1000.
        log_distance: Feed the signed logarithm of the distance.
        norm: Layer norm before each activation.
        shared: One network for all layers.

    Raises:
        ValueError: If a size is not positive.
    """

    source = Paper(
        "Wang et al.",
        2021,
        "CrossFormer: A Versatile Vision Transformer Hinging on Cross-scale Attention",
        "2108.00154",
    )
    equation = (
        r"b(\Delta) = \mathrm{MLP}(\Delta) \quad \text{or} \quad "
        r"\mathrm{MLP}\left( \operatorname{sign}(\Delta) \ln(1 + |\Delta|) \right)"
    )

    def __init__(
        self,
        dims: Dims,
        width: int | None = None,
        depth: int = 2,
        log_distance: bool = False,
        norm: bool = False,
        shared: bool = True,
    ) -> None:
        super().__init__(dims)
        width = max(dims.d_model // 4, 1) if width is None else width
        whole(self, "width", width, most=MOST_WIDTH)
        whole(self, "depth", depth, most=1000)
        self.log_distance = log_distance
        self.mlps = nn.ModuleList(
            ScalarMLP([width] * depth, dims.n_heads, F.silu, norm)
            for _ in range(1 if shared else dims.n_layers)
        )

    @property
    def n_functions(self) -> int:
        return len(self.mlps)

    def bias_of(self, number: int, delta: Tensor) -> Tensor:
        x = delta.sign() * delta.abs().log1p() if self.log_distance else delta
        bias: Tensor = self.mlps[number](x)
        return bias
