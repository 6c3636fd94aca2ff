"""Attention's logits made so small that its softmax leaves a gradient at every key.

Shapes: B sequences, H heads, T queries, S keys, L layers.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_posenc.model import Encoder
from lightning_posenc.model.kernels import Kernels, Operands
from lightning_posenc.positional.by_distance import ByDistance, written_out

BOUND = 10.0  # the largest logit


def bound_logits(
    encoder: Encoder, largest: Sequence[Sequence[float]], raised: bool = False
) -> list[RemovableHandle]:
    """Multiply the logits of each head whose largest is more than BOUND, so that it is BOUND.

    Args:
        encoder: Whose attention it is.
        largest: Largest logit of each of the H heads, by layer; those of layers that have none may
            be left out, of all of them.
        raised: Whether those of a layer that has only smaller ones become as large.

    Returns:
        Handles that end it.
    """
    handles = []
    attending = [m for m in encoder.mixers if any(isinstance(p, Kernels) for p in m.modules())]
    named = next((of for of in (encoder.mixers, attending) if len(of) == len(largest)), [])
    for mixer, heads in zip(named, largest, strict=False):
        factors = [BOUND / max(abs(top), 1e-6) if math.isfinite(top) else 1.0 for top in heads]
        if not raised or max(map(abs, heads)) > BOUND:
            factors = [min(factor, 1.0) for factor in factors]
        scale = partial(_scaled, torch.tensor(factors))
        handles += [
            part.register_forward_pre_hook(scale)
            for part in mixer.modules()
            if isinstance(part, Kernels)
        ]
    return handles


def _scaled(factors: Tensor, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Logits (B, H, T, S) times (H,) factors, the bias with them."""
    operands: Operands = args[0]
    by_head = factors.to(operands.q)[:, None, None]
    bias = operands.bias
    if isinstance(bias, ByDistance):
        bias = bias._replace(values=bias.values * by_head[..., 0])
    elif bias is not None:
        bias = written_out(bias) * by_head
    return (operands._replace(q=operands.q * by_head, bias=bias), *args[1:])
