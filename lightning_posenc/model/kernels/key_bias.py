"""A bias that falls linearly with distance, as one number for each key, on the causal fused kernel.

Where nobody sees the future, -m (i - j) is m · j less what is the same for all keys of a query,
which no softmax notices (the authors' code of ALiBi, arXiv:2108.12409, adds it so). So ALiBi costs
a causal model S numbers for each head, which torch's fused kernel for the CPU adds to rows of
logits as they are made. But m · j may grow so large that float32 rounds the logits beside it:
beyond `FARTHEST` the queries come in runs that count from their own middle, and the fused results
of a run's own keys and of those before it are joined by their LSE.

Shapes: B sequences, H heads, T queries, S = T keys, K channels of a head.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lightning_posenc.compat.torch import flash_backward, flash_with_lse, has_flash
from lightning_posenc.masks import Causal, Visibility
from lightning_posenc.model.kernels.by_definition import by_definition
from lightning_posenc.model.kernels.by_tiles import fits
from lightning_posenc.model.kernels.operands import Operands
from lightning_posenc.positional.by_distance import ByDistance

FARTHEST = 512.0  # of a bias: float32 rounds a logit beside it by 3e-5
SHORTEST = 256  # queries of a run


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
        mixed, lse = [], []
        for rows, of_run in runs(q, slopes):
            found = [
                flash_with_lse(q[:, :, rows], k[:, :, keys], v[:, :, keys], causal, scale, added)
                for keys, causal, added in of_run
            ]
            out, total = joined([each for each in found if each is not None])
            mixed.append(out)
            lse.append(total)
        out = mixed[0] if len(mixed) == 1 else torch.cat(mixed, dim=2)
        ctx.save_for_backward(q, k, v, slopes, out, *lse)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        q, k, v, slopes, out, *lse = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient that is itself derived
            return *_derived(ctx, q, k, v, slopes, gradient), None, None
        total: list[Tensor] | None = None
        of_q = []
        for (rows, of_run), of_all in zip(runs(q, slopes), lse, strict=True):
            some = gradient[:, :, rows], q[:, :, rows]
            made = out[:, :, rows], of_all
            of_rows: Tensor | None = None
            for keys, causal, added in of_run:
                found = flash_backward(
                    *some, k[:, :, keys], v[:, :, keys], *made, causal, ctx.scale, added
                )
                of_rows = found[0] if of_rows is None else of_rows.add_(found[0])
                if found[1].shape == k.shape:
                    total = list(found[1:])
                    continue
                total = [x.new_zeros(x.shape) for x in (k, v)] if total is None else total
                for one, part in zip(total, found[1:], strict=True):
                    one[:, :, keys] += part
            assert of_rows is not None
            of_q.append(of_rows)
        assert total is not None
        return torch.cat(of_q, dim=2) if len(of_q) > 1 else of_q[0], *total, None, None


def runs(q: Tensor, slopes: Tensor) -> Iterator[tuple[slice, list[tuple[slice, bool, Tensor]]]]:
    """Runs of queries, each with its own keys and those before: which, whether under the causal
    mask, and their bias (B, H, 1, S').
    """
    length, steepest = q.shape[2], float(slopes.abs().max())
    size = length
    if q.dtype == torch.float32 and steepest * length > 2 * FARTHEST:
        size = max(int(2 * FARTHEST / steepest), SHORTEST)
    dtype = torch.promote_types(q.dtype, torch.float32)
    for start in range(0, length, size):
        stop = min(start + size, length)
        rows, before = slice(start, stop), slice(0, start)
        counted = torch.arange(stop, dtype=dtype, device=q.device) - (start + stop) // 2
        bias = (slopes.to(dtype)[:, None] * counted)[None, :, None].expand(len(q), -1, -1, -1)
        of_run = [(rows, True, bias[..., rows])]
        yield rows, of_run + [(before, False, bias[..., before])] * (start > 0)


def joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """What some keys and others make together: mixed values (B, H, t, K), and the LSE (B, H, t)."""
    (mixed, lse), *others = parts
    for other, of_other in others:
        total = torch.logaddexp(lse, of_other)
        mixed = mixed * (lse - total).exp().unsqueeze(-1)
        mixed = mixed + other * (of_other - total).exp().unsqueeze(-1)
        lse = total
    return mixed, lse


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
