"""T5's bucketed relative bias."""

import math

import torch
from torch import Tensor, nn

from lightning_posenc.checks import number, whole, wrong
from lightning_posenc.dims import Dims
from lightning_posenc.positional.bias.layered import LayeredBias
from lightning_posenc.positional.layers import gained_layers
from lightning_posenc.positions.paper import Paper


class T5Bias(LayeredBias):
    """A learned scalar per head and bucket: near distances have their own, far ones share.

    Half of the buckets (of each side, when bidirectional) hold one distance each; the others grow
    logarithmically up to `max_distance`, beyond which all distances share the last one.

    Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", arXiv:1910.10683,
    section 2.1. Deviation: T5 does not divide logits by the root of the head size; here the
    attention does, and the bias is added after scaling, as everywhere in this package.

    Args:
        dims: Sizes of the model.
        n_buckets: Number of buckets, even, at least 4 (8 when bidirectional).
        max_distance: Start of the last bucket; greater than half the buckets of a side.
        shared: One table for all layers, as in the paper.
        std: Standard deviation of the table at initialisation, in logits; at least 0.
    """

    source = Paper(
        "Raffel et al.",
        2020,
        "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
        "1910.10683",
        "section 2.1",
    )
    equation = (
        r"b_h(\Delta) = \beta_h\!\left[ \operatorname{bucket}(\Delta) \right], \quad "
        r"\operatorname{bucket}(\Delta) = \begin{cases} \Delta & \Delta < n/2 \\"
        r" \min\!\left( n - 1,\; \tfrac n2 + \left\lfloor \tfrac n2 \,"
        r"\frac{\ln(\Delta / \frac n2)}{\ln(m / \frac n2)} \right\rfloor \right) & \text{else}"
        r" \end{cases}"
    )

    def __init__(
        self,
        dims: Dims,
        n_buckets: int = 32,
        max_distance: int = 128,
        shared: bool = True,
        std: float = 1.0,
    ) -> None:
        super().__init__(dims)
        self.n_buckets = whole(self, "n_buckets", n_buckets, 4 if dims.causal else 8)
        if n_buckets % 2:
            raise wrong(self, "n_buckets", n_buckets, "be even")
        side = n_buckets if dims.causal else n_buckets // 2
        # Above half a side, whose distances have a bucket each.
        self.max_distance = whole(self, "max_distance", max_distance, side // 2 + 1)
        layers = 1 if shared else dims.n_layers
        self.table = nn.Parameter(torch.empty(layers, dims.n_heads, n_buckets))
        nn.init.normal_(self.table, std=number(self, "std", std, 0))
        gained_layers(self, "table")

    @property
    def n_functions(self) -> int:
        return len(self.table)

    def bias_of(self, number: int, delta: Tensor) -> Tensor:
        return self.table[number].float()[:, self.bucket(delta)]

    def bucket(self, delta: Tensor) -> Tensor:
        """Number of the bucket of each distance, in [0, n_buckets)."""
        if self.dims.causal:
            side, distance, offset = self.n_buckets, delta.clamp(min=0), torch.zeros_like(delta)
        else:
            side, distance = self.n_buckets // 2, delta.abs()
            offset = torch.where(delta < 0, side, 0)
        exact = side // 2
        # Not below `exact`, where the logarithm is not used and would be -inf at distance 0.
        ratio = torch.log(distance.clamp(min=exact) / exact) / math.log(self.max_distance / exact)
        far = (exact + (ratio * (side - exact)).long()).clamp(max=side - 1)
        return offset.long() + torch.where(distance < exact, distance.long(), far)
