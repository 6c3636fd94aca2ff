"""Keys and values that each run of queries sees, copied, and how their gradients are added up.

Shapes: B sequences, G key-value heads, S keys, S' of them that a run sees, K channels of a head.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from lightning_posenc.compat.torch import is_transformed


def copied_runs(source: Tensor, near: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Copy for each run what it sees of `source`.

    A run that was copied by itself would give in the backward pass a gradient of all S keys, and
    so all runs together one of T · S.

    Args:
        source: (B, G, S, K).
        near: (S',) for each run, which of the keys.

    Returns:
        (B, G, S', K) for each run.
    """
    if is_transformed(source):  # by torch.func, which asks more of a function than is needed here
        sizes = [len(each) for each in near]
        return source.index_select(2, torch.cat([*near])).split(sizes, dim=2)
    copies: tuple[Tensor, ...] = _CopiedRuns.apply(source, *near)
    return copies


class _CopiedRuns(torch.autograd.Function):
    """Adds each run's gradient to that of the source, where torch would join all of them first."""

    @staticmethod
    def forward(ctx: FunctionCtx, source: Tensor, *near: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*near)
        ctx.shape = source.shape  # type: ignore[attr-defined]
        return tuple(source.index_select(2, each) for each in near)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        total = gradients[0].new_zeros(ctx.shape)
        for each, gradient in zip(ctx.saved_tensors, gradients, strict=True):
            if torch.is_grad_enabled():  # a gradient that is itself derived
                total = total.index_add(2, each, gradient)
            else:
                total.index_add_(2, each, gradient)
        return total, *(None for _ in gradients)
