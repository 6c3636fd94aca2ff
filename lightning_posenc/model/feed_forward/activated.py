"""An activation, called quickly where there is little to activate."""

from torch import Tensor, nn
from torch.backends import mkldnn

from lightning_posenc.compat.torch import infers_on_cpu

FEW = 8192
"""Numbers so few that oneDNN takes longer to be called than to compute."""


def activated(activation: nn.Module, x: Tensor) -> Tensor:
    """Apply an activation to x of any shape.

    Of few numbers, as those of the one token that a decoder reads at a time, torch's GELU on a CPU
    takes three times as long by oneDNN as without it. Nothing else is left without: a convolution
    by single channels takes sixteen times as long then.
    """
    if not infers_on_cpu(x) or x.numel() > FEW or not mkldnn.enabled:
        return activation(x)
    mkldnn.enabled = False  # type: ignore[assignment]
    try:
        return activation(x)
    finally:
        mkldnn.enabled = True  # type: ignore[assignment]
