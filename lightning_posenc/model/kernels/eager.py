"""Attention by its definition."""

from torch import Tensor
from torch.nn import functional as F

from lightning_posenc.model.kernels.base import Kernel
from lightning_posenc.model.kernels.operands import Operands, attention_weights, mixed_by


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
        return mixed_by(F.dropout(weights, self.dropout, self.training), v)
