"""A norm with one gain.

Shapes: D = d_model.
"""

import torch
from torch import Tensor, nn

from lightning_posenc.checks import MOST_WIDTH, number, whole


class ScaleNorm(nn.Module):
    """gain · x / ‖x‖, with one learned gain for all channels, sqrt(D) at first.

    Source: Nguyen and Salazar 2019, "Transformers without Tears", arXiv:1910.05895, equation 5. The
    length is taken in float32 at least.

    Args:
        d_model: D.
        eps: The least length that x is divided by, above 0.
    """

    def __init__(self, d_model: int, eps: float = 1e-5) -> None:
        super().__init__()
        width = whole(self, "d_model", d_model, most=MOST_WIDTH)
        self.eps = number(self, "eps", eps, above=0)
        self.gain = nn.Parameter(torch.tensor([float(width) ** 0.5]))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (…, D)."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).clamp(min=self.eps)
        return (wide * (self.gain / length)).to(x.dtype)
