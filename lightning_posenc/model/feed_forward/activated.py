"""An activation, called quickly where there is little to activate."""

import torch
from torch import Tensor, nn
from torch.backends import mkldnn

FEW = 8192
"""Numbers so few that oneDNN takes longer to be called than to compute."""


def activated(activation: nn.Module, x: Tensor) -> Tensor:
    """Apply an activation to x of any shape.

    Of few numbers, as those of the one token that a decoder reads at a time, torch's GELU on a CPU
    takes three times as long by oneDNN as without it. Nothing else is left without: a convolution
    by single channels takes sixteen times as long then.
    """
    if (
        torch.compiler.is_compiling()  # asked first: what is asked next breaks a graph
        or not torch.is_inference_mode_enabled()
        or x.numel() > FEW
        or x.device.type != "cpu"
        or not mkldnn.enabled
    ):
        return activation(x)
    mkldnn.enabled = False  # type: ignore[assignment]
    try:
        return activation(x)
    finally:
        mkldnn.enabled = True  # type: ignore[assignment]
