"""Attention under a bias that falls linearly with distance, of heads that look a bounded way back.

Runs of queries have the same bias, and so are a batch of the fused kernel for the CPU, whose keys
are views that overlap. The first queries, before which there are fewer keys, see all of them.

Shapes: B sequences, H heads, T queries and keys, n runs of t queries, w keys of a run, K channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_posenc.compat.torch import flash_backward, flash_with_lse
from lightning_posenc.model.kernels.all_keys import AllKeys
from lightning_posenc.model.kernels.lookback import Lookback


class NearKeys:
    """softmax(scale · q·k - slope · distance) v under the causal mask, and its gradients.

    Args:
        operands: q, k and v, (B, H, T, K) each.
        slopes: (H,).
        scale: Factor on q·k.
        lookback: How far back the heads look.
    """

    def __init__(
        self, operands: Sequence[Tensor], slopes: Tensor, scale: float, lookback: Lookback
    ):
        self.operands, self.scale, self.lookback = operands, scale, lookback
        self.n_sequences, _, length, _ = operands[0].shape
        self.first = lookback.first(length)
        size, n_before = lookback
        self.firsts = AllKeys([x[:, :, : self.first] for x in operands], slopes, scale)
        keys = torch.arange(n_before + size, device=slopes.device)
        distances = n_before + keys[:size, None] - keys
        falls = -slopes.view(1, -1, 1, 1) * distances
        self.of_run = falls.masked_fill(distances < 0, -torch.inf)

    def forward(self) -> tuple[Tensor, list[Tensor]]:
        """What is mixed (B, H, T, K); and the LSE, that of the runs last."""
        q, k, v = self.operands
        mixed, lse = self.firsts.forward()
        runs = self._queries(q), self._keys(k), self._keys(v)
        of_runs, lse_of_runs = flash_with_lse(*runs, False, self.scale, self.of_run)
        return torch.cat([mixed, self._in_line(of_runs)], dim=2), [*lse, lse_of_runs]

    def gradients(self, gradient: Tensor, out: Tensor, lse: Sequence[Tensor]) -> list[Tensor]:
        """Of q, k and v, from what `AllKeys.gradients` takes."""
        q, k, v = self.operands
        at = slice(self.first)
        firsts = self.firsts.gradients(gradient[:, :, at], out[:, :, at], lse[:-1])
        of_runs = self._queries(gradient), self._queries(q), self._keys(k), self._keys(v)
        made = self._queries(out), lse[-1]
        runs = flash_backward(*of_runs, *made, False, self.scale, self.of_run)
        of_q = torch.cat([firsts[0], self._in_line(runs[0])], dim=2)
        return [of_q, self._summed(firsts[1], runs[1]), self._summed(firsts[2], runs[2])]

    def _queries(self, x: Tensor) -> Tensor:
        """(B · n, H, t, K) the runs of (B, H, T, K)."""
        return (
            x[:, :, self.first :].unflatten(2, (-1, self.lookback.size)).movedim(2, 1).flatten(0, 1)
        )

    def _keys(self, x: Tensor) -> Tensor:
        """(B · n, H, w, K) what runs see of (B, H, T, K)."""
        size, n_before = self.lookback
        windows = x[:, :, self.first - n_before :].unfold(2, n_before + size, size)
        return windows.movedim(2, 1).flatten(0, 1).mT

    def _in_line(self, runs: Tensor) -> Tensor:
        """(B, H, n · t, K) of (B · n, H, t, K)."""
        return runs.unflatten(0, (self.n_sequences, -1)).movedim(1, 2).flatten(2, 3)

    def _summed(self, firsts: Tensor, runs: Tensor) -> Tensor:
        """A gradient (B, H, T, K) of keys: that of the first queries', and those of runs (B · n,
        H, w, K).
        """
        size, n_before = self.lookback
        total = firsts.new_zeros(self.operands[1].shape)
        total[:, :, : self.first] = firsts
        for at in range(0, n_before + size, size):
            start = self.first - n_before + at
            part = self._in_line(runs[:, :, at : at + size])
            total[:, :, start : start + part.shape[2]] += part
        return total
