"""A norm by the root mean square, quick where a model says one token after the other.

Shapes: D = d_model.
"""

import torch
from torch import Tensor, nn

from lightning_posenc.checks import MOST_WIDTH, number, whole
from lightning_posenc.compat.torch import infers_on_cpu, is_transformed


class RMSNorm(nn.RMSNorm):
    """x / sqrt(mean(x²) + eps) ⊙ weight: torch's own, quicker for a single row.

    On a CPU torch makes it of ten small operations, of which a decoder waits for every one. In
    inference mode a row of float32 takes four here. Parameters are torch's.

    Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", arXiv:1910.07467,
    equation 4; eps within the root, as in Llama.

    Args:
        d_model: D.
        eps: What is added to the mean of squares, above 0; None for the least step of x's dtype
            from 1.

    Example:
        >>> import torch
        >>> from lightning_posenc.model import RMSNorm
        >>> RMSNorm(4)(torch.tensor([3.0, -3.0, 3.0, -3.0])).detach()
        tensor([ 1., -1.,  1., -1.])
    """

    def __init__(self, d_model: int, eps: float | None = None) -> None:
        width = whole(self, "d_model", d_model, most=MOST_WIDTH)
        super().__init__(width, None if eps is None else number(self, "eps", eps, above=0))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (…, D)."""
        weight = self.weight
        if (
            not infers_on_cpu(x)
            or type(x) is not Tensor  # as a tensor that has a shape and no numbers
            or x.numel() != self.normalized_shape[-1]
            or x.dtype != torch.float32
            or weight.dtype != torch.float32
            or torch.jit.is_tracing()
            or is_transformed(x)
        ):
            return super().forward(x)
        row = x.reshape(-1)
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        scale = (torch.dot(row, row).item() / len(row) + eps) ** -0.5
        return (x * weight).mul_(scale)
