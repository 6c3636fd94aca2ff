"""Attention at the cost of the pairs that a sparse mask leaves, and not of T · S.

Shapes: B sequences, H heads, G key-value heads, T queries, t of them at a time, S keys, S' of them
that these see, K channels of a head.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lightning_posenc.masks.visibility import ROWS, QueryRun
from lightning_posenc.model.kernels.copied_runs import copied_runs
from lightning_posenc.model.kernels.operands import Operands
from lightning_posenc.model.kernels.taken_again import taken_again
from lightning_posenc.positions.recording import is_recorded


def may_be_in_parts(operands: Operands) -> bool:
    """Whether the kernels of the device leave out no pairs themselves, and nothing hinders it.

    A learned bias that is written out for all pairs would get a gradient of its whole size from
    every part.
    """
    if operands.visibility.n_queries <= ROWS or operands.visibility.mask is None:
        return False
    bias = operands.bias
    learned = isinstance(bias, Tensor) and bias.requires_grad
    return operands.q.device.type == "cpu" and not learned and not is_recorded()


@torch.compiler.disable  # which keys there are is read off
def by_parts(attend: Callable[[Operands], Tensor], operands: Operands) -> Tensor:
    """Attend by runs of queries, each to the keys that any of them sees, where that is worthwhile.

    Args:
        attend: Maps operands to (B, H, t, V).
        operands: Of all T queries.

    Returns:
        (B, H, T, V).
    """
    parts = operands.visibility.parts
    if not parts:
        return attend(operands)
    near = [part.near for part in parts]
    k, v = (copied_runs(x, near) for x in (operands.k, operands.v))
    runs = zip(parts, operands.q.split(ROWS, dim=2), k, v, strict=True)
    with taken_again((operands.k, operands.v), near, (k, v)):
        mixed = [attend(_of_part(operands, *run)) for run in runs]
    return torch.cat(mixed, dim=2)


def _of_part(operands: Operands, part: QueryRun, q: Tensor, k: Tensor, v: Tensor) -> Operands:
    start = part.visibility.first - operands.visibility.first
    rows, bias = slice(start, start + q.shape[2]), operands.bias
    if isinstance(bias, Tensor):
        bias = bias[:, :, rows].index_select(3, part.near)
    elif bias is not None:
        bias = bias.of(rows, part.near).written_out()
    return operands._replace(q=q, k=k, v=v, bias=bias, visibility=part.visibility)
