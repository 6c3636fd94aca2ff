"""Attention under a bias that falls linearly with distance, to all keys of the past.

The bias is a number for each key, m · j. That may grow so large that float32 rounds the logits
beside it: beyond `FARTHEST` the queries come in runs that count from their own middle, and the
fused results of a run's own keys and of those before it are joined by their LSE.

Shapes: B sequences, H heads, T queries and keys, t queries of a run, K channels of a head.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lightning_posenc.compat.torch import flash_backward, flash_with_lse

FARTHEST = 512.0  # of a bias: float32 rounds a logit beside it by 3e-5
SHORTEST = 256  # queries of a run


class AllKeys:
    """softmax(scale · q·k - slope · distance) v under the causal mask, and its gradients.

    Args:
        operands: q, k and v, (B, H, T, K) each.
        slopes: (H,).
        scale: Factor on q·k.
    """

    def __init__(self, operands: Sequence[Tensor], slopes: Tensor, scale: float) -> None:
        self.operands, self.slopes, self.scale = operands, slopes, scale

    def forward(self) -> tuple[Tensor, list[Tensor]]:
        """What is mixed (B, H, T, K), and the LSE (B, H, t) of each run."""
        q, k, v = self.operands
        mixed, lse = [], []
        for rows, of_run in runs(q, self.slopes):
            parts = (
                (q[:, :, rows], k[:, :, keys], v[:, :, keys], is_causal, self.scale, added)
                for keys, is_causal, added in of_run
            )
            out, total = joined([flash_with_lse(*part) for part in parts])
            mixed.append(out)
            lse.append(total)
        return mixed[0] if len(mixed) == 1 else torch.cat(mixed, dim=2), lse

    def gradients(self, gradient: Tensor, out: Tensor, lse: Sequence[Tensor]) -> list[Tensor]:
        """Of q, k and v.

        Args:
            gradient: (B, H, T, K) of what was mixed.
            out: (B, H, T, K), that.
            lse: As `forward` gave them.
        """
        q, k, v = self.operands
        total: list[Tensor] | None = None
        for (rows, of_run), of_all in zip(runs(q, self.slopes), lse, strict=True):
            some = gradient[:, :, rows], q[:, :, rows]
            made = out[:, :, rows], of_all
            for keys, is_causal, added in of_run:
                of_keys = k[:, :, keys], v[:, :, keys]
                found = flash_backward(*some, *of_keys, *made, is_causal, self.scale, added)
                if len(lse) == 1:
                    return list(found)
                if total is None:
                    total = [x.new_zeros(x.shape) for x in (q, k, v)]
                for of_all_tokens, which, part in zip(
                    total, (rows, keys, keys), found, strict=True
                ):
                    of_all_tokens[:, :, which] += part
        assert total is not None
        return total


def runs(q: Tensor, slopes: Tensor) -> Iterator[tuple[slice, list[tuple[slice, bool, Tensor]]]]:
    """Runs of queries, each with its own keys and those before: which, whether under the causal
    mask, and their bias (B, H, 1, S').
    """
    length, steepest = q.shape[2], float(slopes.abs().max())
    size = length
    if q.dtype == torch.float32 and steepest * length > 2 * FARTHEST:
        size = max(int(2 * FARTHEST / steepest), SHORTEST)
    for start in range(0, length, size):
        stop = min(start + size, length)
        rows, before = slice(start, stop), slice(0, start)
        counted = torch.arange(stop, device=q.device) - (start + stop) // 2
        bias = (slopes[:, None] * counted)[None, :, None].expand(len(q), -1, -1, -1)
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
