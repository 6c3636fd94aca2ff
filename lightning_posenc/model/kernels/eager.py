"""Attention by its definition."""

from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.model.kernels.base import Kernel
from lightning_posenc.model.kernels.operands import Operands, attention_weights


class Eager(Kernel):
    """Materialised logits and a softmax in float32: what every other execution is held to.

    It serves all operands: a rescore needs the logits, and forward-mode differentiation passes
    through no fused kernel.
    """

    def materialises(self, operands: Operands) -> bool:
        return True

    def forward(self, operands: Operands) -> Tensor:
        v = operands.v
        weights = attention_weights(operands).to(v.dtype)
        weights = F.dropout(weights, self.dropout, self.training)
        # Query heads that share values are more rows of one product, as in `logits`.
        grouped = weights.unflatten(1, (v.shape[1], -1)).flatten(2, 3)
        return (grouped @ v).unflatten(2, (-1, weights.shape[2])).flatten(1, 2)
