"""A bias that falls linearly with distance, as one number for each key, on the causal fused kernel.

Where nobody sees the future, -m (i - j) is m · j less what is the same for all keys of a query,
which no softmax notices (the authors' code of ALiBi, arXiv:2108.12409, adds it so). So ALiBi costs
a causal model S numbers for each head, which torch's fused kernel for the CPU adds to rows of
logits as they are made; and less than no bias at all in heads whose far keys have no weight.

Shapes: B sequences, H heads, T queries, S = T keys, K channels of a head.
"""

from itertools import islice
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.compat.torch import has_flash
from lightning_posenc.masks import Causal, Visibility
from lightning_posenc.model.kernels.all_keys import AllKeys
from lightning_posenc.model.kernels.by_definition import by_definition
from lightning_posenc.model.kernels.by_tiles import fits
from lightning_posenc.model.kernels.lookback import Lookback, by_lookback
from lightning_posenc.model.kernels.near_keys import NearKeys
from lightning_posenc.model.kernels.operands import Operands
from lightning_posenc.positional.by_distance import ByDistance


def slopes_of_past(operands: Operands, drops: bool) -> Tensor | None:
    """The slopes m (H,) of a bias that is -m · distance wherever somebody sees.

    It is found from the values, and so serves a sum of such biases as well.

    Args:
        operands: One layer's.
        drops: Whether weights are dropped.

    Returns:
        None if it is no such bias, or something else is asked for than the causal mask.
    """
    bias, seen = operands.bias, operands.visibility
    if not isinstance(bias, ByDistance) or bias.diagonal != 0 or not seen.is_causal:
        return None
    if not has_flash():
        return None
    alike = operands.q.shape[-1] == operands.v.shape[-1] and len(bias.values) == operands.shape[1]
    return bias.slopes() if alike and fits(operands, drops) else None


def by_key_bias(operands: Operands, slopes: Tensor) -> Tensor:
    """Attend: (B, H, T, K) in the dtype of q.

    Args:
        operands: Causal, with as many queries as keys.
        slopes: (H,), as `slopes_of_past` found them.
    """
    q, k, v = operands.q, operands.k, operands.v
    if operands.is_grouped:
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    mixed: Tensor = Falling.apply(q, k, v, slopes, operands.scale)
    return mixed


class Falling(torch.autograd.Function):
    """softmax(scale · q·k - slope · distance) v under the causal mask."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, scale: float) -> Tensor:
        slopes = slopes.to(torch.promote_types(q.dtype, torch.float32))
        ctx.scale, ctx.groups, ctx.n_lse = scale, by_lookback(q, k, slopes, scale), []
        out, lse = None, []
        for heads, lookback in ctx.groups:
            mixed, of_group = _attention(heads, lookback, (q, k, v), slopes, scale).forward()
            out = _placed(out, heads, mixed, len(slopes))
            ctx.n_lse.append(len(of_group))
            lse += of_group
        assert out is not None
        ctx.save_for_backward(q, k, v, slopes, out, *lse)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        q, k, v, slopes, out, *lse = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient that is itself derived
            return *_derived(ctx, q, k, v, slopes, gradient), None, None
        total: list[Tensor | None] = [None] * 3
        rest = iter(lse)
        for (heads, lookback), n_lse in zip(ctx.groups, ctx.n_lse, strict=True):
            attention = _attention(heads, lookback, (q, k, v), slopes, ctx.scale)
            made = gradient[:, heads], out[:, heads], list(islice(rest, n_lse))
            parts = attention.gradients(*made)
            for i, part in enumerate(parts):
                total[i] = _placed(total[i], heads, part, len(slopes))
        return *total, None, None


def _attention(
    heads: slice,
    lookback: Lookback | None,
    operands: tuple[Tensor, ...],
    slopes: Tensor,
    scale: float,
) -> AllKeys | NearKeys:
    some = [x[:, heads] for x in operands]
    if lookback is None:
        return AllKeys(some, slopes[heads], scale)
    return NearKeys(some, slopes[heads], scale, lookback)


def _placed(whole: Tensor | None, heads: slice, part: Tensor, n_heads: int) -> Tensor:
    """(B, H, T, K) with a part where its heads stand."""
    if part.shape[1] == n_heads:
        return part
    if whole is None:
        whole = part.new_empty(part.shape[0], part.shape[2], n_heads, part.shape[3])
        whole = whole.transpose(1, 2)
    whole[:, heads] = part
    return whole


def _derived(
    ctx: Any, q: Tensor, k: Tensor, v: Tensor, slopes: Tensor, gradient: Tensor
) -> tuple[Tensor | None, ...]:
    needed, length = ctx.needs_input_grad[:3], q.shape[2]
    inputs = [x for x, wanted in zip((q, k, v), needed, strict=True) if wanted]
    bias = (slopes[:, None, None] * torch.arange(length, device=q.device)).unsqueeze(0)
    seen = Visibility(Causal(), length, length, q.device)
    plain = by_definition(q, k, v, bias, seen, ctx.scale)
    found = iter(torch.autograd.grad(plain, inputs, gradient, create_graph=True))
    return tuple(next(found) if wanted else None for wanted in needed)
