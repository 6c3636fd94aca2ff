"""See what attention computes, by observing its kernels: nothing in the model changes.

Shapes: B sequences, H heads, T queries, S keys.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lightning_posenc.model.kernels import Kernel, attention_weights


@contextmanager
def captured_attention(
    model: nn.Module, layers: Sequence[int] | None = None
) -> Iterator[list[Tensor]]:
    """Collect the attention weights of every layer that runs inside the block, in order.

    Args:
        model: Any model with this package's attention in it, which does not run compiled.
        layers: Numbers of the layers to collect, from 0, where not all are wanted.

    Yields:
        A list that fills with (B, H, T, S) weights, one for each layer and forward pass.
    """
    weights: list[Tensor] = []

    def observe(kernel: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        with torch.no_grad():
            weights.append(attention_weights(*args))

    kernels = [module for module in model.modules() if isinstance(module, Kernel)]
    if layers is not None:
        kernels = [kernels[layer] for layer in layers]
    handles = [kernel.register_forward_hook(observe) for kernel in kernels]
    try:
        yield weights
    finally:
        for handle in handles:
            handle.remove()
